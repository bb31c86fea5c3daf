"""How fast patients are made and painted, per core or on an accelerator."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from training.synthetic.torso import Grid
from training.templates.arrays import NUMPY, Arrays
from training.templates.case import grid_for
from training.templates.geometry import label_map
from training.templates.painter import paint
from training.templates.patient import Patient, patient_of
from training.templates.scan import sample_scan
from training.templates.template import Template

ROUNDS = 5
TORSO_STEP_MM, TORSO_SHAPE_RC = (3.0, 3.0, 3.0), (144, 160)
SLICE_STEP_MM, SLICE_SHAPE_RC = (3.0, 1.6, 1.6), (320, 320)


def benchmark(
    templates: Sequence[Template],
    kit: Arrays = NUMPY,
    clock: Callable[[], float] = time.process_time,
) -> Iterator[str]:
    """Lines of a Markdown table; `clock` counts this process's CPU seconds unless an accelerator works."""
    yield "| | size | geometries per second | paintings per second |"
    yield "|---|---|---|---|"
    rng = np.random.default_rng(0)
    patients = [patient_of(t, seed) for seed, t in enumerate(templates)]
    torsos = [(p, grid_for(p.reach_mm, TORSO_STEP_MM, TORSO_SHAPE_RC, rng)) for p in patients]
    slices = [
        (p, grid_for((z, z), SLICE_STEP_MM, SLICE_SHAPE_RC, rng))
        for p in patients
        for z in [p.vertebrae["L3"].centre_lps_mm[2]]
    ]
    for name, pairs in (("torso, 3 mm", torsos), ("slice, 1.6 mm", slices)):
        made, painted = _rates(pairs, kit, clock)
        sizes = " and ".join("×".join(map(str, grid.shape)) for _, grid in pairs)
        yield f"| {name} | {sizes} | {made:.2f} | {painted:.2f} |"


def _rates(
    pairs: Sequence[tuple[Patient, Grid]], kit: Arrays, clock: Callable[[], float]
) -> tuple[float, float]:
    """Per second: geometries and paintings, the mean over the templates."""
    made = painted = 0.0
    for patient, grid in pairs:
        labels: Any = label_map(patient, grid, kit, with_table=True)
        started = clock()
        for _ in range(ROUNDS):
            labels = label_map(patient, grid, kit, with_table=True)
        kit.get(labels)
        middle = clock()
        hu: Any = labels
        for seed in range(ROUNDS):
            hu = paint([labels], sample_scan(np.random.default_rng(seed)), grid, kit)
        kit.get(hu)
        made += middle - started
        painted += clock() - middle
    return ROUNDS * len(pairs) / made, ROUNDS * len(pairs) / painted
