"""nnU-Net's trainer with the numbers of a run read from its plans.

nnU-Net itself keeps epochs and iterations in subclasses. Only they, mirroring and how checkpoints reach the disk differ here.
"""

import json
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as TheirModule

from training.nnunet.plans import ORDER
from training.nnunet.plots import PROGRESS_NAME

COLUMNS_AXIS = 2
"""Of arrays [slice, row, column]: what left and right lie along."""


class HabitusTrainer(TheirModule.nnUNetTrainer):  # type: ignore[name-defined]
    """The name is written into every checkpoint and looked up again when it is used."""

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net reads this signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        order = self.plans_manager.plans[ORDER]
        self.num_epochs = order["epochs"]
        self.num_iterations_per_epoch = order["iterations_per_epoch"]
        self.num_val_iterations_per_epoch = order["validation_iterations_per_epoch"]
        self.initial_lr = order["learning_rate"]
        self.oversample_foreground_percent = order["foreground_share"]
        self.save_every = order["checkpoint_every_epochs"]
        # nnU-Net's own takes seconds after every epoch; python -m training nnunet plots draws the same numbers.
        self.logger.plot_progress_png = _no_picture

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802 - theirs
        """As nnU-Net does, without the axes that must not be mirrored."""
        rotation, is_flat, patch_size, axes = (
            super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        mirroring = self.plans_manager.plans[ORDER]["mirroring"]
        if mirroring == "none":
            axes = ()
        elif mirroring == "not-left-right":
            spatial = self.plans_manager.transpose_forward[-len(axes) :]
            axes = tuple(axis for axis in axes if spatial[axis] != COLUMNS_AXIS)
        # Empty, nnU-Net's predictor would ask for the largest of no axes.
        self.inference_allowed_mirroring_axes = axes or None
        return rotation, is_flat, patch_size, axes

    def configure_optimizers(self) -> Any:
        """nnU-Net's, or Adam as its nnUNetTrainerAdam has it."""
        if self.plans_manager.plans[ORDER]["optimiser"] == "sgd":
            return super().configure_optimizers()
        optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=self.initial_lr,
            weight_decay=self.weight_decay,
            amsgrad=True,
        )
        return optimiser, PolyLRScheduler(optimiser, self.initial_lr, self.num_epochs)

    def save_checkpoint(self, filename: str) -> None:
        """Put in place at once: killed while it writes, nnU-Net leaves half a checkpoint."""
        aside = f"{filename}.part"
        super().save_checkpoint(aside)
        if Path(aside).exists():
            Path(aside).replace(filename)

    def on_epoch_end(self) -> None:
        """As nnU-Net does; its log also as JSON, which needs no torch to be drawn."""
        super().on_epoch_end()
        if self.local_rank == 0:
            log = self.logger.local_logger.my_fantastic_logging
            path = Path(self.output_folder) / PROGRESS_NAME
            aside = path.with_suffix(".part")
            aside.write_text(json.dumps(log, default=float), encoding="utf-8")
            aside.replace(path)


def _no_picture(output_folder: str) -> None:
    del output_folder


def register() -> None:
    """Where nnU-Net looks first: by its other way (nnUNet_extTrainer) it imports all of its trainers before ours.

    One of them needs timm, which the training environment leaves out because it needs torchvision.
    """
    TheirModule.HabitusTrainer = HabitusTrainer  # type: ignore[attr-defined]
