"""One painted CT with its truth: template, seed, scan and field of view."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from inference.domain.volume import Volume
from training.synthetic.labels import Labels, Tissue
from training.synthetic.spine import Vertebra
from training.synthetic.torso import Grid
from training.templates.geometry import label_map
from training.templates.painter import outside_field, painted
from training.templates.patient import Patient, patient_of
from training.templates.scan import Scan, sample_scan
from training.templates.spine_plan import USUAL, SpineRanges
from training.templates.template import Template

SCAN_SEED = 3
FIELD_SEED = 4
L3_MARGIN_MM = 6.0
SHORTEST_MM = 90.0


class FieldKind(StrEnum):
    """How much of the body is scanned."""

    WHOLE = "whole"
    CUT_ABOVE = "cut-above"
    CUT_BELOW = "cut-below"
    CUT_BOTH = "cut-both"
    WITHOUT_L3 = "without-l3"
    CHEST = "chest"
    PELVIS = "pelvis"


FieldChoice = Callable[[Patient], tuple[float, float]]
"""Lowest and highest z of a patient."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaintedCase:
    """A volume and what is true about it."""

    volume: Volume
    tissue_labels: Labels
    """Air beyond the round field of view."""
    patient: Patient
    scan: Scan
    grid: Grid
    is_cut: bool
    """Whether the round field of view leaves out part of the trunk: its fat cannot be measured whole."""

    @property
    def vertebrae(self) -> Mapping[str, Vertebra]:
        """Middle and end plates of every body, in the field or not, in patient coordinates."""
        return self.patient.vertebrae

    @property
    def has_l3(self) -> bool:
        """Whether the whole body of L3 lies in the field of view."""
        low, high = self.patient.l3_extent_mm
        first, last = self.grid.axis_mm(0)[[0, -1]]
        half = self.grid.spacing_mm[0] / 2
        return bool(first - half <= low and high <= last + half)


def make_painted_case(
    template: Template,
    seed: int,
    *,
    spacing_mm: tuple[float, float, float],
    shape_rc: tuple[int, int],
    field: FieldKind | FieldChoice = FieldKind.WHOLE,
    ranges: SpineRanges = USUAL,
) -> PaintedCase:
    """The case of a seed; the same seed gives the same patient on every grid."""
    patient = patient_of(template, seed, ranges)
    scan = sample_scan(np.random.default_rng((seed, SCAN_SEED)))
    rng = np.random.default_rng((seed, FIELD_SEED))
    limits = field_of_view(patient, field, rng) if isinstance(field, FieldKind) else field(patient)
    grid = grid_for(limits, spacing_mm, shape_rc, rng)
    return scanned(patient, scan, grid)


def scanned(patient: Patient, scan: Scan, grid: Grid) -> PaintedCase:
    """A patient on a grid, painted."""
    maps = thin_maps(patient, scan, grid)
    labels = maps[len(maps) // 2]
    outside = np.broadcast_to(outside_field(scan, grid), labels.shape)
    trunk = (labels > Tissue.AIR) & ((labels < Tissue.ARM_MUSCLE) | (labels > Tissue.TABLE_SHELL))
    return PaintedCase(
        volume=Volume(hu=painted(maps, scan, grid), affine_lps=grid.affine_lps),
        tissue_labels=np.where(outside, np.uint8(Tissue.AIR), labels),
        is_cut=bool((trunk & outside).any()),
        patient=patient,
        scan=scan,
        grid=grid,
    )


def thin_maps(patient: Patient, scan: Scan, grid: Grid) -> list[Labels]:
    """Label maps spread over a slice's thickness, the middle one at the slice's own height."""
    shifts = (0.0,) if scan.acquisition.subslices == 1 else (-1 / 3, 0.0, 1 / 3)
    x, y, z = grid.origin_lps_mm
    has_table = scan.acquisition.has_table
    return [
        label_map(
            patient,
            replace(grid, origin_lps_mm=(x, y, z + shift * grid.spacing_mm[0])),
            with_table=has_table,
        )
        for shift in shifts
    ]


def grid_for(
    field_z_mm: tuple[float, float],
    spacing_mm: tuple[float, float, float],
    shape_rc: tuple[int, int],
    rng: np.random.Generator,
) -> Grid:
    """A grid over a field, centred on the trunk with a small random offset."""
    low, high = field_z_mm
    dx, dy = rng.uniform(-12, 12, 2)
    rows, columns = shape_rc
    return Grid(
        shape=(max(int((high - low) / spacing_mm[0]) + 1, 1), rows, columns),
        spacing_mm=spacing_mm,
        origin_lps_mm=(
            float(dx - (columns - 1) / 2 * spacing_mm[2]),
            float(dy - (rows - 1) / 2 * spacing_mm[1]),
            low,
        ),
    )


def field_of_view(
    patient: Patient, kind: FieldKind, rng: np.random.Generator
) -> tuple[float, float]:
    """Lowest and highest z; what the template does not reach cannot be scanned."""
    low, high = patient.reach_mm
    l3_low, l3_high = patient.l3_extent_mm
    l3_low, l3_high = l3_low - L3_MARGIN_MM, l3_high + L3_MARGIN_MM
    below, above = max(low, l3_low - 5), min(high, l3_high + 5)

    def between(a: float, b: float) -> float:
        return float(rng.uniform(min(a, b), max(a, b)))

    match kind:
        case FieldKind.WHOLE:
            return low, high
        case FieldKind.CUT_ABOVE:
            return between(low, (low + below) / 2), between(above, high)
        case FieldKind.CUT_BELOW:
            return between(low, below), between((above + high) / 2, high)
        case FieldKind.CUT_BOTH:
            return between(low, below), between(above, high)
        case FieldKind.CHEST:
            t12 = patient.vertebrae["T12"].z_low_mm
            bottom = min(between(t12, t12 + 60), high - SHORTEST_MM)
            return max(bottom, l3_high), high
        case FieldKind.PELVIS:
            l5 = patient.vertebrae["S1"].z_high_mm
            return low, min(between(l5 - 40, l5 + 50), l3_low)
        case FieldKind.WITHOUT_L3:
            is_above = rng.random() < (high - l3_high) / (high - l3_high + l3_low - low)
            first, last = (l3_high, high) if is_above else (low, l3_low)
            length = between(min(SHORTEST_MM, last - first), last - first)
            bottom = between(first, last - length)
            return bottom, bottom + length


FIELD_WEIGHTS: Mapping[FieldKind, float] = MappingProxyType(
    {
        FieldKind.WHOLE: 0.3,
        FieldKind.CUT_ABOVE: 0.14,
        FieldKind.CUT_BELOW: 0.14,
        FieldKind.CUT_BOTH: 0.18,
        FieldKind.WITHOUT_L3: 0.12,
        FieldKind.CHEST: 0.06,
        FieldKind.PELVIS: 0.06,
    }
)


def random_kind(rng: np.random.Generator) -> FieldKind:
    """As FIELD_WEIGHTS say."""
    kinds = list(FIELD_WEIGHTS)
    return kinds[int(rng.choice(len(kinds), p=list(FIELD_WEIGHTS.values())))]
