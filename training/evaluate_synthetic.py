"""make eval-synthetic: the shipped models on synthetic CT they never saw, half of it outside the trained ranges."""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import numpy as np
import numpy.typing as npt

from inference.domain.analysis_profile import HuWindows, load_profile
from inference.domain.errors import ImplausibleResult, LevelNotFound
from inference.domain.labelmap import FLARE22_ORGANS, TISSUES, LabelMap, Structure
from inference.domain.measurement import Patient
from inference.measure_findings import Facts
from inference.pipeline import Models, Stopwatch, analyse_volume, load_models, silent
from inference.stages.measure import slab_weights
from inference.stages.segment_tissue import segment_compartments, tissues_from_compartments
from training.as_command import exit_status
from training.synthetic.anatomy import TRAINING, UNSEEN
from training.synthetic.case import (
    ABDOMEN,
    CROP_WITH_L3,
    CROP_WITHOUT_L3,
    FULL_TORSO,
    SyntheticCase,
    make_case,
)
from training.synthetic.labels import COMPARTMENT_LUT, ORGAN_LUT
from training.workers import worker_pool

FIRST_SEED = 5_000_000
"""Training uses seeds below 1,000,000."""
GATED_TISSUES = {
    Structure.SKELETAL_MUSCLE: 0.93,
    Structure.SUBCUTANEOUS_FAT: 0.97,
    Structure.VISCERAL_FAT: 0.90,
}
GATED_ORGANS = dict.fromkeys(
    (
        Structure.LIVER,
        Structure.SPLEEN,
        Structure.KIDNEY_RIGHT,
        Structure.KIDNEY_LEFT,
        Structure.STOMACH,
        Structure.AORTA,
    ),
    0.85,
)
FIELDS = {f.kind.value: f for f in (FULL_TORSO, ABDOMEN, CROP_WITH_L3, CROP_WITHOUT_L3)}
RANGES = {"training": TRAINING, "unseen": UNSEEN}
LEVEL_MM = 10.0
LEVEL_SHARE = 0.95
SMALLEST_ML = 1.0
"""An organ of which the field holds less is not scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one case gave."""

    seed: int
    ranges: str
    level_error_mm: float | None
    """None where L3 was not reported."""
    has_l3: bool
    l3_share: float | None
    """True position of L3 in the field, 0 at the lower end."""
    field_mm: float
    dice: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def dice(found: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> float:
    """Dice overlap of two masks; 1 when both are empty."""
    total = int(found.sum()) + int(true.sum())
    return 1.0 if total == 0 else 2.0 * int((found & true).sum()) / total


def plan(count: int) -> list[tuple[int, str, str]]:
    """(seed, ranges, field) of every case: half unseen ranges, a fifth of all without L3 in addition."""
    fields = ("torso", "abdomen", "with-l3", "abdomen")
    cases = [
        (FIRST_SEED + i, ("training", "unseen")[i % 2], fields[(i // 2) % len(fields)])
        for i in range(count)
    ]
    without = [
        (FIRST_SEED + 10_000 + i, ("training", "unseen")[i % 2], "without-l3")
        for i in range(max(2, count // 5))
    ]
    return cases + without


_models: list[Models] = []


def score_case(job: tuple[int, str, str]) -> Score:
    """Make one case and analyse it with the shipped models."""
    if not _models:
        _models.append(load_models(load_profile("abdomen")))
    seed, ranges, where = job
    rng = np.random.default_rng(seed)
    slice_mm, pixel_mm = float(rng.choice([1.5, 3.0, 5.0])), float(rng.uniform(1.4, 1.8))
    case = make_case(
        seed,
        spacing_mm=(slice_mm, pixel_mm, pixel_mm),
        shape_rc=(288, 288),
        field=FIELDS[where],
        ranges=RANGES[ranges],
    )
    started = time.perf_counter()
    clock = Stopwatch(silent)
    try:
        facts = Facts(patient=Patient(), contrast="unknown")
        analysis = analyse_volume(case.volume, facts, _models[0], clock)
    except (LevelNotFound, ImplausibleResult):
        analysis = None
    seconds = time.perf_counter() - started
    scores: dict[str, float] = {}
    error = None
    if analysis is not None and analysis.report.level is not None and analysis.organs is not None:
        if case.l3_z_mm is not None:
            error = analysis.report.level.z_mm - case.l3_z_mm
            scores |= _tissue_scores(case, _models[0])
        scores |= _organ_scores(case, analysis.organs)
    low, high = case.field_z_mm
    return Score(
        seed=seed,
        ranges=ranges,
        level_error_mm=error if case.l3_z_mm is not None or analysis is None else float("nan"),
        has_l3=case.l3_z_mm is not None,
        l3_share=None if case.l3_z_mm is None else (case.l3_z_mm - low) / (high - low),
        field_mm=high - low,
        dice=scores,
        seconds=seconds,
    )


def _tissue_scores(case: SyntheticCase, models: Models) -> dict[str, float]:
    """Dice of the tissues over the true L3 extent, so that an error of level is not counted twice."""
    extent = case.anatomy.l3_extent_mm
    slices = np.flatnonzero(slab_weights(case.volume, extent) > 0).tolist()
    found = segment_compartments(case.volume, slices, models.tissue)
    true = np.zeros_like(found)
    true[slices] = COMPARTMENT_LUT[case.tissue_labels[slices]]
    pair = [
        tissues_from_compartments(case.volume, compartments, HuWindows())
        for compartments in (found, true)
    ]
    return {s.value: dice(pair[0].mask(s), pair[1].mask(s)) for s in TISSUES}


def _organ_scores(case: SyntheticCase, organs: LabelMap) -> dict[str, float]:
    true = ORGAN_LUT[case.tissue_labels]
    scores = {}
    for label, structure in organs.structures.items():
        mask = true == label
        if mask.sum() * case.volume.voxel_ml >= SMALLEST_ML:
            scores[structure.value] = dice(organs.labels == label, mask)
    return scores


def table(scores: Sequence[Score]) -> tuple[str, bool]:
    """The result as Markdown, and whether every gate holds."""
    with_l3 = [s for s in scores if s.has_l3]
    errors = [abs(s.level_error_mm) for s in with_l3 if s.level_error_mm is not None]
    within = sum(e <= LEVEL_MM for e in errors) / len(with_l3)
    guess = mean(s.l3_share for s in with_l3 if s.l3_share is not None)
    guessed = [abs((s.l3_share or 0) - guess) * s.field_mm for s in with_l3]
    false_levels = [s.seed for s in scores if not s.has_l3 and s.level_error_mm is not None]
    lines = [
        "Synthetic CT only; says nothing about patients.",
        "",
        f"{len(with_l3)} cases with L3 ({sum(s.ranges == 'unseen' for s in with_l3)} from ranges excluded in training), "
        f"{len(scores) - len(with_l3)} without; {median(s.seconds for s in scores):.1f} s per case (median).",
        "",
        "| L3 level | all | trained ranges | unseen ranges | constant-position guess |",
        "|---|---|---|---|---|",
        f"| within {LEVEL_MM:.0f} mm | {within:.1%} | {_within(with_l3, 'training'):.1%} | {_within(with_l3, 'unseen'):.1%} "
        f"| {mean(g <= LEVEL_MM for g in guessed):.1%} |",
        f"| median error, mm | {median(errors):.1f} | | | {median(guessed):.1f} |",
        f"| largest error, mm | {max(errors):.1f} | | | {max(guessed):.1f} |",
        f"| not found | {len(with_l3) - len(errors)} | | | |",
        f"| reported where there is none | {len(false_levels)} | | | |",
        "",
        "| Dice, mean (lowest) | all | trained ranges | unseen ranges | wanted |",
        "|---|---|---|---|---|",
    ]
    holds = within >= LEVEL_SHARE and not false_levels
    gates = {s.value: g for s, g in (GATED_TISSUES | GATED_ORGANS).items()}
    for name in [s.value for s in (*TISSUES, *FLARE22_ORGANS, Structure.PORTAL_SPLENIC_VEIN)]:
        values = _dices(scores, name)
        if not values:
            continue
        wanted = gates.get(name)
        holds &= wanted is None or mean(values) >= wanted
        cells = [f"{mean(values):.3f} ({min(values):.3f})"] + [
            f"{mean(part):.3f}"
            if (part := _dices([s for s in scores if s.ranges == r], name))
            else "–"
            for r in ("training", "unseen")
        ]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} | {wanted or 'reported'} |")
    misses = [
        f"seed {s.seed} ({s.ranges}): {'not found' if s.level_error_mm is None else f'{s.level_error_mm:+.1f} mm'}"
        for s in with_l3
        if s.level_error_mm is None or abs(s.level_error_mm) > LEVEL_MM
    ]
    lines += ["", f"Level misses: {'; '.join(misses) or 'none'}."]
    lines += [f"Levels reported without L3 in the field: seeds {false_levels or 'none'}."]
    lines += ["", f"Gates: {'hold' if holds else 'DO NOT HOLD'}."]
    return "\n".join(lines) + "\n", holds


def _within(scores: Iterable[Score], ranges: str) -> float:
    part = [s for s in scores if s.ranges == ranges]
    return mean(s.level_error_mm is not None and abs(s.level_error_mm) <= LEVEL_MM for s in part)


def _dices(scores: Iterable[Score], name: str) -> list[float]:
    return [s.dice[name] for s in scores if name in s.dice]


def main() -> int:
    """Run all cases in parallel processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=40, help="cases with L3 (default 40)")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    jobs, scores = plan(options.cases), []
    with worker_pool(options.workers) as pool:
        for score in pool.map(score_case, jobs):
            scores.append(score)
            shown = "none" if score.level_error_mm is None else f"{score.level_error_mm:+.1f} mm"
            sys.stderr.write(f"{len(scores)}/{len(jobs)} seed {score.seed} level {shown}\n")
    text, holds = table(scores)
    sys.stdout.write(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(exit_status("eval-synthetic", main))
