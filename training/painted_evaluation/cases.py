"""Which painted cases are evaluated: everything about one follows from its seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from training.templates.case import (
    FIELD_SEED,
    FieldKind,
    PaintedCase,
    field_of_view,
    grid_for,
    random_kind,
    scanned,
)
from training.templates.patient import Patient, patient_of
from training.templates.scan import sample_scan
from training.templates.spine_plan import USUAL, VARIANTS
from training.templates.template import Template

FIRST_SEED = 6_000_000
"""Training uses seeds below 1,000,000."""
FIRST_VARIANT_SEED = 6_500_000
KIND_SEED, SPACING_SEED, SCAN_SEED = 9, 11, 3
EDGE_SHARE = 0.06
EDGE = "edge"
"""A field that ends within the body of L3."""
WITHIN_L3 = "within-l3"
"""The slices of L3 and few more: all that the tissue network needs."""
END_PLATE_MM = 3.0
"""An edge leaves at least so much of the body on either side."""
WITHIN_MARGIN_MM = 12.0
SLICE_MM = (1.0, 5.0)
PIXEL_MM = (0.7, 1.6)
EXTENT_RC_MM = (360.0, 460.0)
MOST_VOXELS = 10_000_000
"""Painting and analysing a case of so many takes about 10 s of one core."""


class Part(StrEnum):
    """What is evaluated; each part can be asked for alone."""

    LEVEL = "level"
    TISSUE = "tissue"
    ORGANS = "organs"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOrder:
    """Which case to make."""

    seed: int
    template: str
    """Its file's name without the ending."""
    has_variants: bool
    """Unusual spines only."""
    parts: frozenset[Part]
    most_voxels: int
    """A case with more is drawn coarser."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluatedCase:
    """A painted case and the kind of its field."""

    painted: PaintedCase
    field_kind: str


def planned(
    templates: Sequence[str],
    count: int,
    parts: frozenset[Part],
    *,
    has_variants: bool,
    most_voxels: int = MOST_VOXELS,
    skipped: int = 0,
) -> list[CaseOrder]:
    """Seeds in a row, the first so many left out."""
    first = (FIRST_VARIANT_SEED if has_variants else FIRST_SEED) + skipped
    seeds = range(first, first + count)
    return [order_of(seed, templates, parts, most_voxels) for seed in seeds]


def order_of(
    seed: int, templates: Sequence[str], parts: frozenset[Part], most_voxels: int = MOST_VOXELS
) -> CaseOrder:
    """Templates take turns; the seed tells whether the spine is unusual."""
    return CaseOrder(
        seed=seed,
        template=templates[seed % len(templates)],
        has_variants=seed >= FIRST_VARIANT_SEED,
        parts=parts,
        most_voxels=most_voxels,
    )


def make_case(order: CaseOrder, template: Template) -> EvaluatedCase:
    """As make_painted_case, with a kind of field, slices and pixels drawn from the seed."""
    seed = order.seed
    patient = patient_of(template, seed, VARIANTS if order.has_variants else USUAL)
    rng = np.random.default_rng((seed, FIELD_SEED))
    kind, limits = field_of(patient, order, rng)
    height_mm = limits[1] - limits[0]
    steps = np.random.default_rng((seed, SPACING_SEED))
    spacing_mm = spacing_of(height_mm, steps, order.most_voxels)
    rows, columns = (
        round(extent / step) for extent, step in zip(EXTENT_RC_MM, spacing_mm[1:], strict=True)
    )
    grid = grid_for(limits, spacing_mm, (rows, columns), rng)
    scan = sample_scan(np.random.default_rng((seed, SCAN_SEED)))
    return EvaluatedCase(painted=scanned(patient, scan, grid), field_kind=kind)


def field_of(
    patient: Patient, order: CaseOrder, rng: np.random.Generator
) -> tuple[str, tuple[float, float]]:
    """The kind's name, lowest and highest z."""
    low, high = patient.l3_extent_mm
    if order.parts == {Part.TISSUE}:
        return WITHIN_L3, (low - WITHIN_MARGIN_MM, high + WITHIN_MARGIN_MM)
    draw = np.random.default_rng((order.seed, KIND_SEED))
    kind = random_kind(draw)
    if draw.random() >= EDGE_SHARE:
        return kind.value, field_of_view(patient, kind, rng)
    edge = float(draw.uniform(low + END_PLATE_MM, high - END_PLATE_MM))
    below, above = patient.reach_mm
    first, last = field_of_view(patient, FieldKind.CUT_BOTH, rng)
    is_above = draw.random() < 0.5
    return EDGE, (edge, max(last, min(above, edge + 60))) if is_above else (
        min(first, max(below, edge - 60)),
        edge,
    )


def spacing_of(
    height_mm: float, rng: np.random.Generator, most_voxels: int = MOST_VOXELS
) -> tuple[float, float, float]:
    """Slice and pixel steps; of those that a long field cannot have within that many voxels, the nearest it can."""
    area_mm2 = EXTENT_RC_MM[0] * EXTENT_RC_MM[1]
    thinnest = height_mm * area_mm2 / PIXEL_MM[1] ** 2 / most_voxels
    slice_mm = float(rng.uniform(min(max(SLICE_MM[0], thinnest), SLICE_MM[1]), SLICE_MM[1]))
    slices = int(height_mm / slice_mm) + 1
    finest = (area_mm2 * slices / most_voxels) ** 0.5
    pixel_mm = float(rng.uniform(min(max(PIXEL_MM[0], finest), PIXEL_MM[1]), PIXEL_MM[1]))
    return slice_mm, pixel_mm, pixel_mm
