"""What a reader of the result must know of the images it was made from."""

from collections.abc import Sequence

import numpy as np
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset

from inference.dicom.header_values import number, plain_text, raw_value, text
from inference.dicom.hounsfield import PixelFormat
from inference.domain.volume import Volume

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ONE_OF_EACH = {
    "ConvolutionKernel": "reconstruction filters",
    "KVP": "tube voltages",
    "ContrastBolusAgent": "contrast agents",
}


def series_flags(
    header: Dataset, forms: Sequence[PixelFormat], *, repeated: int, is_text_kept: bool = False
) -> tuple[str, ...]:
    """Sentences for the report; none of them quotes the header."""
    flags = []
    if lossy := sum(form.is_lossy for form in forms):
        ratio = number(header, "LossyImageCompressionRatio")
        by = f" (about {ratio:.0f} : 1)" if ratio else ""
        flags.append(
            f"{lossy} of {len(forms)} slices were compressed with loss{by}: densities and areas may be off"
        )
    if repeated:
        flags.append(f"{repeated} identical copies of slices were left out")
    if is_text_kept or not has_readable_name(header):
        flags.append(
            "patient name is not in the character set that the images state: letters may be wrong"
        )
    return tuple(flags)


def spacing_flags(volume: Volume) -> tuple[str, ...]:
    """How slices that are not evenly spaced were treated."""
    if volume.slice_places is None:
        return ()
    grid_mm = volume.spacing_mm[0]
    steps_mm = np.diff(volume.slice_places) * grid_mm
    return (
        f"slices unevenly spaced ({steps_mm.min():.2f} to {steps_mm.max():.2f} mm): resampled to even"
        f" {grid_mm:.2f} mm for the networks; masks and numbers are of the original slices",
    )


def mixture_flags(headers: Sequence[Dataset]) -> tuple[str, ...]:
    """What densities depend on and one acquisition and reconstruction has only one of; unstated values say nothing."""
    flags = []
    for keyword, named in _ONE_OF_EACH.items():
        # 120 and 120.0 are one voltage.
        stated = {number(h, keyword) or plain_text(h, keyword) for h in headers} - {""}
        if len(stated) > 1:
            flags.append(
                f"slices of {len(stated)} {named} in one series: densities are not comparable between them"
            )
    return tuple(flags)


def contrast_agent(header: Dataset) -> str:
    """As the scanner states it, as plain text; empty where it does not."""
    if agent := plain_text(header, "ContrastBolusAgent"):
        return agent
    for item in raw_value(header, "ContrastBolusAgentSequence") or ():
        if agent := plain_text(item, "CodeMeaning"):
            return agent
    return ""


def has_readable_name(header: Dataset) -> bool:
    """Whether the patient's name decodes by the character sets of the header."""
    sets = text(header, "SpecificCharacterSet").split("\\")
    known = all(name.strip() in python_encoding for name in sets)
    return known and _REPLACEMENT not in text(header, "PatientName")
