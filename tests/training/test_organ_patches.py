"""Where the organ network's patches are cut from torsos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from inference.domain.labelmap import Structure
from tests.training.test_batches import STILL
from training.augment import chance_for
from training.config import load_config
from training.samples import TorsoSample
from training.source import Source
from training.specification import ORGANS
from training.tasks.organs import PARTING_SHARE, OrganTask

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")
CONFIGS = Path(__file__).parents[2] / "training" / "configs"
AORTA, KIDNEY = (ORGANS.labels.index(one.value) for one in (Structure.AORTA, Structure.KIDNEY_LEFT))
PARTING, KIDNEY_SLICES = 12, slice(45, 50)
SHAPE = (8, 16, 16)


def organ_task(folder: Path, *, has_aorta: bool) -> OrganTask:
    """Of torsos of 60 slices whose aorta ends far below the only organ."""
    labels = np.zeros((60, 24, 24), np.uint8)
    labels[KIDNEY_SLICES, 14:18, 14:18] = KIDNEY
    if has_aorta:
        labels[PARTING:, 12, 12] = AORTA
    torso = TorsoSample(
        hu=np.zeros(labels.shape, np.int16),
        labels=labels,
        body_centre=np.array([30.0, 12.0, 12.0], np.float32),
        step_mm=np.array(ORGANS.spacing_mm, np.float32),
    )
    for seed in range(4):
        torso.write(folder / "torso" / f"{seed:06d}.npz")
    config = replace(
        load_config(CONFIGS / "organs.toml"),
        input_shape=SHAPE,
        batch_size=8,
        augmentation=STILL,
        validation_share=0.3,
        repainted_share=0.0,
    )
    task = OrganTask(config, Source(folder=folder), CPU)
    task.grow()
    return task


def about_the_parting(task: OrganTask) -> int:
    """Of 240 patches, those whose middle slice is the aorta's lowest."""
    count = 0
    for seed in range(30):
        _, (labels,) = task.batch(chance_for(CPU, seed))
        lowest = [int((one == AORTA).flatten(1).any(1).int().argmax()) for one in labels]
        count += sum(at == SHAPE[0] // 2 for at in lowest)
    return count


def test_some_patches_lie_about_the_aortas_lower_end(tmp_path: Path) -> None:
    share = about_the_parting(organ_task(tmp_path, has_aorta=True)) / 240

    assert 0.6 * PARTING_SHARE < share < 1.6 * PARTING_SHARE


def test_a_torso_without_an_aorta_gives_patches_all_the_same(tmp_path: Path) -> None:
    task = organ_task(tmp_path, has_aorta=False)

    shown = [task.batch(chance_for(CPU, seed))[1][0] for seed in range(8)]

    assert set(torch.cat(shown).unique().tolist()) == {0, KIDNEY}
