"""Whether files belong to one series of one patient, and to one that a result can refer to."""

import re
from collections.abc import Sequence

from pydicom.dataset import Dataset

from inference.dicom.header_values import text
from inference.domain.errors import UnsupportedGeometry

_UIDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
)
_SAME_FOR_ALL = ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID")
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
"""PS3.5 9.1, but for leading zeros, which scanners do write."""
_AS_MADE = "Send the series as the scanner made it."


def check_one_series(headers: Sequence[Dataset]) -> None:
    """Raises UnsupportedGeometry: empty-uids, empty-patient-id or mixed-geometry."""
    for keyword in _UIDS:
        if not all(_is_uid(text(header, keyword)) for header in headers):
            raise _refused(
                "empty-uids", f"a slice without a usable {keyword}", "UIDs that a result can name"
            )
    for keyword in _SAME_FOR_ALL:
        if len({text(header, keyword) for header in headers}) > 1:
            raise UnsupportedGeometry(
                found=f"slices that differ in {keyword}",
                wanted="one series of one patient",
                advice="Send one series at a time.",
                reason="mixed-geometry",
            )
    if not text(headers[0], "PatientID"):
        raise _refused("empty-patient-id", "a series without Patient ID", "whose result this is")


def _is_uid(value: str) -> bool:
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def _refused(reason: str, found: str, wanted: str) -> UnsupportedGeometry:
    return UnsupportedGeometry(found=found, wanted=wanted, advice=_AS_MADE, reason=reason)
