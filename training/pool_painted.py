"""Examples painted from templates: one patient, several scans, slices of every region; beside the procedural torso's."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from training.origins import PAINTED
from training.pool_samples import (
    RANDOM_FIELDS_PER_SCAN,
    THICKNESS_MM,
    TISSUE_SHAPE_RC,
    TISSUE_STEP_MM,
    TORSO_SHAPE_RC,
    TORSO_STEP_MM,
    projection_sample,
    random_field,
    slice_levels_mm,
    slice_sample,
    torso_sample,
)
from training.synthetic.anatomy import MOSTLY_PLAIN
from training.templates.case import grid_for, scanned
from training.templates.patient import Patient, patient_of
from training.templates.scan import sample_scan
from training.templates.spine_plan import LEARNED
from training.templates.template import Template

SCANS_PER_PATIENT = 2
CENTRAL_STEP_MM = (3.0, 1.5, 1.5)
"""Slices as thick as most that are sent, pixels fine enough for the wall of a vessel."""
CENTRAL_SHAPE_RC = (128, 160)
CENTRAL_MIDDLE_MM = (17.0, -18.0)
"""x and y of the middle of vessels, pancreas, duodenum and adrenal glands, to the left and to the back of the patient's centre line."""


@lru_cache(maxsize=16)
def opened(path: Path) -> Template:
    """Once per process."""
    return Template.read(path)


def write_painted(seed: int, out: Path, templates: tuple[Path, ...]) -> None:
    """All examples of one patient; templates take turns."""
    patient = patient_of(opened(templates[seed % len(templates)]), seed, LEARNED)
    rng = np.random.default_rng((seed, 5))
    _write_torsos(seed, out, patient, rng)
    _write_slices(seed, out, patient, rng)


def write_central(seed: int, out: Path, templates: tuple[Path, ...]) -> None:
    """The great vessels and the organs beside them of one patient, on a finer grid and nothing beyond."""
    patient = patient_of(opened(templates[seed % len(templates)]), seed, LEARNED)
    rng = np.random.default_rng((seed, 6))
    grid = grid_for(patient.reach_mm, CENTRAL_STEP_MM, CENTRAL_SHAPE_RC, rng)
    x, y, z = grid.origin_lps_mm
    left, back = CENTRAL_MIDDLE_MM
    grid = replace(grid, origin_lps_mm=(x + left, y + back, z))
    for number in range(SCANS_PER_PATIENT):
        case = scanned(patient, sample_scan(rng, MOSTLY_PLAIN), grid)
        sample = torso_sample(case.volume, case.tissue_labels, patient.vertebrae)
        sample.write(out / "torso" / f"{seed:06d}{PAINTED}{number}.npz")


def _write_torsos(seed: int, out: Path, patient: Patient, rng: np.random.Generator) -> None:
    grid = grid_for(patient.reach_mm, TORSO_STEP_MM, TORSO_SHAPE_RC, rng)
    for number in range(SCANS_PER_PATIENT):
        case = scanned(patient, sample_scan(rng, MOSTLY_PLAIN), grid)
        fields = [case.volume]
        fields += [random_field(case.volume, rng) for _ in range(RANDOM_FIELDS_PER_SCAN)]
        for place, field in enumerate(fields):
            sample = projection_sample(field, patient.vertebrae)
            sample.write(out / "projections" / f"{seed:06d}{PAINTED}{number}-{place}.npz")
        torso = torso_sample(case.volume, case.tissue_labels, patient.vertebrae)
        torso.write(out / "torso" / f"{seed:06d}{PAINTED}{number}.npz")


def _write_slices(seed: int, out: Path, patient: Patient, rng: np.random.Generator) -> None:
    images, labels = [], []
    for z_mm in slice_levels_mm(patient.vertebrae, rng):
        spacing_mm = (float(rng.uniform(*THICKNESS_MM)), *TISSUE_STEP_MM)
        grid = grid_for((z_mm, z_mm), spacing_mm, TISSUE_SHAPE_RC, rng)
        case = scanned(patient, sample_scan(rng), grid)
        images.append(case.volume.hu[0])
        labels.append(case.tissue_labels[0])
    slice_sample(images, labels).write(out / "slices" / f"{seed:06d}{PAINTED}0.npz")
