"""Small pictures of a case: the slice and the coronal plane with most labels, labels in colour."""

import base64
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference.dicom.codes import rgb_of
from inference.domain.errors import HabitusError
from inference.domain.labelmap import Structure
from inference.domain.volume import Volume
from training.data.cases import LabelledCase, unreadable
from training.data.examine import STRUCTURES
from training.data.problems import errors_of
from training.label_names import KIDNEY, L3, OUR_NUMBERS
from training.nifti import whole_hu
from training.real.panels import Panel, beside, drawn, upright_rows

COLOURED = {
    **STRUCTURES,
    OUR_NUMBERS[KIDNEY]: Structure.KIDNEY_LEFT,
    OUR_NUMBERS[L3]: Structure.ADRENAL_RIGHT,
}
"""What only training has borrows a colour."""
GREYS = 64

Labels = npt.NDArray[np.uint8]


def colour_of(name: str) -> str:
    """Of one of our names, as pages write it."""
    red, green, blue = rgb_of(COLOURED[OUR_NUMBERS[name]])
    return f"rgb({red},{green},{blue})"


def picture_of(case: LabelledCase) -> Image.Image | None:
    """None where the image itself cannot be read; without colours where its labels cannot be put on it."""
    try:
        loaded = case.source.load()
    except (HabitusError, MemoryError):
        return None
    volume = loaded.volume
    if not np.isfinite(volume.hu).all():
        volume = Volume(
            hu=np.nan_to_num(volume.hu, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32),
            affine_lps=volume.affine_lps,
            slice_places=volume.slice_places,
        )
    labels: Labels | None = None
    if loaded.numbers.shape == volume.shape and not [
        p for p in errors_of(unreadable(loaded)) if p.where == "label"
    ]:
        labels = loaded.table.ours(loaded.numbers)
    return _drawn(whole_hu(volume), labels)


def _drawn(volume: Volume, labels: Labels | None) -> Image.Image:
    slices, rows, _ = volume.shape
    k, row = slices // 2, rows // 2
    if labels is not None and labels.any():
        k = int((labels != 0).sum(axis=(1, 2)).argmax())
        row = int((labels != 0).sum(axis=(0, 2)).argmax())
    upright = upright_rows(volume)
    slice_mm, row_mm, column_mm = volume.spacing_mm
    panels = [
        Panel(
            title=f"slice {k + 1} of {slices}, from the feet",
            hu=volume.hu[k],
            step_mm=(row_mm, column_mm),
            labels=None if labels is None else labels[k],
            structures=COLOURED,
            reference={},
        ),
        Panel(
            title="coronal",
            hu=volume.hu[:, row][upright],
            step_mm=(slice_mm, column_mm),
            labels=None if labels is None else labels[:, row][upright],
            structures=COLOURED,
            reference={},
            is_upright=True,
        ),
    ]
    return beside([drawn(panel) for panel in panels])


def as_data_uri(picture: Image.Image) -> str:
    """For a page that needs no other file."""
    buffer = BytesIO()
    small = picture.quantize(GREYS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
