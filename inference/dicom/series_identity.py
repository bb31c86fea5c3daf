"""Whether files belong to one series of one patient, and to one that a result can refer to."""

import re
from collections.abc import Sequence

from pydicom.dataset import Dataset

from inference.dicom.header_values import has_signs_of_no_text, text
from inference.domain.errors import UnsupportedGeometry

_UIDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
)
_SAME_FOR_ALL = ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID")
_SAME_WHERE_STATED = ("PatientBirthDate", "PatientSex")
"""Two patients may have one ID ("0", "UNKNOWN"); a sender may leave these out."""
MAX_ID = 64
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
"""PS3.5 9.1, but for leading zeros, which scanners do write."""
_AS_MADE = "Send the series as the scanner made it."


def check_one_series(headers: Sequence[Dataset]) -> None:
    """Raises UnsupportedGeometry: empty-uids, empty-patient-id, invalid-patient-id or mixed-geometry."""
    for keyword in _UIDS:
        if not all(_is_uid(text(header, keyword)) for header in headers):
            raise _refused(
                "empty-uids", f"a slice without a usable {keyword}", "UIDs that a result can name"
            )
    for keyword in (*_SAME_FOR_ALL, *_SAME_WHERE_STATED):
        stated = {text(header, keyword) for header in headers}
        if keyword in _SAME_WHERE_STATED:
            stated.discard("")
        if len(stated) > 1:
            raise UnsupportedGeometry(
                found=f"slices that differ in {keyword}",
                wanted="one series of one patient",
                advice="Send one series at a time.",
                reason="mixed-geometry",
            )
    patient_id = text(headers[0], "PatientID")
    if not patient_id:
        raise _refused("empty-patient-id", "a series without Patient ID", "whose result this is")
    if not _is_repeatable(patient_id):
        raise _refused(
            "invalid-patient-id",
            "a Patient ID with a backslash, a control character or too many characters",
            f"up to {MAX_ID} characters, so that results can repeat it",
        )


def _is_repeatable(patient_id: str) -> bool:
    """PS3.5 6.2, LO. What its character set does not explain is repeated byte for byte: no matter which signs it seems to hold."""
    is_plain = patient_id.isascii() and "\x1b" not in patient_id
    return len(patient_id) <= MAX_ID and not (is_plain and has_signs_of_no_text(patient_id))


def _is_uid(value: str) -> bool:
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def _refused(reason: str, found: str, wanted: str) -> UnsupportedGeometry:
    return UnsupportedGeometry(found=found, wanted=wanted, advice=_AS_MADE, reason=reason)
