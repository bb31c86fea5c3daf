"""What each task's network reads and writes: shapes, steps, labels; importable without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from inference.domain.errors import ConfigurationInvalid
from inference.domain.labelmap import FLARE22_ORGANS, Structure
from inference.stages.projections import (
    CHANNELS,
    COLUMN_MM,
    CORONAL_COLUMNS,
    LANDMARKS,
    ROW_MM,
    ROWS,
    SAGITTAL_COLUMNS,
)
from inference.stages.spine_volume import TRUNK_SHAPE, TRUNK_STEP_MM

CHECKPOINT_NAME = "checkpoint.safetensors"
RESUME_NAME = "resume.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpecification:
    """The network of a task from outside, independent of its weights."""

    task: str
    network: str
    """Class name in training.networks."""
    layout: str
    channels: int
    spatial_shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    """Empty where each slice fills the grid, whatever its size."""
    labels: tuple[str, ...]
    """Output channels in order."""
    intended_use: str

    @property
    def gives_answers(self) -> bool:
        """Whether the output has no spatial axis: a logit per image."""
        return self.task == "l3-slice"

    @property
    def gives_curves(self) -> bool:
        """Whether the output runs over the first spatial axis only: a curve per landmark."""
        return self.labels == LANDMARKS


LEVEL = TaskSpecification(
    task="l3-level",
    network="LevelNet",
    layout="NCZW",
    channels=CHANNELS,
    spatial_shape=(ROWS, CORONAL_COLUMNS + SAGITTAL_COLUMNS),
    spacing_mm=(ROW_MM, COLUMN_MM),
    labels=LANDMARKS,
    intended_use="Finds the third lumbar vertebra in projections of a CT. For research use only.",
)
SPINE = TaskSpecification(
    task="l3-spine",
    network="SpineNet",
    layout="NCZYX",
    channels=1,
    spatial_shape=TRUNK_SHAPE,
    spacing_mm=(TRUNK_STEP_MM,) * 3,
    labels=LANDMARKS,
    intended_use="Counts vertebrae in a CT of the trunk: the second opinion on the third lumbar vertebra. "
    "For research use only.",
)
TISSUE = TaskSpecification(
    task="l3-tissue",
    network="TissueNet",
    layout="NCYX",
    channels=1,
    spatial_shape=(320, 320),
    spacing_mm=(1.6, 1.6),
    labels=(
        "background",
        Structure.SKELETAL_MUSCLE.value,
        Structure.SUBCUTANEOUS_FAT.value,
        Structure.VISCERAL_FAT.value,
    ),
    intended_use="Compartments of muscle and fat on axial CT at the third lumbar vertebra. "
    "For research use only.",
)
ORGANS = TaskSpecification(
    task="organs",
    network="OrganNet",
    layout="NCZYX",
    channels=1,
    spatial_shape=(80, 96, 128),
    spacing_mm=(3.0, 3.0, 3.0),
    labels=(
        "background",
        *(organ.value for organ in FLARE22_ORGANS),
        Structure.PORTAL_SPLENIC_VEIN.value,
    ),
    intended_use="Thirteen abdominal organs and the portal vein on CT. For research use only.",
)
SLICES = TaskSpecification(
    task="l3-slice",
    network="SliceClassifier",
    layout="NCYX",
    channels=1,
    spatial_shape=(224, 224),
    spacing_mm=(2.0, 2.0),
    labels=("L3",),
    intended_use="Tells axial slices of the third lumbar vertebra from others. For research use only.",
)
ORGAN_SLICES = TaskSpecification(
    task="organ-slices",
    network="PlaneUNet",
    layout="NCYX",
    channels=1,
    spatial_shape=(512, 512),
    spacing_mm=(),
    labels=("background", *(organ.value for organ in FLARE22_ORGANS)),
    intended_use="Abdominal organs on single axial slices of CT. For research use only.",
)
PROMPTED_SLICES = TaskSpecification(
    task="prompted-slices",
    network="PromptedNet",
    layout="NCYX",
    channels=1,
    spatial_shape=(512, 512),
    spacing_mm=(),
    labels=ORGAN_SLICES.labels,
    intended_use="Redraws an abdominal organ of an axial slice of CT from a box, points or a coarse mask. "
    "For research use only.",
)
LABEL_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "flare22": tuple(organ.value for organ in FLARE22_ORGANS),
        "btcv": (
            Structure.SPLEEN.value,
            Structure.KIDNEY_RIGHT.value,
            Structure.KIDNEY_LEFT.value,
            Structure.GALLBLADDER.value,
            Structure.ESOPHAGUS.value,
            Structure.LIVER.value,
            Structure.STOMACH.value,
            Structure.AORTA.value,
            Structure.INFERIOR_VENA_CAVA.value,
            Structure.PORTAL_SPLENIC_VEIN.value,
            Structure.PANCREAS.value,
            Structure.ADRENAL_RIGHT.value,
            Structure.ADRENAL_LEFT.value,
        ),
    }
)
"""Thirteen organs each, in the order of the data set's own numbers, which are the output channels."""
TISSUE_WINDOWS = replace(TISSUE, network="EncoderUNet")
RESIDUAL_ORGANS = replace(
    ORGANS,
    network="ResidualUNet",
    labels=("background", *LABEL_SETS["flare22"]),
    intended_use="Thirteen abdominal organs on CT. For research use only.",
)
RESIDUAL_ORGAN_SLICES = replace(
    RESIDUAL_ORGANS,
    network="ResidualSliceUNet",
    spatial_shape=(8, 192, 224),
    spacing_mm=(4.0, 2.0, 2.0),
)
SPECIFICATIONS = {spec.task: spec for spec in (LEVEL, SPINE, TISSUE, ORGANS)}
"""Of the node's own four models."""
RECIPES = {
    **SPECIFICATIONS,
    "l3-slices": SLICES,
    **{spec.task: spec for spec in (ORGAN_SLICES, PROMPTED_SLICES)},
    "tissue-windows": TISSUE_WINDOWS,
    "residual-organs": RESIDUAL_ORGANS,
    "residual-organ-slices": RESIDUAL_ORGAN_SLICES,
}
"""By the task of a configuration: one node task may be learned in several ways."""


def specification(task: str) -> TaskSpecification:
    """The specification of a task by name; raises ConfigurationInvalid."""
    if task not in RECIPES:
        raise ConfigurationInvalid(
            found=f"task {task!r}",
            wanted=f"one of {list(RECIPES)}",
            advice="Mend the training configuration.",
        )
    return RECIPES[task]
