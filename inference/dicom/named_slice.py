"""Which slice of a series a person meant by a UID, an image number or a place."""

import numpy as np

from inference.dicom.ct_series import CtSeries
from inference.dicom.header_values import number, text
from inference.domain.entered_level import EnteredLevel, LevelByHand
from inference.domain.errors import LevelNotInSeries
from inference.domain.volume import slice_bounds, slice_z_mm

_ADVICE = "Name a slice of the series that was measured, as a viewer shows it."


def level_by_hand(series: CtSeries, entered: EnteredLevel) -> LevelByHand:
    """The slice that was named; raises LevelNotInSeries."""
    if entered.z_mm is not None:
        index = _slice_at(series, entered.z_mm)
    elif entered.instance_number is not None:
        index = _only_slice(
            [_image_number(series, k) == entered.instance_number for k in _slices(series)],
            f"{{}} of that number among {len(series.headers)} slices",
        )
    else:
        index = _only_slice(
            [
                text(header, "SOPInstanceUID") == entered.sop_instance_uid
                for header in series.headers
            ],
            f"{{}} of that SOP Instance UID among {len(series.headers)} slices",
        )
    return LevelByHand(slice_index=index, source=entered.source)


def _slices(series: CtSeries) -> range:
    return range(len(series.headers))


def _image_number(series: CtSeries, slice_index: int) -> float | None:
    frame = series.frame_number(slice_index)
    return number(series.headers[slice_index], "InstanceNumber") if frame is None else frame


def _only_slice(is_meant: list[bool], found: str) -> int:
    indices = np.flatnonzero(is_meant)
    if len(indices) != 1:
        raise LevelNotInSeries(
            found=found.format(len(indices) or "none"),
            wanted="exactly one",
            advice=f"{_ADVICE} Where numbers repeat or are missing, name its patient z.",
        )
    return int(indices[0])


def _slice_at(series: CtSeries, z_mm: float) -> int:
    """The nearest one; half a slice beyond the outermost is still theirs."""
    slices_mm = slice_z_mm(series.volume)
    bounds_mm = np.sort(slice_bounds(np.sort(slices_mm)))
    if not bounds_mm[0] <= z_mm <= bounds_mm[-1]:
        raise LevelNotInSeries(
            found=f"patient z {z_mm:.1f} mm",
            wanted=f"{bounds_mm[0]:.1f} to {bounds_mm[-1]:.1f} mm, where the slices are",
            advice=_ADVICE,
        )
    return int(np.abs(slices_mm - z_mm).argmin())
