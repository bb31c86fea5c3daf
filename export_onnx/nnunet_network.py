"""A trained nnU-Net as one network for the node: its folds averaged as nnU-Net averages them, axes in the node's order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.labelmap import Structure
from training.label_names import KIDNEY
from training.nnunet.predict import FINAL
from training.nnunet.slim import read_checkpoint
from training.nnunet.workspace import DATASET_NAME, NOTES, read_json

ARCHITECTURES = frozenset({"PlainConvUNet", "ResidualEncoderUNet"})
"""Of dynamic_network_architectures: a plans file may name any class to be imported."""
NORMALISATION = "CTNormalization"
LAYOUT_AXES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedFolder:
    """What nnU-Net leaves, and which part of it is wanted."""

    folder: Path
    configuration: str
    folds: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedNetwork:
    """Everything a manifest says of a network, and the network."""

    network: "FoldMean"
    labels: tuple[str, ...]
    patch: tuple[int, int, int]
    """Slices, rows, columns, as the next two."""
    spacing_mm: tuple[float, float, float]
    hu_window: tuple[float, float]
    mean: float
    """After the window, of 0 to 1."""
    sd: float
    notes: dict[str, Any]
    """On the data, by the conversion."""


class FoldMean(nn.Module):
    """The mean of the folds' logits, which is how nnU-Net joins them."""

    def __init__(self, folds: Sequence[nn.Module], forward_axes: Sequence[int]) -> None:
        super().__init__()
        self.folds = nn.ModuleList(folds)
        backward = [list(forward_axes).index(axis) for axis in range(LAYOUT_AXES)]
        self.into = (0, 1, *(2 + axis for axis in forward_axes))
        self.back = (0, 1, *(2 + axis for axis in backward))

    def forward(self, volumes: Tensor) -> Tensor:
        """Normalised [batch, 1, slice, row, column] → logits [batch, label, slice, row, column]."""
        turned = volumes.permute(self.into)
        total: Tensor = sum(fold(turned) for fold in self.folds)  # type: ignore[assignment]
        return (total / len(self.folds)).permute(self.back)


def served_network(trained: TrainedFolder) -> ServedNetwork:
    """Built and filled; raises ConfigurationInvalid for what the node cannot serve, and UnreadableInput."""
    plans = read_json(trained.folder / "plans.json")
    description = read_json(trained.folder / DATASET_NAME)
    part = plans["configurations"].get(trained.configuration, {})
    labels = _labels(description)
    _refuse(part, description, trained.configuration)
    axes = [int(axis) for axis in plans["transpose_forward"]]
    # nnU-Net's axis k is axis axes[k] of the file.
    place = [axes.index(axis) for axis in range(LAYOUT_AXES)]
    low, high, mean, sd = _intensities(plans)
    folds = [_fold(trained, part, fold, len(labels)) for fold in trained.folds]
    return ServedNetwork(
        network=FoldMean(folds, axes).eval(),
        labels=labels,
        patch=_three(part["patch_size"], place, int),
        spacing_mm=_three(part["spacing"], place, float),
        hu_window=(low, high),
        mean=(mean - low) / (high - low),
        sd=sd / (high - low),
        notes=description[NOTES],
    )


def _three(values: Sequence[Any], place: Sequence[int], kind: type) -> tuple[Any, Any, Any]:
    first, second, third = (kind(values[axis]) for axis in place)
    return first, second, third


def _labels(description: dict[str, Any]) -> tuple[str, ...]:
    numbers = description["labels"]
    labels = tuple(sorted(numbers, key=numbers.get))
    others = [name for name in labels[1:] if name not in set(Structure)]
    if KIDNEY in others:
        raise ConfigurationInvalid(
            found="a network of one label for both kidneys",
            wanted="kidney_right and kidney_left, which the node measures and reports each for itself",
            advice="Convert with --kidneys-by-side --labels liver,kidney_right,kidney_left,spleen,pancreas "
            "and train that.",
        )
    if others:
        raise ConfigurationInvalid(
            found=f"labels that the node does not know: {', '.join(others)}",
            wanted=", ".join(Structure),
            advice="Train on structures of the node.",
        )
    return labels


def _refuse(part: dict[str, Any], description: dict[str, Any], configuration: str) -> None:
    if "inherits_from" in part or "previous_stage" in part:
        found, advice = "a cascade", "Export 3d_fullres; predict with the cascade in training."
    elif len(part.get("patch_size", ())) != LAYOUT_AXES:
        found = f"the configuration {configuration}, which is not of three dimensions"
        advice = "Export 3d_fullres or 3d_lowres."
    elif part["normalization_schemes"] != [NORMALISATION] or any(part["use_mask_for_norm"]):
        found = f"images normalised by {', '.join(part['normalization_schemes'])}"
        advice = 'Name the channel "CT" in dataset.json, as python -m training nnunet convert does.'
    elif NOTES not in description:
        found = "a data set that python -m training nnunet convert did not write"
        advice = "Its axes may run otherwise than the node's: convert it (layout nnunet) and train."
    else:
        return
    raise ConfigurationInvalid(
        found=found,
        wanted="one network for CT volumes in the node's order of axes",
        advice=advice,
    )


def _intensities(plans: dict[str, Any]) -> tuple[float, float, float, float]:
    """nnU-Net's CT normalisation: clipped to two percentiles of the foreground, then its mean and deviation."""
    found = plans["foreground_intensity_properties_per_channel"]["0"]
    low, high = float(found["percentile_00_5"]), float(found["percentile_99_5"])
    return low, high, float(found["mean"]), max(float(found["std"]), 1e-8)


def _fold(trained: TrainedFolder, part: dict[str, Any], fold: int, labels: int) -> nn.Module:
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    architecture = part["architecture"]
    package, _, name = architecture["network_class_name"].rpartition(".")
    if name not in ARCHITECTURES or not package.startswith("dynamic_network_architectures."):
        raise ConfigurationInvalid(
            found=f"the architecture {name:.60}",
            wanted=", ".join(sorted(ARCHITECTURES)),
            advice="Plan with nnU-Net's own planners.",
        )
    network: nn.Module = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        1,
        labels,
        allow_init=False,
        deep_supervision=False,
    )
    path = trained.folder / f"fold_{fold}" / FINAL
    try:
        network.load_state_dict(read_checkpoint(path)["network_weights"])
    except (RuntimeError, KeyError) as problem:
        raise UnreadableInput(
            found=f"weights in fold_{fold} that do not fit the plans",
            wanted="the checkpoint of a training by these plans",
            advice="Train the fold again.",
        ) from problem
    return network.float()


def weights_of(network: FoldMean) -> dict[str, torch.Tensor]:
    """By fold and layer, each once: nnU-Net's decoder names its encoder's weights a second time."""
    return {
        name: weight.detach().contiguous().clone() for name, weight in network.named_parameters()
    }
