"""Fit the decision on L3 to painted cases: python -m training.calibrate_level --template anatomy.npz --models models."""

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from inference.domain.analysis_profile import Profile, load_profile
from inference.domain.errors import ConfigurationInvalid
from inference.domain.level_calibration import (
    CALIBRATION_NAME,
    LevelCalibration,
    calibration_to_toml,
)
from inference.engine.model_store import SHIPPED_MODELS, verified_manifest
from inference.stages.decide_level import REACH_MM
from training.as_command import exit_status
from training.level_cases import FIRST_SEED, LAST_SEED, CaseOrder, LevelCase, made_case
from training.level_fit import VERTEBRA_MM, Answer, Array, answers, cross_fitted, fitted
from training.templates.template import Template
from training.workers import worker_pool

LEAST_CASES = 100
"""With fewer, what is written into the folder of the models would be chance; the node could not tell."""
BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the cases, fit, print, write the file."""
    options = _parser().parse_args(arguments)
    profile = load_profile(options.profile)
    _require_usable(options, profile)
    cases = _cases(options, profile.level_model, profile.spine_model)
    calibration = replace(
        fitted(cases, options.largest_silent_share),
        level_sha256=verified_manifest(profile.level_model, options.models).onnx_sha256,
        spine_sha256=verified_manifest(profile.spine_model, options.models).onnx_sha256
        if profile.spine_model
        else "",
        statement=_statement(options, cases),
    )
    out = options.out or options.models / profile.level_model / CALIBRATION_NAME
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(calibration_to_toml(calibration), encoding="utf-8")
    sys.stdout.write(summary(cases, calibration))
    sys.stdout.write(f"\nWritten: {out}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.calibrate_level", description=__doc__)
    parser.add_argument("--template", type=Path, action="append", required=True, metavar="NPZ")
    parser.add_argument("--cases", type=int, default=400, help="painted cases (default 400)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help=f"from {FIRST_SEED} on")
    parser.add_argument("--models", type=Path, default=SHIPPED_MODELS, help="folder of the models")
    parser.add_argument("--profile", default="abdomen", help="whose networks (default abdomen)")
    parser.add_argument(
        "--out", type=Path, help=f"default: {CALIBRATION_NAME} in the level model's folder"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--keep", type=Path, help="folder in which made cases are kept")
    parser.add_argument(
        "--largest-silent-share",
        type=float,
        default=0.005,
        help="of the cases with L3: answers off by a vertebra without a flag (default 0.005: half of what is allowed, "
        "since the cases it is chosen on flatter it)",
    )
    return parser


def _require_usable(options: argparse.Namespace, profile: Profile) -> None:
    """Raise before anything is painted."""
    first, last = options.first_seed, options.first_seed + options.cases - 1
    rules = {
        f"{options.cases} cases": options.cases > 0,
        f"{options.workers} workers": options.workers > 0,
        f"seeds {first} to {last}": FIRST_SEED <= first <= LAST_SEED and last <= LAST_SEED,
        f"{options.cases} cases for the models' own file": options.out is not None
        or options.cases >= LEAST_CASES,
    }
    for found, holds in rules.items():
        if not holds:
            raise ConfigurationInvalid(
                found=found,
                wanted=f"cases and workers from 1, seeds {FIRST_SEED} to {LAST_SEED}, and {LEAST_CASES} cases and more "
                "unless --out names another file",
                advice="See python -m training.calibrate_level --help.",
            )
    for path in options.template:
        Template.read(path)
    for name in filter(None, (profile.level_model, profile.spine_model)):
        verified_manifest(name, options.models)


def _cases(
    options: argparse.Namespace, level_model: str, spine_model: str | None
) -> list[LevelCase]:
    seeds = range(options.first_seed, options.first_seed + options.cases)
    orders = [
        CaseOrder(
            seed=seed,
            templates=tuple(options.template),
            models=options.models,
            level_model=level_model,
            spine_model=spine_model,
            keep=options.keep,
        )
        for seed in seeds
    ]
    cases = []
    with worker_pool(options.workers) as pool:
        for case in pool.map(made_case, orders):
            cases.append(case)
            if len(cases) % 20 == 0:
                sys.stderr.write(f"{len(cases)}/{len(orders)} cases\n")
    return cases


def _statement(options: argparse.Namespace, cases: Sequence[LevelCase]) -> str:
    names = ", ".join(path.stem for path in options.template)
    first, last = cases[0].seed, cases[-1].seed
    return f"{len(cases)} synthetic cases painted from {names}, seeds {first} to {last}; no patient data"


def summary(cases: Sequence[LevelCase], calibration: LevelCalibration) -> str:
    """The fit as Markdown."""
    lines = [f"Synthetic. {calibration.statement}.", ""]
    lines += [
        f"weights {calibration.level_weight:g} (projections), {calibration.spine_weight:g} (volume); "
        f"floor {calibration.floor:g}, outside {calibration.outside:g}",
    ]
    for opinions in range(1, len(cases[0].opinions) + 1):
        lines += ["", *_summary_of(cases, calibration, opinions)]
    return "\n".join(lines) + "\n"


def _summary_of(
    cases: Sequence[LevelCase], calibration: LevelCalibration, opinions: int
) -> list[str]:
    decision = calibration.two_opinions if opinions > 1 else calibration.one_opinion
    found = answers(cases, calibration, opinions)
    reported = [one for one in found if one.evidence.in_field >= decision.in_field_from]
    confidences = cross_fitted(found, decision)
    difference_mm = calibration.largest_difference_mm if opinions > 1 else np.inf
    doubted = np.array(
        [
            one.is_doubted
            or one.evidence.difference_mm > difference_mm
            or confidence < decision.confident_from
            for one, confidence in zip(reported, confidences, strict=True)
        ]
    )
    with_l3 = [one for one in found if one.has_l3]
    without = [one for one in found if not one.has_l3]
    silent = [one for one, flag in zip(reported, doubted, strict=True) if one.is_wrong and not flag]
    missed = [one for one in with_l3 if one.evidence.in_field < decision.in_field_from]
    rejected = [one for one in without if one.evidence.in_field < decision.in_field_from]
    flagged = [one for one, flag in zip(reported, doubted, strict=True) if flag]
    flag_right = sum(one.is_right for one in flagged)
    right = [one for one in reported if one.is_right]
    rows = {
        f"within {REACH_MM:.0f} mm, of cases with L3": (len(right), len(with_l3)),
        f"off by a vertebra (> {VERTEBRA_MM:.0f} mm, or none there) without a flag": (
            len(silent),
            len(with_l3),
        ),
        "uncertain, of those reported": (len(flagged), len(reported)),
        "uncertain although right": (flag_right, len(right)),
        "not found although in the field": (len(missed), len(with_l3)),
        "not in the field, and said so": (len(rejected), len(without)),
    }
    lines = [
        f"### {'one opinion' if opinions == 1 else 'two opinions'}: confident from {decision.confident_from:g}, "
        f"in the field from {decision.in_field_from:g}, opinions may differ by {difference_mm:g} mm",
        "",
        "| synthetic | n | share | 95 % interval |",
        "|---|---|---|---|",
        *(f"| {name} | {k} of {n} | {_share(k, n)} |" for name, (k, n) in rows.items()),
        "",
        f"Silent: seeds {[one.seed for one in silent] or 'none'}.",
        "",
        *reliability(reported, confidences),
    ]
    return lines


def reliability(reported: Sequence[Answer], confidences: Array) -> list[str]:
    """How often each confidence was right; by slopes fitted on other cases."""
    right = np.array([one.is_right for one in reported], float)
    lines = [
        "| confidence (cross-fitted) | n | mean | right | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for low, high in itertools.pairwise(BINS):
        inside = (confidences >= low) & (confidences < high if high < 1 else confidences <= 1)
        n = int(inside.sum())
        if n:
            k = int(right[inside].sum())
            mean = float(confidences[inside].mean())
            lines.append(f"| {low:g} to {high:g} | {n} | {mean:.3f} | {_share(k, n)} |")
    brier = float(((confidences - right) ** 2).mean())
    return [*lines, "", f"Brier score {brier:.4f}."]


def _share(k: int, n: int) -> str:
    """With the exact binomial interval."""
    if n == 0:
        return "– | –"
    low = float(stats.beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(stats.beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return f"{k / n:.1%} | {low:.1%} to {high:.1%}"


if __name__ == "__main__":
    sys.exit(exit_status("calibrate-level", main))
