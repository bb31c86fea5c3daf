"""The task classes by the name in a configuration."""

from collections.abc import Callable

import torch

from training.config import TrainConfig
from training.source import Source
from training.tasks.l3_level import LevelTask
from training.tasks.l3_slices import SliceTask
from training.tasks.l3_spine import SpineTask
from training.tasks.l3_tissue import TissueTask
from training.tasks.organ_slices import OrganSlicesTask
from training.tasks.organs import OrganTask
from training.tasks.prompted_slices import PromptedSlicesTask
from training.tasks.residual_organs import ResidualOrganTask
from training.tasks.task import Task
from training.tasks.tissue_windows import TissueWindowsTask


def open_task(config: TrainConfig, source: Source, device: torch.device) -> Task:
    """The task of a configuration over its data; nothing is read before grow()."""
    kinds: dict[str, Callable[[TrainConfig, Source, torch.device], Task]]
    kinds = {
        "l3-level": LevelTask,
        "l3-spine": SpineTask,
        "l3-tissue": TissueTask,
        "organs": OrganTask,
        "l3-slices": SliceTask,
        "organ-slices": OrganSlicesTask,
        "prompted-slices": PromptedSlicesTask,
        "residual-organ-slices": ResidualOrganTask,
        "residual-organs": ResidualOrganTask,
        "tissue-windows": TissueWindowsTask,
    }
    return kinds[config.task](config, source, device)
