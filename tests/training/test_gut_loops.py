"""Loops of gut laid against an organ of fine labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch
from scipy import ndimage

from tests.training.test_organ_patches import CPU, config_of, organ_task
from training.augment import Chance, chance_for
from training.synthetic.labels import Tissue
from training.tasks.gut_loops import (
    BENT,
    FROM_ITS_MIDDLE_MM,
    GIVES_WAY,
    HALF_LENGTH_MM,
    RADIUS_MM,
    WALL_MM,
    with_loop,
)
from training.tasks.store import Example

pytestmark = pytest.mark.torch
STEP_MM = (3.0, 1.5, 1.5)
SEEDS = range(12)


def beside_a_spine() -> torch.Tensor:
    """An aorta along the body in fat, a spine behind it."""
    tissues = torch.full((40, 64, 64), int(Tissue.VISCERAL_FAT), dtype=torch.uint8)
    tissues[:, 45:] = int(Tissue.PSOAS)
    tissues[:, 30:42, 26:38] = int(Tissue.AORTA)
    return tissues


def laid(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    before = beside_a_spine()
    return before, with_loop(before, before == Tissue.AORTA, STEP_MM, chance_for(CPU, seed))


def test_organs_and_muscle_stay_and_only_gut_is_new() -> None:
    for seed in SEEDS:
        before, after = laid(seed)

        changed = before != after
        assert changed.any()
        assert set(before[changed].tolist()) <= {int(one) for one in GIVES_WAY}
        assert set(after[changed].tolist()) <= {Tissue.BOWEL_WALL, Tissue.BOWEL_CONTENT}


def test_loops_lie_near_the_organ_and_many_touch_it() -> None:
    touching = 0
    for seed in SEEDS:
        before, after = laid(seed)

        away_mm = ndimage.distance_transform_edt(before.numpy() != Tissue.AORTA, sampling=STEP_MM)
        gut_mm = away_mm[(before != after).numpy()]
        assert gut_mm.min() <= FROM_ITS_MIDDLE_MM[1]
        assert gut_mm.max() <= FROM_ITS_MIDDLE_MM[1] + RADIUS_MM[1] + (1 + BENT) * HALF_LENGTH_MM[1]
        touching += gut_mm.min() <= max(STEP_MM)
    assert len(SEEDS) / 3 <= touching < len(SEEDS)


def test_what_a_loop_holds_lies_within_its_wall() -> None:
    held = 0
    for seed in SEEDS:
        _, after = laid(seed)

        fat = (after == Tissue.VISCERAL_FAT).numpy()
        content = (after == Tissue.BOWEL_CONTENT).numpy()
        to_fat_mm = ndimage.distance_transform_edt(~fat, sampling=STEP_MM)
        assert not (to_fat_mm[content] < WALL_MM).any()
        held += content.any()
    assert held > len(SEEDS) / 2


def test_a_patch_without_the_organ_stays_as_it_was() -> None:
    before = beside_a_spine()

    after = with_loop(
        before, torch.zeros_like(before, dtype=torch.bool), STEP_MM, chance_for(CPU, 0)
    )

    assert torch.equal(before, after)


@dataclass
class Seen:
    """In a repainter's place: takes every example and keeps the labels it is given."""

    tissues: list[torch.Tensor] = field(default_factory=list)

    def takes(self, example: Example, chance: Chance) -> bool:
        return True

    def hu(
        self, tissues: torch.Tensor, spacing_mm: Sequence[float], chance: Chance
    ) -> torch.Tensor:
        self.tissues.append(tissues)
        return torch.zeros(tissues.shape)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 6, 19), (1.0, 20, 32)])
def test_so_many_of_the_patches_painted_anew_have_a_loop(
    tmp_path: Path, share: float, least: int, most: int
) -> None:
    """Of those about the organ, that is: some come from anywhere in the torso."""
    options = {"only": ["kidney_left"], "loop_share": share}
    config = config_of(batch_size=32, options=options)
    task = organ_task(tmp_path, has_aorta=True, config=config, tissue=Tissue.VISCERAL_FAT)
    seen = Seen()
    task._repainter = seen  # type: ignore[assignment]

    task.batch(chance_for(CPU, 0))

    loops = sum(bool((one == Tissue.BOWEL_WALL).any()) for one in seen.tissues)
    assert len(seen.tissues) == 32
    assert least <= loops <= most
