"""One CT series as the rest of Habitus sees it: a volume, its headers and a few facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from inference.dicom.header_values import number
from inference.domain.measurement import Patient
from inference.domain.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtSeries:
    """An axial CT series that passed every check of the reader."""

    volume: Volume
    """Slices in order of their position along the slice normal; HU below −1024 are set to −1024."""
    headers: tuple[Dataset, ...]
    """One per slice in the volume's order, without pixels."""
    patient: Patient
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    sop_uids: tuple[str, ...]
    """All SOP Instance UIDs, sorted: the set that the job key hashes."""
    slice_thickness_mm: float
    """Of the first slice as stated by the scanner; the step between slices where it is not stated."""
    contrast: str = "unknown"
    """Contrast agent as stated by the scanner, or "unknown"."""
    kvp: float | None = None
    kernel: str | None = None
    frame_numbers: tuple[int | None, ...] = ()
    """Of each slice within its multi-frame image, from 1; None where the slice is an image of its own."""
    flags: tuple[str, ...] = ()
    """What a reader of the result must know of these images."""
    kept_texts: Mapping[str, bytes] = field(default_factory=dict)
    """Texts of patient and study that cannot be decoded, by keyword: results repeat the bytes."""

    def frame_number(self, slice_index: int) -> int | None:
        """Of a slice within its multi-frame image; None where it is an image of its own."""
        return self.frame_numbers[slice_index] if self.frame_numbers else None

    def thickness_mm(self, slice_index: int) -> float:
        """Of one slice, as stated by the scanner; the series' where it is not stated."""
        stated = number(self.headers[slice_index], "SliceThickness")
        return abs(stated) if stated else self.slice_thickness_mm
