"""A file's header as texts by keyword, in the form in which Orthanc tells them."""

from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from inference.domain.errors import UnreadableInput

_WITHOUT_TEXT = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN"})


def texts_of_file(path: Path) -> dict[str, str]:
    """Several values stand between backslashes; sequences and binary values are left out. Raises UnreadableInput."""
    try:
        header = dcmread(path, stop_before_pixels=True)
        return {
            element.keyword: _text(element.value)
            for element in header
            if element.keyword and element.VR not in _WITHOUT_TEXT
        }
    except (OSError, InvalidDicomError, ValueError, NotImplementedError) as exc:
        raise UnreadableInput(
            found=f"{path.name}, which cannot be read as DICOM",
            wanted="a DICOM file, or KEYWORD=VALUE",
            advice="Name one file of each series, or write the tags themselves.",
        ) from exc


def _text(value: object) -> str:
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
