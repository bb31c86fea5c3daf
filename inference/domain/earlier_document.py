"""A result that was sent before and whose place a newer one takes."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierDocument:
    """Enough to refer to it."""

    role: str
    """As results are named, e.g. "sr" or "seg-tissues@labelmap"."""
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str


def earlier_reports(documents: Sequence[EarlierDocument], role: str) -> tuple[EarlierDocument, ...]:
    """The reports that one of this role replaces: of the same role, or of any where there is none of it."""
    reports = [one for one in documents if one.role.partition("@")[0] == "sr"]
    return tuple(one for one in reports if one.role == role) or tuple(reports)
