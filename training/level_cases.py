"""Painted cases for the L3 decision: what the networks say of them, beside the truth; kept on disk by seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from inference.domain.predictor import Predictor
from inference.domain.volume import canonical
from inference.engine.model_store import load_predictor
from inference.find_level import level_opinions
from inference.stages.projections import LANDMARKS
from inference.stages.spine_chain import LandmarkCurves
from training.templates.case import PaintedCase, make_painted_case, random_kind
from training.templates.spine_plan import USUAL, VARIANTS
from training.templates.template import Template

FIRST_SEED = 7_000_000
"""Training uses seeds below 1,000,000; evaluation begins at 5,000,000 and 6,000,000."""
LAST_SEED = 7_999_999
SHAPE_RC = (176, 216)
PIXEL_MM = (1.9, 2.4)
SLICE_MM = (2.0, 5.0)
FORM = 1
"""Of the kept files."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelCase:
    """One painted case: every opinion's curves and where L3 is."""

    seed: int
    opinions: tuple[LandmarkCurves, ...]
    l3_mm: tuple[float, float, float]
    """Lower end plate, middle, upper end plate; in the field or not."""
    variants: str
    """What is unusual about the spine."""

    @property
    def has_l3(self) -> bool:
        """Whether the middle of L3 lies in the field of view."""
        low, high = self.opinions[0].field_mm
        return bool(low <= self.l3_mm[1] <= high)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOrder:
    """What one process needs to make a case."""

    seed: int
    templates: tuple[Path, ...]
    models: Path
    level_model: str
    spine_model: str | None
    keep: Path | None
    """Folder for what was made, so that a second call need not make it again."""


def made_case(order: CaseOrder) -> LevelCase:
    """From the folder of kept cases, else painted and shown to the networks."""
    predictors = _predictors(order.models, order.level_model, order.spine_model)
    hashes = "-".join(p.manifest.onnx_sha256[:8] for p in predictors)
    kept = None if order.keep is None else order.keep / f"{order.seed}-{hashes}.npz"
    if kept is not None and kept.is_file():
        try:
            return _read(kept, order.seed)
        except (BadZipFile, KeyError, ValueError, OSError):
            kept.unlink()
    painted = painted_case(order.seed, [_template(path) for path in order.templates])
    upright = canonical(painted.volume)
    l3 = painted.vertebrae["L3"]
    case = LevelCase(
        seed=order.seed,
        opinions=level_opinions(upright, predictors[0], (*predictors, None)[1]),
        l3_mm=(l3.z_low_mm, l3.centre_lps_mm[2], l3.z_high_mm),
        variants=", ".join(painted.patient.spine.variants),
    )
    if kept is not None:
        _write(case, kept)
    return case


def painted_case(seed: int, templates: Sequence[Template]) -> PaintedCase:
    """Templates in turn; every second patient of each is unusual; slices, pixels and field at random."""
    rng = np.random.default_rng((seed, FORM))
    pixel_mm = float(rng.uniform(*PIXEL_MM))
    return make_painted_case(
        templates[seed % len(templates)],
        seed,
        spacing_mm=(float(rng.uniform(*SLICE_MM)), pixel_mm, pixel_mm),
        shape_rc=SHAPE_RC,
        field=random_kind(rng),
        ranges=VARIANTS if seed // len(templates) % 2 else USUAL,
    )


@cache
def _predictors(models: Path, level_model: str, spine_model: str | None) -> tuple[Predictor, ...]:
    found: list[Predictor] = [load_predictor(level_model, "l3-level", models)]
    if spine_model is not None:
        found.append(load_predictor(spine_model, "l3-spine", models))
    return tuple(found)


_template = cache(Template.read)


def _write(case: LevelCase, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[Any]] = {
        "l3_mm": np.array(case.l3_mm),
        "variants": np.array(case.variants),
    }
    for number, curves in enumerate(case.opinions):
        arrays[f"curves{number}"] = curves.probability.astype(np.float16)
        arrays[f"axis{number}"] = np.array([curves.first_z_mm, curves.step_mm])
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, **arrays)
    partial.replace(path)


def _read(path: Path, seed: int) -> LevelCase:
    with np.load(path) as held:
        opinions: list[LandmarkCurves] = []
        while f"curves{len(opinions)}" in held:
            number = len(opinions)
            first_z_mm, step_mm = (float(v) for v in held[f"axis{number}"])
            opinions.append(
                LandmarkCurves(
                    names=LANDMARKS,
                    probability=held[f"curves{number}"].astype(np.float32),
                    first_z_mm=first_z_mm,
                    step_mm=step_mm,
                )
            )
        low, middle, high = (float(v) for v in held["l3_mm"])
        return LevelCase(
            seed=seed,
            opinions=tuple(opinions),
            l3_mm=(low, middle, high),
            variants=str(held["variants"]),
        )
