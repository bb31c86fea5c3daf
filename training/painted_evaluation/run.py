"""Scores cases in several processes and keeps a line of each, so that a stopped evaluation goes on where it was."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from inference.domain.analysis_profile import Profile
from inference.domain.errors import ConfigurationInvalid
from inference.domain.predictor import Predictor
from inference.engine.model_store import load_predictor, model_names, verified_manifest
from inference.pipeline import Models, load_models, silent
from inference.segment_organs import FineNetwork, segment_organs
from training.painted_evaluation.cases import MOST_VOXELS, CaseOrder, EvaluatedCase, Part, make_case
from training.painted_evaluation.score_level import (
    LevelAnswer,
    answered,
    level_score,
    reported_cm2,
)
from training.painted_evaluation.score_organs import OrganScores, organ_scores
from training.painted_evaluation.score_tissue import tissue_scores
from training.painted_evaluation.scores import CaseScore
from training.real.answer import profile_in
from training.templates.template import Template
from training.workers import worker_pool

PROFILE = "abdomen"
FORM = 1
"""Of a line of scores; lines of another form are not mixed with these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is evaluated on what."""

    templates: tuple[Path, ...]
    models: Path
    parts: frozenset[Part]
    has_variants: bool
    most_voxels: int = MOST_VOXELS

    @property
    def profile(self) -> Profile:
        """The default profile, with the networks that there are."""
        return profile_in(self.models, PROFILE)

    @property
    def possible(self) -> frozenset[Part]:
        """The wanted parts whose networks there are."""
        profile, there = self.profile, set(model_names(self.models))
        has = {
            Part.LEVEL: {profile.level_model, profile.tissue_model} <= there,
            Part.TISSUE: profile.tissue_model in there,
            Part.ORGANS: profile.organ_model is not None,
        }
        return frozenset(part for part in self.parts if has[part])

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of those that the parts ask."""
        profile, parts = self.profile, self.possible
        if Part.LEVEL in parts:
            return (profile if Part.ORGANS in parts else without_organs(profile)).models
        tissue = (profile.tissue_model,) if Part.TISSUE in parts else ()
        both = (profile.organ_model, profile.fine_organ_model) if Part.ORGANS in parts else ()
        return (*tissue, *(name for name in both if name))

    def identity(self) -> dict[str, Any]:
        """Scores of two runs may be put together where this is the same."""
        return {
            "form": FORM,
            "parts": sorted(self.possible),
            "variants": self.has_variants,
            "voxels": self.most_voxels,
            "templates": {path.stem: _sha256(path) for path in self.templates},
            "models": {
                name: verified_manifest(name, self.models).onnx_sha256 for name in self.networks
            },
            "numbers": {
                f"{path.parent.name}/{path.name}": _sha256(path)
                for name in self.networks
                for path in sorted((self.models / name).glob("*.toml"))
            },
        }

    @property
    def digest(self) -> str:
        """Of the identity: names the file of scores where nobody names one."""
        return hashlib.sha256(json.dumps(self.identity()).encode()).hexdigest()[:12]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_organs(profile: Profile) -> Profile:
    """The profile that asks for body composition alone."""
    return replace(profile, organ_model=None, fine_organ_model=None, fine_organs_about=())


class Networks:
    """Those that the wanted parts need, on one core."""

    def __init__(self, settings: Settings) -> None:
        parts, folder, profile = settings.possible, settings.models, settings.profile
        self.profile = profile
        with one_core():
            self.models: Models | None = None
            if Part.LEVEL in parts:
                # Organs are asked apart, so that they are scored where L3 is not in the field, too.
                self.models = load_models(without_organs(profile), models_folder=folder)
            self.tissue: Predictor | None = None
            if Part.TISSUE in parts:
                self.tissue = load_predictor(profile.tissue_model, "l3-tissue", folder)
            self.organs: Predictor | None = None
            self.fine_organs: FineNetwork | None = None
            if Part.ORGANS in parts and profile.organ_model:
                self.organs = load_predictor(profile.organ_model, "organs", folder)
            if Part.ORGANS in parts and profile.fine_organ_model:
                finer = load_predictor(profile.fine_organ_model, "organs", folder)
                self.fine_organs = FineNetwork(predictor=finer, about=profile.fine_organs_about)


class one_core:  # noqa: N801 - read as a word of the with statement
    """Networks loaded within take one thread each: the processes share the cores."""

    def __enter__(self) -> None:
        self._before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(self._before)})

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._before)


def score_case(case: EvaluatedCase, order: CaseOrder, networks: Networks) -> CaseScore:
    """Analyse a case and compare with its truth."""
    painted = case.painted
    answer: LevelAnswer | None = None
    if networks.models is not None:
        answer = answered(painted.volume, networks.models)
    tissues = {}
    if networks.tissue is not None and painted.has_l3:
        reported = reported_cm2(answer) if answer is not None else {}
        tissues = tissue_scores(painted, networks.tissue, networks.profile.windows, reported)
    organs = OrganScores(organs={}, invented_ml={}, swapped=(), side_doubts=())
    if networks.organs is not None:
        shifts = networks.profile.organ_grid_shifts
        found = segment_organs(
            painted.volume, networks.organs, shifts, silent, fine=networks.fine_organs
        )
        organs = organ_scores(painted, found)
    return CaseScore(
        seed=order.seed,
        template=order.template,
        field_kind=case.field_kind,
        variants=painted.patient.spine.variants,
        slices=painted.volume.shape[0],
        slice_mm=painted.volume.spacing_mm[0],
        pixel_mm=painted.volume.spacing_mm[1],
        is_clipped=painted.is_cut,
        level=level_score(painted, answer) if answer is not None else None,
        tissues=tissues,
        organs=organs.organs,
        invented_ml=organs.invented_ml,
        swapped=organs.swapped,
        side_doubts=organs.side_doubts,
    )


@lru_cache(maxsize=4)
def _networks(settings: Settings) -> Networks:
    """Once per process."""
    return Networks(settings)


@lru_cache(maxsize=8)
def _template(path: Path) -> Template:
    return Template.read(path)


def made_and_scored(settings: Settings, order: CaseOrder) -> CaseScore:
    """In a worker process."""
    networks = _networks(settings)
    path = next(path for path in settings.templates if path.stem == order.template)
    began = time.perf_counter()
    case = make_case(order, _template(path))
    painted = time.perf_counter()
    score = score_case(case, order, networks)
    return replace(score, painting_s=painted - began, analysis_s=time.perf_counter() - painted)


def evaluated(
    settings: Settings,
    orders: Sequence[CaseOrder],
    lines: Path,
    workers: int,
    report: Callable[[int, CaseScore], None],
) -> list[CaseScore]:
    """All scores in the order of the seeds; those that `lines` holds already are read, not made."""
    kept = kept_scores(settings, lines)
    wanted = [order for order in orders if order.seed not in kept]
    with lines.open("a", encoding="utf-8") as file:
        for score in _scored(settings, wanted, workers):
            file.write(score.to_json() + "\n")
            file.flush()
            kept[score.seed] = score
            report(len(kept), score)
    return [kept[order.seed] for order in orders]


def _scored(settings: Settings, orders: Sequence[CaseOrder], workers: int) -> Iterator[CaseScore]:
    if workers == 1 or len(orders) < 2:
        for order in orders:
            yield made_and_scored(settings, order)
        return
    # numpy's own threads would only fight with the other workers; children inherit this.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with worker_pool(workers, "spawn") as pool:
        yield from pool.map(made_and_scored, [settings] * len(orders), orders)


def kept_scores(settings: Settings, lines: Path) -> dict[int, CaseScore]:
    """Scores of an earlier call by seed; begins the file where there is none; raises ConfigurationInvalid."""
    identity = settings.identity()
    if not lines.exists():
        lines.parent.mkdir(parents=True, exist_ok=True)
        lines.write_text(json.dumps(identity) + "\n", encoding="utf-8")
        return {}
    text = lines.read_text(encoding="utf-8")
    head, *rest = text.split("\n")
    if _parsed(head) != identity:
        raise ConfigurationInvalid(
            found=f"scores of other models, templates or parts in {lines.name}",
            wanted="scores of the same",
            advice="Name another file with --lines, or delete this one.",
        )
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        # A process that was ended while it wrote leaves half a line.
        lines.write_text(whole, encoding="utf-8")
        rest = whole.split("\n")[1:]
    scores = [CaseScore.from_json(line) for line in rest if line]
    return {score.seed: score for score in scores}


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
