"""Whether a network in eight bits is as good as itself in full: organs of synthetic CTs, Dice with what is true of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

import numpy as np
import numpy.typing as npt

from inference.domain.manifest import ModelManifest
from inference.domain.predictor import Predictor
from inference.segment_organs import segment_organs
from training.evaluate_synthetic import SMALLEST_ML, dice
from training.synthetic.anatomy import TRAINING, UNSEEN
from training.synthetic.case import ABDOMEN, FULL_TORSO, SyntheticCase, make_case
from training.synthetic.labels import ORGAN_LUT

Float = npt.NDArray[np.float32]
FIRST_GATE_SEED = 8_100_000
"""Neither trained nor calibrated on."""
LARGEST_DROP = 0.005
"""Of any organ's mean Dice."""
LEAST_CASES = 20
SPACING_MM, SHAPE_RC = (3.0, 1.6, 1.6), (288, 288)
FIELDS, RANGES = (ABDOMEN, FULL_TORSO), (TRAINING, UNSEEN)


@dataclass(slots=True)
class Watched:
    """A predictor that keeps what its network is shown and how long it takes."""

    inner: Predictor
    keeps_batches: bool = False
    batches: list[Float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @property
    def manifest(self) -> ModelManifest:
        """Of the network."""
        return self.inner.manifest

    @property
    def provider(self) -> str:
        """Of the network."""
        return self.inner.provider

    def predict(self, batch: Float) -> Float:
        """The network's answer."""
        if self.keeps_batches:
            self.batches.append(batch.copy())
        began = time.process_time()
        answer = self.inner.predict(batch)
        self.cpu_s.append(time.process_time() - began)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOutcome:
    """Dice by organ, of the network in full and in eight bits, case by case; and CPU seconds of a patch."""

    dice: dict[str, list[tuple[float, float]]]
    patch_s: tuple[float, float]
    cases: int

    def drop(self, organ: str) -> float:
        """What eight bits cost; negative where they gain."""
        full, small = zip(*self.dice[organ], strict=True)
        return mean(full) - mean(small)

    @property
    def worst(self) -> float:
        """Of all organs."""
        return max(map(self.drop, self.dice))

    @property
    def holds(self) -> bool:
        """Whether the small network may be offered."""
        return self.cases >= LEAST_CASES and self.worst <= LARGEST_DROP


def synthetic_cases(first_seed: int, count: int) -> Iterator[SyntheticCase]:
    """Abdomens and torsos in turn, from trained and from unseen ranges."""
    for number in range(count):
        yield make_case(
            first_seed + number,
            spacing_mm=SPACING_MM,
            shape_rc=SHAPE_RC,
            field=FIELDS[number % 2],
            ranges=RANGES[number // 2 % 2],
        )


def held_against(
    full: Predictor,
    small: Predictor,
    shifts: Sequence[float],
    cases: int,
    progress: Callable[[int], None],
) -> GateOutcome:
    """Both on the same CTs."""
    watched = Watched(full), Watched(small)
    scores: dict[str, list[tuple[float, float]]] = {}
    for number, case in enumerate(synthetic_cases(FIRST_GATE_SEED, cases), start=1):
        true = ORGAN_LUT[case.tissue_labels]
        found = [segment_organs(case.volume, one, shifts, lambda _s, _d: None) for one in watched]
        for label, structure in full.manifest.structures().items():
            mask = true == label
            if mask.sum() * case.volume.voxel_ml >= SMALLEST_ML:
                first, second = (dice(labels.labels == label, mask) for labels in found)
                scores.setdefault(structure.value, []).append((first, second))
        progress(number)
    first_s, second_s = (median(one.cpu_s) for one in watched)
    return GateOutcome(dice=scores, patch_s=(first_s, second_s), cases=cases)


def gate_table(outcome: GateOutcome) -> str:
    """Organ by organ, as Markdown."""
    lines = [
        "| organ | cases | Dice, full | Dice, int8 | drop |",
        "|---|---:|---:|---:|---:|",
    ]
    for organ, pairs in outcome.dice.items():
        full, small = zip(*pairs, strict=True)
        mark = "" if outcome.drop(organ) <= LARGEST_DROP else " **too much**"
        lines.append(
            f"| {organ.replace('_', ' ')} | {len(pairs)} | {mean(full):.4f} | {mean(small):.4f} | {outcome.drop(organ):+.4f}{mark} |"
        )
    return "\n".join(lines)
