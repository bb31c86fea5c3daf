"""What decides a run of nnU-Net, read once from TOML (configs/paper, configs/small); an unknown key is an error."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inference.domain.errors import ConfigurationInvalid

CONFIGS = Path(__file__).parents[1] / "configs"
SHIPPED = {kind: CONFIGS / kind / "nnunet.toml" for kind in ("small", "paper")}
CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres")
PLANNED = ("2d", "3d_fullres", "3d_lowres")
"""What has data of its own; the cascade follows where a low resolution is planned."""

Count = Annotated[int, Field(ge=1)]
Step = Annotated[float, Field(gt=0.2, le=50)]
Configuration = Literal["2d", "3d_fullres", "3d_lowres"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Planning(_Table):
    """What nnU-Net plans by."""

    configurations: tuple[Configuration, ...] = PLANNED  # type: ignore[assignment]
    spacing_mm: tuple[Step, Step, Step] | None = None
    """Of the full resolution (slices, rows, columns); without: nnU-Net's own choice, the median."""
    gpu_memory_gb: Annotated[float, Field(gt=0)] = 8.0


class Replaced(_Table):
    """A network in place of the planned one; all strides are 2, all kernels 3."""

    patch_size: tuple[Count, ...]
    features_per_stage: Annotated[tuple[Count, ...], Field(min_length=3)]
    """With two, nnU-Net's deep supervision would have no output that counts."""
    convolutions_per_stage: Count = 2
    convolutions_per_stage_up: Count = 2
    spacing_mm: tuple[Step, ...] | None = None
    batch_size: Count | None = None
    """Where it is another one than of the training."""
    has_batch_dice: bool | None = None
    """Whether the Dice loss is that of the whole batch; without: as nnU-Net plans it."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        factor = 2 ** (len(self.features_per_stage) - 1)
        if any(size % factor or size < 2 * factor for size in self.patch_size):
            raise ValueError(f"patch_size must be multiples of {factor}, two of them at least")
        return self


class Training(_Table):
    """How long and in which steps."""

    epochs: Count = 100
    iterations_per_epoch: Count = 250
    validation_iterations_per_epoch: Count = 50
    batch_size: Count = 2
    optimiser: Literal["sgd", "adam"] = "sgd"
    """nnU-Net's own, or that of its nnUNetTrainerAdam, which needs fewer steps."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 0.01
    foreground_share: Annotated[float, Field(ge=0, le=1)] = 0.33
    """Of the patches of a batch that are laid about a voxel of some organ."""
    checkpoint_every_epochs: Count = 5
    mirroring: Literal["all", "not-left-right", "none"] = "all"
    """In augmentation and prediction; "all" leaves left and right alone where labels tell sides apart."""


class Settings(_Table):
    """Everything."""

    planning: Planning = Planning()
    configurations: Mapping[Configuration, Replaced] = Field(default_factory=dict)
    training: Training = Training()

    @model_validator(mode="after")
    def _dimensions(self) -> Self:
        for name, replaced in self.configurations.items():
            wanted = 2 if name == "2d" else 3
            if len(replaced.patch_size) != wanted:
                raise ValueError(f"patch_size of {name} must have {wanted} numbers")
        lowres = self.configurations.get("3d_lowres")
        if lowres is not None and (lowres.spacing_mm is None or len(lowres.spacing_mm) != 3):
            raise ValueError("3d_lowres needs spacing_mm with 3 numbers")
        return self


def load_settings(named: str) -> Settings:
    """Of "small", "paper" or a file; raises ConfigurationInvalid."""
    path = SHIPPED.get(named, Path(named))
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as problem:
        raise _unusable(f"no settings {named!r}", f"{', '.join(SHIPPED)} or a file") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise _unusable(f"{path.name}, which is not TOML", "a TOML file") from problem
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise _unusable(f"{where} in {path.name}: {first['msg']}", "usable settings") from problem


def _unusable(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        found=found, wanted=wanted, advice="See training/configs/small/nnunet.toml for every key."
    )


def validated_training(training: Training, **replaced: int | None) -> Training:
    """With what a command line says otherwise; raises ConfigurationInvalid."""
    values = {name: value for name, value in replaced.items() if value is not None}
    try:
        return Training.model_validate(training.model_dump() | values)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise _unusable(f"{first['loc'][0]}: {first['msg']}", "a usable number") from problem
