"""Where the organ network's patches are cut from torsos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from inference.domain.errors import ConfigurationInvalid
from inference.domain.labelmap import Structure
from inference.stages.grids import AIR_HU
from tests.training.test_batches import STILL
from training.augment import chance_for
from training.config import TrainConfig, load_config
from training.samples import TorsoSample
from training.source import Source
from training.specification import ORGANS
from training.tasks.organs import PARTING_SHARE, SLAB_MM, OrganTask, slab

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")
CONFIGS = Path(__file__).parents[2] / "training" / "configs"
AORTA, KIDNEY = (ORGANS.labels.index(one.value) for one in (Structure.AORTA, Structure.KIDNEY_LEFT))
PARTING, KIDNEY_SLICES = 12, slice(45, 50)
SHAPE = (8, 16, 16)
LIVER = ORGANS.labels.index(Structure.LIVER.value)
LIVER_SLICES = slice(30, 55)


def config_of(**changes: object) -> TrainConfig:
    """Patches of a few voxels, neither warped nor varied, of the middle as of the aorta's end."""
    still: dict[str, object] = {
        "input_shape": SHAPE,
        "batch_size": 8,
        "augmentation": STILL,
        "validation_share": 0.3,
        "repainted_share": 0.0,
        "options": {},
    }
    return replace(load_config(CONFIGS / "organs.toml"), **(still | changes))  # type: ignore[arg-type]


def organ_task(
    folder: Path,
    *,
    has_aorta: bool,
    has_liver: bool = False,
    config: TrainConfig | None = None,
    tissue: int | None = None,
) -> OrganTask:
    """Of torsos of 60 slices whose aorta ends far below the only organ, all of one tissue where fine labels are wanted."""
    labels = np.zeros((60, 24, 24), np.uint8)
    labels[KIDNEY_SLICES, 14:18, 14:18] = KIDNEY
    if has_aorta:
        labels[PARTING:, 12, 12] = AORTA
    if has_liver:
        labels[LIVER_SLICES, 4:12, 4:12] = LIVER
    torso = TorsoSample(
        hu=np.zeros(labels.shape, np.int16),
        labels=labels,
        body_centre=np.array([30.0, 12.0, 12.0], np.float32),
        step_mm=np.array(ORGANS.spacing_mm, np.float32),
        tissues=np.full(labels.shape if tissue is not None else (0, 0, 0), tissue or 0, np.uint8),
    )
    for seed in range(4):
        torso.write(folder / "torso" / f"{seed:06d}.npz")
    config = config or config_of()
    task = OrganTask(config, Source(folder=folder), CPU)
    task.grow()
    return task


class NothingFound(torch.nn.Module):
    """Everything is background."""

    def forward(self, voxels: torch.Tensor) -> torch.Tensor:
        return torch.eye(len(ORGANS.labels))[0].view(1, -1, 1, 1, 1).expand(1, -1, *SHAPE) + 0 * (
            voxels
        )


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


def test_what_is_not_to_be_learned_is_background(tmp_path: Path) -> None:
    config = config_of(options={"only": ["aorta"]})

    task = organ_task(tmp_path, has_aorta=True, has_liver=True, config=config)
    shown = [task.batch(chance_for(CPU, seed))[1][0] for seed in range(8)]

    assert set(torch.cat(shown).unique().tolist()) == {0, AORTA}


def test_patches_are_cut_about_the_only_organ_to_learn(tmp_path: Path) -> None:
    config = config_of(options={"only": ["kidney_left"]}, input_shape=(8, 4, 4))

    _, (labels,) = organ_task(tmp_path, has_aorta=True, config=config).batch(chance_for(CPU, 0))

    held = [one[one.flatten(1).any(1)] for one in labels if one.any()]
    assert held
    assert all((one == KIDNEY).all() for one in held)


def test_of_an_organ_in_the_midst_of_the_body_only_slices_end(tmp_path: Path) -> None:
    ends = replace(STILL, crop_probability=1.0)
    config = config_of(options={"only": ["aorta"]}, augmentation=ends)
    task = organ_task(tmp_path, has_aorta=True, config=config)

    for seed in range(4):
        (hu,), _ = task.batch(chance_for(CPU, seed))
        rows = hu.amax(dim=(1, 2, 4))
        assert torch.allclose(rows, rows[:, :1].expand_as(rows), atol=1e-4)


def test_slabs_through_the_dome_have_air_above_and_below(tmp_path: Path) -> None:
    config = config_of(options={"dome_share": 0.85}, input_shape=(32, 16, 16))
    task = organ_task(tmp_path, has_aorta=True, has_liver=True, config=config)

    thick_mm = []
    for seed in range(6):
        (hu,), _ = task.batch(chance_for(CPU, seed))
        thick_mm += [3.0 * int((one > one.min()).flatten(1).any(1).sum()) for one in hu[:, 0]]

    slabs = [one for one in thick_mm if SLAB_MM[0] - 3 <= one <= SLAB_MM[1]]
    assert len(slabs) / len(thick_mm) > 0.7


def test_a_slab_keeps_what_lies_about_the_middle() -> None:
    hu, labels = torch.full((1, 11, 2, 2), 40.0), torch.ones((1, 11, 2, 2), dtype=torch.uint8)

    hu, labels = slab(hu, labels, 4.0)

    assert labels[0, :, 0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]
    assert hu[0, :, 0, 0].tolist() == [AIR_HU] * 3 + [40.0] * 5 + [AIR_HU] * 3


def test_without_a_liver_there_is_no_slab_through_its_dome(tmp_path: Path) -> None:
    config = config_of(options={"dome_share": 0.85}, input_shape=(32, 16, 16))
    task = organ_task(tmp_path, has_aorta=True, config=config)

    (hu,), _ = task.batch(chance_for(CPU, 0))

    ends = (hu[:, 0] > hu.min()).flatten(2).any(2)[:, [0, -1]]
    assert ends.any(1).all()


@pytest.mark.parametrize(
    "options", [{"only": ["appendix"]}, {"dome_share": 0.9}, {"loop_share": 1.5}]
)
def test_what_the_organs_task_does_not_know_is_refused(
    tmp_path: Path, options: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"appendix|dome_share 0.9|loop_share 1.5"):
        organ_task(tmp_path, has_aorta=True, config=config_of(options=options))


def test_organs_that_are_not_learned_are_not_scored(tmp_path: Path) -> None:
    config = config_of(options={"only": ["kidney_left"]})
    task = organ_task(tmp_path, has_aorta=True, config=config)

    scores = task.validate(NothingFound())

    assert set(scores) == {"dice_kidney_left", "dice_mean"}
