"""A trained nnU-Net as one network for the node: its folds averaged as nnU-Net averages them, and the recipe to run it by."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export_onnx.nnunet_recipe import planned, recipe_from
from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.labelmap import TISSUES
from inference.domain.manifest import UNREPORTED
from inference.domain.nnunet_recipe import CANONICAL, ORIENTATION, Recipe
from training.label_names import KIDNEY, plain, reported_as
from training.nnunet.predict import FINAL
from training.nnunet.slim import read_checkpoint
from training.nnunet.workspace import DATASET_NAME, NOTES

ARCHITECTURES = frozenset({"PlainConvUNet", "ResidualEncoderUNet"})
"""Of dynamic_network_architectures: a plans file may name any class to be imported."""
LAYERS = frozenset({"conv_op", "norm_op", "dropout_op", "nonlin"})
"""What plans let nnU-Net import, by its own planners."""
LAYER = re.compile(r"torch\.nn(\.modules(\.[a-z]+)?)?\.[A-Za-z0-9]+")
READERS = {"NibabelIOWithReorient": "RAS"}
"""nnU-Net's readers that turn every image the same way; the others take it as it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedFolder:
    """What nnU-Net leaves, and which part of it is wanted."""

    folder: Path
    configuration: str
    folds: tuple[int, ...]
    orientation: str = ""
    """Of the training images where neither their reader nor our conversion says it."""
    mirrors: bool = True
    """As the training allows; False: prediction of one view, two to eight times as fast."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedNetwork:
    """Everything a manifest says of a network, and the network."""

    network: "FoldMean"
    recipe: Recipe
    labels: tuple[str, ...]
    """Our names by number; what the node does not report has its own name behind a mark."""
    notes: Mapping[str, Any]
    """On the data, by our conversion; empty where others prepared it."""


class FoldMean(nn.Module):
    """The mean of the folds' logits, which is how nnU-Net joins them."""

    def __init__(self, folds: Sequence[nn.Module]) -> None:
        super().__init__()
        self.folds = nn.ModuleList(folds)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised [batch, 1, …] → logits [batch, label, …]."""
        total: Tensor = sum(fold(images) for fold in self.folds)  # type: ignore[assignment]
        return total / len(self.folds)


def served_network(trained: TrainedFolder) -> ServedNetwork:
    """Built and filled; raises ConfigurationInvalid for what the node cannot serve, and UnreadableInput."""
    plans, description = (_texts(trained.folder / name) for name in ("plans.json", DATASET_NAME))
    # Whatever is wrong with the plans is said before the first fold is read.
    try:
        orientation = _orientation(trained, plans, description)
        recipe_from(plans, description, trained.configuration, orientation)
        labels = _labels(description)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as problem:
        raise UnreadableInput(
            found=f"plans.json and dataset.json that say too little, or other things ({type(problem).__name__}: {problem})"[
                :160
            ],
            wanted="both as nnU-Net v2 wrote them",
            advice="Copy the trained folder again, whole.",
        ) from problem
    folds, axes = zip(
        *(_fold(trained, plans, fold, len(labels)) for fold in trained.folds), strict=True
    )
    mirrored = axes[0] if trained.mirrors else ()
    return ServedNetwork(
        network=FoldMean(folds).eval(),
        recipe=recipe_from(plans, description, trained.configuration, orientation, mirrored),
        labels=labels,
        notes=description.get(NOTES, {}),
    )


def _texts(path: Path) -> dict[str, Any]:
    """Of nnU-Net; raises UnreadableInput."""
    cause: Exception | None = None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
        found = f"{path.name} that is no object"
    except OSError as problem:
        found, cause = f"no {path.name} in {path.parent.name:.80}", problem
    except (ValueError, RecursionError) as problem:
        found, cause = f"{path.name}, which is not JSON", problem
    raise UnreadableInput(
        found=found,
        wanted="the folder that nnU-Net v2 trained in: plans.json, dataset.json, fold_0 …",
        advice="Name that folder, and copy it whole.",
    ) from cause


def _orientation(
    trained: TrainedFolder, plans: Mapping[str, Any], description: Mapping[str, Any]
) -> str:
    """Which way its images lay; raises ConfigurationInvalid where nobody says it."""
    reader = str(plans.get("image_reader_writer", ""))
    known = CANONICAL if NOTES in description else READERS.get(reader, "")
    asked = trained.orientation
    if asked and known and asked != known:
        found, wanted = f"--orientation {asked}", f"{known}, as {reader} and dataset.json have it"
    elif asked and not ORIENTATION.fullmatch(asked):
        found = f"--orientation {asked:.20}"
        wanted = "a letter of LR, one of AP and one of SI, such as RAS or LPS"
    elif not (asked or known):
        found = f"a network that sees images as they are stored ({reader:.40})"
        wanted = "the orientation of its training images"
    else:
        return asked or known
    raise ConfigurationInvalid(
        found=found,
        wanted=wanted,
        advice="Name it: --orientation RAS for most public NIfTI (nibabel.aff2axcodes tells it of an image), LPS for series "
        "written as DICOM lies. A wrong one exchanges sides.",
    )


def _labels(description: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = description["labels"]
    names = sorted(numbers, key=lambda name: int(numbers[name]))
    labels = ["background"]
    for name in names[1:]:
        structure = reported_as(name)
        # Tissues are measured at L3 by a network of their own.
        is_ours = structure is not None and structure not in TISSUES and structure not in labels
        labels.append(structure.value if is_ours and structure else f"{UNREPORTED}{plain(name)}")
    if all(label.startswith(UNREPORTED) for label in labels[1:]):
        found = ", ".join(names[1:])[:120]
        advice = (
            "Convert with --kidneys-by-side --labels liver,kidney_right,kidney_left,spleen,pancreas and train that."
            if KIDNEY in map(plain, names)
            else "Train on structures of the node, or add a name to training/label_names.toml or a structure to "
            "inference/domain/listed_structures.csv."
        )
        raise ConfigurationInvalid(
            found=f"no label that the node reports: {found}",
            wanted="organs it knows, or names of TotalSegmentator's task total",
            advice=advice,
        )
    return tuple(labels)


def _fold(
    trained: TrainedFolder, plans: Mapping[str, Any], fold: int, labels: int
) -> tuple[nn.Module, tuple[int, ...]]:
    """With the axes that its training mirrored."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    part = planned(plans, trained.configuration)
    package, _, name = part.network_arch_class_name.rpartition(".")
    if name not in ARCHITECTURES or not package.startswith("dynamic_network_architectures."):
        raise ConfigurationInvalid(
            found=f"the architecture {name:.60}",
            wanted=", ".join(sorted(ARCHITECTURES)),
            advice="Plan with nnU-Net's own planners.",
        )
    needs = part.network_arch_init_kwargs_req_import
    if not set(needs) <= LAYERS & set(part.network_arch_init_kwargs):
        raise ConfigurationInvalid(
            found=f"plans that want {', '.join(map(str, needs))[:60]} imported",
            wanted=f"some of {', '.join(sorted(LAYERS))}, as they stand among the network's options",
            advice="Do not use these plans: nobody's planner writes that.",
        )
    if unsafe := [k for k in needs if not _is_layer(part.network_arch_init_kwargs.get(k))]:
        # nnU-Net imports what stands there, and calls it.
        raise ConfigurationInvalid(
            found=f"{unsafe[0]:.40} in the plans, which names no layer of torch.nn",
            wanted="torch.nn.…",
            advice="Do not use these plans: nobody's planner writes that.",
        )
    try:
        network: nn.Module = get_network_from_plans(
            part.network_arch_class_name,
            part.network_arch_init_kwargs,
            needs,
            1,
            labels,
            allow_init=False,
            deep_supervision=False,
        )
    except (
        ArithmeticError,
        AssertionError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as problem:
        raise UnreadableInput(
            found=f"plans that describe no network ({type(problem).__name__})",
            wanted="an architecture as nnU-Net v2 plans it",
            advice="Copy plans.json again, whole.",
        ) from problem
    content = read_checkpoint(trained.folder / f"fold_{fold}" / FINAL)
    try:
        network.load_state_dict(content["network_weights"])
    except (RuntimeError, KeyError) as problem:
        raise UnreadableInput(
            found=f"weights in fold_{fold} that do not fit the plans",
            wanted="the checkpoint of a training by these plans",
            advice="Train the fold again.",
        ) from problem
    axes = content.get("inference_allowed_mirroring_axes") or ()
    return network.float(), tuple(int(axis) for axis in axes)


def _is_layer(named: object) -> bool:
    return named is None or LAYER.fullmatch(str(named)) is not None


def weights_of(network: FoldMean) -> dict[str, torch.Tensor]:
    """By fold and layer, each once: nnU-Net's decoder names its encoder's weights a second time."""
    return {
        name: weight.detach().contiguous().clone() for name, weight in network.named_parameters()
    }
