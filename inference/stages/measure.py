"""Areas, volumes, densities and indices from masks and Hounsfield units; shared with the evaluation of training."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES, LabelMap, Structure
from inference.domain.measurement import (
    Level,
    Measurement,
    OrganResult,
    Patient,
    Quantity,
    Unit,
)
from inference.domain.volume import Volume, position_mm, slice_bounds
from inference.stages.organ_labels import Box, label_boxes

FAT_TISSUES = (Structure.SUBCUTANEOUS_FAT, Structure.VISCERAL_FAT)


def slab_weights(volume: Volume, extent_mm: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Height in mm of each slice's share of the slab between two patient z (canonical axial volume)."""
    bounds_mm = volume.affine_lps[2, 3] + slice_bounds(volume.places) * volume.affine_lps[2, 0]
    lower = np.maximum(bounds_mm[:-1], extent_mm[0])
    upper = np.minimum(bounds_mm[1:], extent_mm[1])
    height: npt.NDArray[np.float64] = np.maximum(upper - lower, 0.0)
    return height


def measure_body_composition(
    volume: Volume, tissues: LabelMap, level: Level, windows: HuWindows
) -> tuple[Measurement, ...]:
    """Areas and densities at mid-L3, slab volumes over the L3 extent; clinical definitions: docs/clinical.md."""
    pixel_cm2 = volume.spacing_mm[1] * volume.spacing_mm[2] / 100.0
    k = level.slice_index
    found: list[Measurement] = []
    areas: dict[Structure, float] = {}
    weights = slab_weights(volume, level.extent_mm)
    # A mask of a whole scan takes as long as all the rest.
    near = [k - 1, k + 1, *np.flatnonzero(weights).tolist()]
    first, last = max(min(near), 0), max(near) + 1
    for structure in TISSUES:
        mask = tissues.mask(structure, slice(first, last))
        middle = mask[k - first]
        areas[structure] = float(middle.sum()) * pixel_cm2
        slab_ml = float((mask.sum(axis=(1, 2)) * weights[first:last]).sum()) * pixel_cm2 / 10.0
        found += [
            _of(structure, Quantity.AREA, areas[structure], Unit.CM2),
            _of(structure, Quantity.VOLUME, slab_ml, Unit.ML),
        ]
        found += _density(volume.hu[k][middle], structure)
    muscle = tissues.mask(Structure.SKELETAL_MUSCLE, slice(first, last))
    found += _muscle_quality(volume, muscle[k - first], k, pixel_cm2, windows)
    found += _neighbour_areas(muscle, k - first, pixel_cm2)
    found += _fat_summary(areas)
    return tuple(found)


def indices(muscle_area_cm2: float, patient: Patient) -> tuple[Measurement, ...]:
    """Muscle area over height², weight and BMI; those whose data is missing are absent."""
    height, weight = patient.height_m, patient.weight_kg
    muscle = Structure.SKELETAL_MUSCLE
    found = []
    if height:
        found.append(
            _of(muscle, Quantity.INDEX_HEIGHT2, muscle_area_cm2 / height**2, Unit.CM2_PER_M2)
        )
    if weight:
        found.append(_of(muscle, Quantity.INDEX_WEIGHT, muscle_area_cm2 / weight, Unit.CM2_PER_KG))
    if height and weight:
        bmi = weight / height**2
        found.append(_of(muscle, Quantity.INDEX_BMI, muscle_area_cm2 / bmi, Unit.CM2_PER_BMI))
    return tuple(found)


def bounding_box_px(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom edge of a mask [row, column]; pixel n reaches from n to n + 1. None where empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def measure_organs(volume: Volume, organs: LabelMap) -> tuple[OrganResult, ...]:
    """Volume, density of the eroded mask, bounding box and completeness of every organ found."""
    boxes = label_boxes(organs.labels, max(organs.structures))
    return tuple(
        _organ(volume, organs.labels[box] == label, box, structure)
        for label, structure in organs.structures.items()
        if (box := boxes[label - 1]) is not None
    )


def value_of(
    measurements: Iterable[Measurement], quantity: Quantity, structure: Structure | None
) -> float | None:
    """The value of one quantity, or None when it was not measured."""
    for measurement in measurements:
        if measurement.quantity == quantity and measurement.structure == structure:
            return measurement.value
    return None


def _of(structure: Structure | None, quantity: Quantity, value: float, unit: Unit) -> Measurement:
    return Measurement(quantity=quantity, value=float(value), unit=unit, structure=structure)


def _density(hu: npt.NDArray[np.generic], structure: Structure) -> list[Measurement]:
    """Mean and SD; absent where the tissue is absent."""
    if hu.size == 0:
        return []
    values = hu.astype(np.float64)
    return [
        _of(structure, Quantity.MEAN_HU, float(values.mean()), Unit.HU),
        _of(structure, Quantity.SD_HU, float(values.std()), Unit.HU),
    ]


def _muscle_quality(
    volume: Volume, muscle: npt.NDArray[np.bool_], k: int, pixel_cm2: float, windows: HuWindows
) -> list[Measurement]:
    """Low- and normal-density muscle at mid-L3, as area and as share of the muscle area."""
    hu, total = np.rint(volume.hu[k][muscle]), int(muscle.sum())
    found = []
    for (low, high), area, percent in (
        (windows.low_density_muscle, Quantity.LOW_DENSITY_AREA, Quantity.LOW_DENSITY_PERCENT),
        (
            windows.normal_density_muscle,
            Quantity.NORMAL_DENSITY_AREA,
            Quantity.NORMAL_DENSITY_PERCENT,
        ),
    ):
        count = int(((hu >= low) & (hu <= high)).sum())
        found.append(_of(Structure.SKELETAL_MUSCLE, area, count * pixel_cm2, Unit.CM2))
        if total:
            share = 100.0 * count / total
            found.append(_of(Structure.SKELETAL_MUSCLE, percent, share, Unit.PERCENT))
    return found


def _neighbour_areas(muscle: npt.NDArray[np.bool_], k: int, pixel_cm2: float) -> list[Measurement]:
    """Muscle area one slice below and above: a stability check of the level."""
    neighbours = ((k - 1, Quantity.AREA_SLICE_BELOW), (k + 1, Quantity.AREA_SLICE_ABOVE))
    return [
        _of(Structure.SKELETAL_MUSCLE, quantity, float(muscle[n].sum()) * pixel_cm2, Unit.CM2)
        for n, quantity in neighbours
        if 0 <= n < muscle.shape[0]
    ]


def _fat_summary(areas: dict[Structure, float]) -> list[Measurement]:
    subcutaneous, visceral = (areas[structure] for structure in FAT_TISSUES)
    found = [_of(None, Quantity.TOTAL_FAT_AREA, subcutaneous + visceral, Unit.CM2)]
    if subcutaneous > 0:
        found.append(_of(None, Quantity.VAT_SAT_RATIO, visceral / subcutaneous, Unit.RATIO))
    return found


def _organ(
    volume: Volume,
    mask: npt.NDArray[np.bool_],
    box: Box,
    structure: Structure,
) -> OrganResult:
    # A partial-volume rim would pull the density towards the neighbours.
    inside = ndimage.binary_erosion(mask)
    hu = volume.hu[box][inside].astype(np.float64)
    ends = np.array([[axis.start for axis in box], [axis.stop - 1 for axis in box]], float)
    ends[:, 0] = volume.places[[box[0].start, box[0].stop - 1]]
    corners = position_mm(volume.affine_lps, ends)
    low, high = corners.min(axis=0), corners.max(axis=0)
    cut = any(
        axis.start == 0 or axis.stop == size for axis, size in zip(box, volume.shape, strict=True)
    )
    return OrganResult(
        structure=structure,
        volume_ml=volume.volume_ml(mask, box[0].start),
        mean_hu=float(hu.mean()) if hu.size else None,
        sd_hu=float(hu.std()) if hu.size else None,
        box_lps_mm=(
            (float(low[0]), float(low[1]), float(low[2])),
            (float(high[0]), float(high[1]), float(high[2])),
        ),
        is_incomplete=cut,
    )
