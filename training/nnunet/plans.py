"""nnU-Net's plans, changed as settings say: a smaller network, another patch, and the numbers of a run."""

import copy
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from inference.domain.errors import ConfigurationInvalid
from training.nnunet.label_choice import LabelChoice
from training.nnunet.settings import Replaced, Settings, Training
from training.nnunet.workspace import (
    PLANS,
    Workspace,
    plans_of,
    read_json,
    write_json,
)

FULL: Final = "3d_fullres"
LOW: Final = "3d_lowres"
CASCADE: Final = "3d_cascade_fullres"
ORDER = "habitus_training"
"""Key of a run's numbers, which our trainer reads."""

Plans = dict[str, Any]


def replaced_plans(planned: Mapping[str, Any], settings: Settings) -> Plans:
    """With the networks that the settings name; what they leave alone stays as nnU-Net planned it."""
    plans = copy.deepcopy(dict(planned))
    parts = plans["configurations"]
    for name, replaced in settings.configurations.items():
        if name not in settings.planning.configurations:
            continue
        if name == LOW and LOW not in parts:
            parts[LOW] = copy.deepcopy(parts[FULL])
        parts[name] = _replaced(parts[name], replaced)
    if LOW in parts and LOW in settings.planning.configurations:
        _link_cascade(parts, settings)
    return plans


def _link_cascade(parts: Plans, settings: Settings) -> None:
    """As nnU-Net's planner does where it finds a low resolution worth its while."""
    parts[LOW] |= {
        "data_identifier": f"{PLANS}_{LOW}",
        "next_stage": CASCADE,
        "batch_dice": False,
    }
    replaced = settings.configurations.get(LOW)
    if replaced is not None and replaced.spacing_mm is not None:
        full = np.array(parts[FULL]["spacing"])
        size = np.array(parts[FULL]["median_image_size_in_voxels"]) * full
        parts[LOW]["spacing"] = list(replaced.spacing_mm)
        parts[LOW]["median_image_size_in_voxels"] = (size / replaced.spacing_mm).tolist()
    parts[CASCADE] = {"inherits_from": FULL, "previous_stage": LOW}


def _replaced(part: Mapping[str, Any], replaced: Replaced) -> Plans:
    dimensions, stages = len(replaced.patch_size), len(replaced.features_per_stage)
    changed = copy.deepcopy(dict(part))
    changed["patch_size"] = list(replaced.patch_size)
    if replaced.batch_size is not None:
        changed["batch_size"] = replaced.batch_size
    if replaced.has_batch_dice is not None:
        changed["batch_dice"] = replaced.has_batch_dice
    changed["architecture"]["arch_kwargs"] |= {
        "n_stages": stages,
        "features_per_stage": list(replaced.features_per_stage),
        "kernel_sizes": [[3] * dimensions] * stages,
        "strides": [[1] * dimensions, *[[2] * dimensions] * (stages - 1)],
        "n_conv_per_stage": [replaced.convolutions_per_stage] * stages,
        "n_conv_per_stage_decoder": [replaced.convolutions_per_stage_up] * (stages - 1),
    }
    return changed


def run_plans(
    planned: Mapping[str, Any], run: str, training: Training, choice: LabelChoice
) -> Plans:
    """The plans of one run: their own name, batch size and length, so that runs lie side by side.

    The batch size is that of patches in three dimensions; slices keep what was planned for them.
    """
    plans = copy.deepcopy(dict(planned))
    plans["plans_name"] = plans_of(run)
    for name, part in plans["configurations"].items():
        if name in (FULL, LOW):
            part["batch_size"] = training.batch_size
    order = training.model_dump()
    if order["mirroring"] == "all" and choice.has_sides:
        order["mirroring"] = "not-left-right"
    plans[ORDER] = order
    return plans


def write_run_plans(space: Workspace, run: str, training: Training) -> Plans:
    """Once per run; raises ConfigurationInvalid where the name stands for other numbers already."""
    labels = space.description()["labels"]
    choice = LabelChoice(names=tuple(name for name in labels if name != "background"))
    plans = run_plans(read_json(space.plans_file()), run, training, choice)
    path = space.plans_file(plans_of(run))
    if path.exists():
        there = read_json(path)
        # nnU-Net's own numbers come back from JSON as they were; only what we chose can differ.
        if there.get(ORDER) != plans[ORDER] or there["configurations"] != plans["configurations"]:
            raise ConfigurationInvalid(
                found=f"a run {run} with other settings or plans",
                wanted="the same ones",
                advice="Name another --run.",
            )
        return there
    write_json(plans, path)
    return plans


def planned_network(plans: Mapping[str, Any], configuration: str, labels: int) -> Any:
    """What nnU-Net builds from the plans for one CT channel, without weights."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    architecture = plans["configurations"][configuration]["architecture"]
    return get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        1,
        labels,
        allow_init=False,
        deep_supervision=False,
    )


def parameters_of(plans: Mapping[str, Any], configuration: str, labels: int) -> int:
    """Weights of the planned network."""
    network = planned_network(plans, configuration, labels)
    return sum(weight.numel() for weight in network.parameters())
