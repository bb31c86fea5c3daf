"""Which images are axial CT slices at all, told from the header alone."""

import re

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from inference.dicom.header_values import text, whole_number
from inference.dicom.source_frames import MULTI_FRAME_CLASSES

_NOT_TISSUE = re.compile(r"\b(MIP|MINIP)\b|PERFUSION|PROJECTION IMAGE|SUBTRACTION")
"""In Image Type of images whose numbers are not the density of one slice (PS3.3 C.8.16.1.3; "CT_SOM5 MIP")."""


def unsuitable_because(header: Dataset) -> str | None:
    """Why an image is no axial CT slice, or None; empty UIDs are left to the reader's own check."""
    modality = text(header, "Modality")
    sop_class = text(header, "SOPClassUID")
    if modality and modality != "CT":
        # CS values only: a broken sender could have put anything here, and this text is shown and logged.
        shown = modality if re.fullmatch(r"[A-Z0-9]{1,16}", modality) else "unknown"
        return f"modality {shown}"
    kinds = [kind.strip() for kind in text(header, "ImageType").upper().split("\\")]
    if "LOCALIZER" in kinds or any("SURVIEW" in kind or "SCOUT" in kind for kind in kinds):
        return "scout image"
    # DERIVED alone says little: a PACS that compresses writes it. Whether slices are axial, their orientation tells.
    if any(_NOT_TISSUE.search(kind) for kind in kinds):
        return "derived image"
    if sop_class and sop_class not in {CTImageStorage, *MULTI_FRAME_CLASSES}:
        return "not of the CT image class"
    if (whole_number(header, "NumberOfFrames") or 1) > 1 and sop_class not in MULTI_FRAME_CLASSES:
        return "multi-frame image"
    return None
