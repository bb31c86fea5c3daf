"""What analysing one series yields, before any DICOM is written."""

from dataclasses import dataclass

from inference.domain.labelmap import LabelMap
from inference.domain.measurement import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Masks on the source grid and the numbers measured from them."""

    report: Report
    tissues: LabelMap | None
    organs: LabelMap | None
