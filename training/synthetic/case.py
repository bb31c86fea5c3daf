"""One synthetic CT with its truth: a patient, a scan, a field of view, all from one seed."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from inference.domain.volume import Volume
from training.synthetic.anatomy import TRAINING, Anatomy, Ranges, sample_anatomy
from training.synthetic.frame import outline
from training.synthetic.labels import Labels
from training.synthetic.painting import Acquisition, paint, sample_acquisition
from training.synthetic.spine import to_own_z
from training.synthetic.torso import Grid, label_map

L3_MARGIN_MM = 6.0
"""A crop with L3 holds at least this much above and below its body; one without is as far away."""


class FieldKind(StrEnum):
    """How the field of view along z is chosen."""

    TORSO = "torso"
    ABDOMEN = "abdomen"
    WITH_L3 = "with-l3"
    WITHOUT_L3 = "without-l3"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A choice of the field of view along z."""

    kind: FieldKind
    z_mm: tuple[float, float] = (0.0, 0.0)
    """Only for an explicit field: the lowest and highest z in the body frame."""


FULL_TORSO = Field(kind=FieldKind.TORSO)
ABDOMEN = Field(kind=FieldKind.ABDOMEN)
CROP_WITH_L3 = Field(kind=FieldKind.WITH_L3)
CROP_WITHOUT_L3 = Field(kind=FieldKind.WITHOUT_L3)


def explicit_field(z_low_mm: float, z_high_mm: float) -> Field:
    """Exactly these heights of the body frame."""
    return Field(kind=FieldKind.EXPLICIT, z_mm=(z_low_mm, z_high_mm))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SyntheticCase:
    """A volume and what is true about it."""

    volume: Volume
    tissue_labels: Labels
    anatomy: Anatomy
    acquisition: Acquisition
    grid: Grid
    l3_z_mm: float | None
    """The middle of L3 where it is in the field of view."""
    field_z_mm: tuple[float, float]
    """z of the first and the last slice."""


def make_case(
    seed: int,
    *,
    spacing_mm: tuple[float, float, float],
    shape_rc: tuple[int, int],
    field: Field = FULL_TORSO,
    ranges: Ranges = TRAINING,
    acquisition: Acquisition | None = None,
) -> SyntheticCase:
    """The case of a seed; spacing is (slice, row, column)."""
    rng = np.random.default_rng((seed, 1))
    anatomy = sample_anatomy(rng, ranges)
    sampled = sample_acquisition(rng, ranges)
    scan = sampled if acquisition is None else acquisition
    low, high = field_of_view(anatomy, field, rng)
    grid = grid_for(anatomy, (low, high), spacing_mm, shape_rc, rng)
    labels = label_map(anatomy, grid, with_table=scan.has_table)
    hu = paint(labels, anatomy, scan, grid, np.random.default_rng((seed, 2)))
    first, last = (float(v) for v in grid.axis_mm(0)[[0, -1]])
    return SyntheticCase(
        volume=Volume(hu=hu, affine_lps=grid.affine_lps),
        tissue_labels=labels,
        anatomy=anatomy,
        acquisition=scan,
        grid=grid,
        l3_z_mm=anatomy.l3_z_mm if first <= anatomy.l3_z_mm <= last else None,
        field_z_mm=(first, last),
    )


def grid_for(
    anatomy: Anatomy,
    field_z_mm: tuple[float, float],
    spacing_mm: tuple[float, float, float],
    shape_rc: tuple[int, int],
    rng: np.random.Generator,
) -> Grid:
    """A grid over a field of view, centred on the trunk with a small random offset."""
    low, high = field_z_mm
    around = outline(anatomy, np.array([0.0]))
    middle_y = float(around.front_mm[0] + around.back_mm[0]) / 2
    rows, columns = shape_rc
    dx, dy = rng.uniform(-12, 12, 2)
    slices = max(int(np.floor((high - low) / spacing_mm[0])) + 1, 1)
    return Grid(
        shape=(slices, rows, columns),
        spacing_mm=spacing_mm,
        origin_lps_mm=(
            float(dx - (columns - 1) / 2 * spacing_mm[2]),
            float(middle_y + dy - (rows - 1) / 2 * spacing_mm[1]),
            low,
        ),
    )


def field_of_view(anatomy: Anatomy, field: Field, rng: np.random.Generator) -> tuple[float, float]:
    """Lowest and highest z."""
    levels = to_own_z(anatomy.spine, np.array([-290.0, -235.0, 168.0, 215.0, 410.0]))
    femur, pelvis, dome, chest, neck = (float(v) for v in levels)
    low, high = anatomy.l3_extent_mm
    low, high = low - L3_MARGIN_MM, high + L3_MARGIN_MM
    match field.kind:
        case FieldKind.EXPLICIT:
            return field.z_mm
        case FieldKind.TORSO:
            return femur + float(rng.uniform(0, 40)), neck - float(rng.uniform(0, 50))
        case FieldKind.ABDOMEN:
            return pelvis - float(rng.uniform(-30, 30)), float(rng.uniform(dome, chest))
        case FieldKind.WITH_L3:
            length = float(rng.uniform(high - low + 40, 0.75 * (neck - femur)))
            bottom = float(rng.uniform(max(femur, high - length), min(low, neck - length)))
            return bottom, bottom + length
        case FieldKind.WITHOUT_L3:
            below, above = (femur, low), (high, neck)
            start, stop = below if rng.random() < 0.4 else above
            length = float(rng.uniform(90, stop - start))
            bottom = float(rng.uniform(start, stop - length))
            return bottom, bottom + length
