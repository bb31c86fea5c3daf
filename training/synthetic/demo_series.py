"""A synthetic patient written as a CT series, and what is true about him: for `habitus synth`, demo and tests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from inference.domain.labelmap import Structure
from inference.domain.volume import Volume
from training.synthetic.attenuation import Phase
from training.synthetic.case import (
    ABDOMEN,
    FULL_TORSO,
    Field,
    SyntheticCase,
    explicit_field,
    make_case,
)
from training.synthetic.labels import COMPARTMENT_LUT, ORGAN_LUT, Labels
from training.synthetic.series import SeriesHeader, write_series
from training.synthetic.truth import WINDOWS_HU, analytic_truth, organ_truth_ml

TABLE_HEIGHT_MM = -812.5
"""Scanners count z from somewhere along the couch, never from L3: the body frame is moved by this much."""

FIELDS: dict[str, Field] = {
    "torso": FULL_TORSO,
    "abdomen": ABDOMEN,
    "l3": explicit_field(-100.0, 95.0),
    "chest": explicit_field(180.0, 400.0),
    "pelvis": explicit_field(-290.0, -110.0),
}


SHOWN_TISSUES = (
    Structure.SKELETAL_MUSCLE,
    Structure.SUBCUTANEOUS_FAT,
    Structure.VISCERAL_FAT,
)
SHAPE_STEP_MM = 1.5
"""Organ volumes from shapes at this step differ from those at 1 mm by less than 0.5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesTruth:
    """What should be measured on a series: counted on its painted voxels, or computed from the shapes."""

    l3_z_mm: float | None
    area_cm2: dict[Structure, float]
    """At the middle of L3, by HU window of the tissue in its true compartment."""
    organ_ml: dict[Structure, float]
    """Volume inside the field of view."""


def write_demo_series(
    folder: Path,
    *,
    seed: int,
    field: str,
    shape_rc: tuple[int, int],
    spacing_mm: tuple[float, float, float],
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> SeriesTruth:
    """Write the series of a seed and return its truth; `changes` replace fields of the SeriesHeader."""
    case = make_case(seed, spacing_mm=spacing_mm, shape_rc=shape_rc, field=FIELDS[field])
    write_case(folder, case, seed=seed, field=field, changes=changes)
    return truth_of(case)


def write_case(
    folder: Path,
    case: SyntheticCase,
    *,
    seed: int,
    field: str,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """The DICOM files of a case."""
    affine = case.volume.affine_lps.copy()
    affine[2, 3] += TABLE_HEIGHT_MM
    header = replace(header_of(case, seed, field), **changes)
    write_series(Volume(hu=case.volume.hu, affine_lps=affine), header, folder)


def header_of(case: SyntheticCase, seed: int, field: str) -> SeriesHeader:
    """Demographics that fit the anatomy."""
    anatomy = case.anatomy
    return SeriesHeader(
        seed=seed,
        sex=anatomy.sex,
        age_years=round(anatomy.age_years),
        height_m=round(anatomy.height_m, 2),
        weight_kg=round(anatomy.weight_kg, 1),
        series_description=f"Synthetic {field}",
        contrast_agent=None if case.acquisition.phase == Phase.NONE else "Synthetic agent",
    )


def shape_truth_of(case: SyntheticCase) -> SeriesTruth:
    """Computed from the shapes and the noise; blur and the texture within tissues are not in it. Takes seconds."""
    first_mm, step_mm = float(case.volume.affine_lps[2, 3]), case.volume.spacing_mm[0]
    field_mm = (first_mm - step_mm / 2, first_mm + step_mm * (case.volume.shape[0] - 0.5))
    organs = organ_truth_ml(case.anatomy, step_mm=SHAPE_STEP_MM, field_mm=field_mm)
    organ_ml = {structure: ml for structure, ml in organs.items() if ml}
    if case.l3_z_mm is None:
        return SeriesTruth(l3_z_mm=None, area_cm2={}, organ_ml=organ_ml)
    at_l3 = analytic_truth(case.anatomy, case.acquisition)
    return SeriesTruth(
        l3_z_mm=at_l3.l3_z_mm + TABLE_HEIGHT_MM,
        area_cm2={tissue: at_l3.tissues[tissue].area_cm2 for tissue in SHOWN_TISSUES},
        organ_ml=organ_ml,
    )


def truth_of(case: SyntheticCase) -> SeriesTruth:
    """Counted on the painted voxels."""
    return counted_truth(case.volume, case.tissue_labels, case.l3_z_mm)


def counted_truth(volume: Volume, tissue_labels: Labels, l3_z_mm: float | None) -> SeriesTruth:
    """Organs by label; tissues at the middle of L3 by HU window in their compartment."""
    counts = np.bincount(ORGAN_LUT[tissue_labels].ravel(), minlength=len(Structure) + 1)
    organ_ml = {
        structure: float(counts[label]) * volume.voxel_ml
        for label, structure in enumerate(tuple(Structure)[:14], start=1)
        if counts[label]
    }
    if l3_z_mm is None:
        return SeriesTruth(l3_z_mm=None, area_cm2={}, organ_ml=organ_ml)
    k = round((l3_z_mm - volume.affine_lps[2, 3]) / volume.spacing_mm[0])
    compartments, hu = COMPARTMENT_LUT[tissue_labels[k]], volume.hu[k]
    pixel_cm2 = volume.spacing_mm[1] * volume.spacing_mm[2] / 100
    area_cm2 = {
        structure: float(((compartments == label) & (hu >= low) & (hu <= high)).sum()) * pixel_cm2
        for structure in SHOWN_TISSUES
        for label, (low, high) in (WINDOWS_HU[structure],)
    }
    return SeriesTruth(l3_z_mm=l3_z_mm + TABLE_HEIGHT_MM, area_cm2=area_cm2, organ_ml=organ_ml)


def truth_text(truth: SeriesTruth) -> str:
    """The truth as lines for people."""
    if truth.l3_z_mm is None:
        lines = ["L3 is not in the field of view"]
    else:
        lines = [f"true L3 at z {truth.l3_z_mm:.1f} mm"]
    lines += [
        f"true {s.value.replace('_', ' ')} at L3: {v:.1f} cm²" for s, v in truth.area_cm2.items()
    ]
    lines += [f"true {s.value.replace('_', ' ')}: {v:.0f} ml" for s, v in truth.organ_ml.items()]
    return "\n".join(lines) + "\n"
