"""L3 or not, slice by slice: rare slices are shown more often, turned and sheared, and weighed against the others."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.domain.volume import slice_z_mm
from inference.stages.grids import PlaneGrid, probability_of
from inference.stages.slice_scores import chosen_slice, scored_slices, slice_planes
from training.augment import Chance, affine_grid, normalise, warp_hu
from training.config import TrainConfig, options_of
from training.data.cases import LabelledVolume
from training.label_names import L3, OUR_NUMBERS
from training.source import Source
from training.tasks.labelled import LabelledExamples

AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceOptions:
    """[options] of a configuration."""

    reach_mm: float = 10.0
    """Slices no farther from the middle of L3 show it."""
    oversampling: float = 0.0
    """L3 slices added, as a share of all slices; each is a copy, varied anew at every look."""
    other_weight: float = 1.0
    """What a slice that shows no L3 weighs in the loss; one that does weighs 1."""
    rotate_deg: float = 10.0
    shift_mm: float = 20.0
    shear: float = 0.1
    reflect_probability: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceStack:
    """The scored slices of one case."""

    hu: npt.NDArray[np.int16]
    """[slice, row, column] on the network's grid."""
    is_l3: npt.NDArray[np.bool_]
    z_mm: npt.NDArray[np.float32]
    l3_mm: float | None
    """The middle of L3; None where it is not in the field."""
    step_mm: float
    """Of the scan."""


class SliceTask:
    """See training.tasks.task.Task."""

    def __init__(
        self,
        config: TrainConfig,
        source: Source,
        device: torch.device,
        cases: LabelledExamples[SliceStack] | None = None,
    ) -> None:
        self._config, self._device = config, device
        self._options = options_of(SliceOptions, config)
        self._cases = cases or slice_cases(config, source)
        self._places: list[tuple[int, int]] = []
        self._of_l3: list[tuple[int, int]] = []

    def grow(self) -> None:
        if self._places:
            return
        self._cases.grow()
        for number, stack in enumerate(self._cases.training):
            for k, shows in enumerate(stack.is_l3):
                self._places.append((number, k))
                if shows:
                    self._of_l3.append((number, k))

    def describe(self) -> str:
        return f"{len(self._places)} slices, {len(self._of_l3)} of L3, of {self._cases.data.described()}"

    def data_hash(self) -> str:
        return self._cases.data.data_hash

    def examples(self) -> int:
        return len(self._places) + self._added()

    def _added(self) -> int:
        return round(self._options.oversampling * len(self._places)) if self._of_l3 else 0

    def batch(self, chance: Chance) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        stored = len(self._places)
        planes, shows, is_copy = [], [], []
        for index in chance.in_turn(self.examples(), self._config.batch_size):
            copy = index >= stored
            number, k = (
                self._of_l3[(index - stored) % len(self._of_l3)] if copy else self._places[index]
            )
            stack = self._cases.training[number]
            planes.append(stack.hu[k])
            shows.append(float(stack.is_l3[k]))
            is_copy.append(copy)
        hu = torch.from_numpy(np.stack(planes)).to(self._device).float()[:, None]
        varied = self._varied(hu, chance)
        chosen = torch.tensor(is_copy, device=self._device)[:, None, None, None]
        image = normalise(torch.where(chosen, varied, hu), self._config)
        return (image,), (torch.tensor(shows, device=self._device),)

    def _varied(self, hu: Tensor, chance: Chance) -> Tensor:
        """Rotation, translation, shear and reflection of every slice."""
        options, count = self._options, len(hu)
        turn = chance.uniform((count,), -options.rotate_deg, options.rotate_deg).deg2rad()
        shear = chance.uniform((count,), -options.shear, options.shear)
        flip = chance.uniform((count,), 0.0, 1.0) < options.reflect_probability
        side = torch.where(flip, -1.0, 1.0)
        cos, sin = turn.cos(), turn.sin()
        matrix = torch.stack(
            [
                torch.stack([cos, -sin + shear * cos], 1),
                torch.stack([sin * side, (cos + shear * sin) * side], 1),
            ],
            1,
        )
        reach = options.shift_mm / self._config.specification.spacing_mm[0]
        shift = chance.uniform((count, 2), -reach, reach)
        grid = affine_grid(matrix, shift, hu.shape[2:], self._config.input_shape)
        return warp_hu(hu, grid)

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return weighted_entropy(logits[:, 0], targets[0], self._options.other_weight)

    def validate(self, network: nn.Module) -> dict[str, float]:
        logits, truth, slice_errors, errors_mm = [], [], [], []
        for (stack,) in self._cases.validation:
            found = stack_logits(network, stack, self._config, self._device)
            logits.append(found)
            truth.append(torch.from_numpy(stack.is_l3.astype(np.float32)))
            if stack.l3_mm is not None:
                choice = chosen_slice(probability_of(found.numpy()), stack.z_mm)
                errors_mm.append(abs(choice.z_mm - stack.l3_mm))
                slice_errors.append(errors_mm[-1] / stack.step_mm)
        all_logits, all_truth = torch.cat(logits), torch.cat(truth)
        scores = classification_scores(all_logits > 0, all_truth > 0.5)
        entropy = weighted_entropy(all_logits, all_truth, self._options.other_weight)
        scores["validation_loss"] = float(entropy)
        if errors_mm:
            scores["slice_error"] = float(np.mean(slice_errors))
            scores["error_mm"] = float(np.mean(errors_mm))
            scores["within_10_mm"] = float(np.mean(np.array(errors_mm) <= 10))
        return scores


def slice_cases(config: TrainConfig, source: Source) -> LabelledExamples[SliceStack]:
    """The cases of a configuration's grid; several trainings may share them."""
    reach_mm = options_of(SliceOptions, config).reach_mm
    return LabelledExamples(
        source,
        config,
        wanted=(L3,),
        examples_of=partial(stacks_of, config=config, reach_mm=reach_mm),
    )


def stacks_of(
    case: LabelledVolume, *, config: TrainConfig, reach_mm: float
) -> Iterable[SliceStack]:
    """One stack per case, made by the node's own functions."""
    rows, columns = config.input_shape
    step_mm = config.specification.spacing_mm
    grid = PlaneGrid((rows, columns), (step_mm[0], step_mm[1]))
    slices = scored_slices(case.volume)
    planes = slice_planes(case.volume, slices.tolist(), grid)
    z_mm = slice_z_mm(case.volume)
    shown = np.flatnonzero((case.labels == OUR_NUMBERS[L3]).any(axis=(1, 2)))
    l3_mm = float(z_mm[shown[0]] + z_mm[shown[-1]]) / 2 if shown.size else None
    near = np.zeros(len(slices), np.bool_)
    if l3_mm is not None:
        near = np.abs(z_mm[slices] - l3_mm) <= reach_mm
    yield SliceStack(
        hu=np.rint(planes).astype(np.int16),
        is_l3=near,
        z_mm=z_mm[slices].astype(np.float32),
        l3_mm=l3_mm,
        step_mm=case.volume.spacing_mm[0],
    )


def stack_logits(
    network: nn.Module, stack: SliceStack, config: TrainConfig, device: torch.device
) -> Tensor:
    """One logit per slice, on the CPU."""
    found = [
        network(normalise(torch.from_numpy(part).to(device).float()[:, None], config))[:, 0]
        for part in np.array_split(stack.hu, max(1, -(-len(stack.hu) // AT_ONCE)))
    ]
    return torch.cat(found).float().cpu()


def weighted_entropy(logits: Tensor, truth: Tensor, other_weight: float) -> Tensor:
    """Binary cross entropy; the weights' mean is 1 whatever the share of L3, so that the learning rate keeps its meaning."""
    weights = torch.where(truth > 0.5, 1.0, other_weight)
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    return (entropy * weights).sum() / weights.sum().clamp(min=1e-6)


def classification_scores(found: Tensor, truth: Tensor) -> dict[str, float]:
    """Of slices: accuracy, precision, recall and F1 of L3; 0 where one has nothing to divide by."""
    hits = int((found & truth).sum())
    precision = hits / max(int(found.sum()), 1)
    recall = hits / max(int(truth.sum()), 1)
    return {
        "accuracy": float((found == truth).float().mean()),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-12),
    }
