"""Tissue through drawn windows and organs by residual networks, on labelled cases of boxes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from inference.domain.errors import ConfigurationInvalid
from inference.domain.volume import Volume, affine_from_axes
from inference.stages.grids import PlaneGrid
from tests.training.conftest import tissues
from tests.unit.training.data import tiny
from training.augment import chance_for
from training.checkpoint import load_checkpoint
from training.config import TrainConfig, load_config
from training.data.cases import LabelledVolume
from training.label_names import OUR_NUMBERS
from training.loop import Run, train
from training.published_losses import class_weights, weighted_bce_dice_loss
from training.source import Source
from training.specification import CHECKPOINT_NAME
from training.tasks.registry import open_task
from training.tasks.residual_organs import scan_on_grid
from training.tasks.tissue_windows import planes_at_l3

pytestmark = pytest.mark.torch
CONFIGS = Path(__file__).parents[2] / "training" / "configs"
CPU = torch.device("cpu")
TISSUES = ("background", "skeletal_muscle", "subcutaneous_fat", "visceral_fat")


def tissue_config(**changes: Any) -> TrainConfig:
    network: Mapping[str, Any] = {
        "encoder": "resnet50",
        "first_width": 4,
        "decoder_widths": [16, 12, 8, 8, 8],
    }
    config = load_config(CONFIGS / "small" / "tissue_windows_resnet50.toml")
    values = {"input_shape": (32, 32), "spacing_mm": (10.0, 10.0), "network": network} | changes
    return replace(config, **values)


def labelled() -> LabelledVolume:
    hu, labels = tissues(0)
    affine = affine_from_axes((-200.0, -150.0, 0.0), np.eye(3)[::-1], tiny.STEP_MM)
    return LabelledVolume(volume=Volume(hu=hu, affine_lps=affine), labels=labels, names=frozenset())


def test_slices_of_l3_are_cut_as_the_node_cuts_them() -> None:
    planes = list(planes_at_l3(labelled(), PlaneGrid((32, 32), (10.0, 10.0)), TISSUES, 0.0))

    assert len(planes) == 4
    # Fat between muscles belongs to their compartment, and labels lie on the HU they were drawn on.
    muscle = planes[0].hu[planes[0].labels == 1]
    assert np.median(muscle) == pytest.approx(50, abs=8)
    assert (planes[0].labels == 1).sum() == 14 * 22 - 9 * 16
    assert [np.median(planes[0].hu[planes[0].labels == n]).round(-1) for n in (2, 3)] == [-100, -90]


def test_slices_about_l3_come_where_they_are_asked_for() -> None:
    grid = PlaneGrid((32, 32), (10.0, 10.0))
    assert len(list(planes_at_l3(labelled(), grid, TISSUES, 17.0))) == 4 + 2 * 2


def test_every_sample_has_a_window_of_its_own_and_a_slice_gives_many(tissue_folder: Path) -> None:
    config = tissue_config(batch_size=40, options={"windows_per_slice": 50})
    task = open_task(config, Source(folder=tissue_folder), CPU)
    task.grow()

    (inputs,), (labels,) = task.batch(chance_for(CPU, 1))

    units = (inputs * config.sd + config.mean)[:, 0]
    assert task.examples() == 3 * 4 * 50
    assert units.min() >= -1e-5
    assert units.max() <= 1 + 1e-5
    muscle, fat = (
        torch.stack([unit[label == n].median() for unit, label in zip(units, labels, strict=True)])
        for n in (1, 2)
    )
    within = (fat > 0.01) & (muscle < 0.99)
    width = 150 / (muscle - fat)[within]
    level = 50 - (muscle[within] - 0.5) * width
    for found, (low, high) in ((width, (400, 1200)), (level, (-250, 250))):
        assert len(found) > 8
        assert found.std() > 0.1 * (high - low)
        assert found.min() > low - 60
        assert found.max() < high + 60


def test_patients_are_kept_back_unless_the_optimistic_split_is_asked_for(
    tissue_folder: Path,
) -> None:
    honest = open_task(
        tissue_config(options={"windows_per_slice": 4}), Source(folder=tissue_folder), CPU
    )
    optimistic = open_task(
        tissue_config(options={"optimistic_split": True, "windows_per_slice": 4}),
        Source(folder=tissue_folder),
        CPU,
    )
    network = torch.nn.Conv2d(1, 4, 1)
    for task in (honest, optimistic):
        task.grow()

    assert honest.examples() == 3 * 4 * 4
    assert optimistic.examples() == 4 * 4 * 4
    assert "iou" in honest.validate(network)
    assert "OPTIMISTIC" not in honest.describe()
    # A gate on "iou" can never hold by such scores.
    assert set(optimistic.validate(network)) == {
        f"optimistic_iou{part}" for part in ("", *(f"_{tissue}" for tissue in TISSUES[1:]))
    }
    assert "OPTIMISTIC" in optimistic.describe()


def test_a_perfect_answer_costs_nothing_and_rare_tissues_weigh_more() -> None:
    labels = torch.tensor([[[0, 1], [2, 3]]]).repeat(1, 8, 8)
    right = torch.nn.functional.one_hot(labels, 4).movedim(-1, 1) * 40.0 - 20.0
    weights = class_weights(torch.tensor([8000.0, 1000.0, 500.0, 10.0]))

    assert weighted_bce_dice_loss(right, labels, weights) < 1e-3
    assert weighted_bce_dice_loss(-right, labels, weights) > 5
    assert weights.mean().item() == pytest.approx(1.0)
    assert weights.argsort(descending=True).tolist() == [3, 2, 1, 0]
    wrong_rare, wrong_common = right.clone(), right.clone()
    wrong_rare[:, 3], wrong_common[:, 0] = -20.0, -20.0
    assert weighted_bce_dice_loss(wrong_rare, labels, weights) > weighted_bce_dice_loss(
        wrong_common, labels, weights
    )


@pytest.mark.parametrize("change", [{"window_width": [0.0, 100.0]}, {"windows_per_slice": 0}])
def test_options_that_make_no_window_are_refused(
    change: dict[str, Any], tissue_folder: Path
) -> None:
    with pytest.raises(ConfigurationInvalid):
        open_task(tissue_config(options=change), Source(folder=tissue_folder), CPU)


def organ_config(name: str = "residual_organs", **changes: Any) -> TrainConfig:
    config = load_config(CONFIGS / "small" / f"{name}.toml")
    values: dict[str, Any] = {
        "input_shape": (8, 16, 24),
        "spacing_mm": (8.0, 10.0, 10.0),
        "network": {"classes": 14, "widths": [4, 8, 8]},
        "validation_share": 0.34,
    }
    return replace(config, **values | changes)


@pytest.mark.parametrize("name", ["residual_organs", "residual_organ_slices"])
@pytest.mark.parametrize("label_set", ["btcv", "flare22"])
def test_thirteen_organs_of_either_data_set_are_learned_in_its_own_order(
    name: str, label_set: str, tmp_path: Path
) -> None:
    write = {"btcv": tiny.write_btcv, "flare22": tiny.write_flare22}[label_set]
    folder = write(tmp_path / "data")
    config = organ_config(name, label_set=label_set)

    history = train(config, Run(source=Source(folder=folder), out=tmp_path / "out", max_steps=2))

    kept = load_checkpoint(tmp_path / "out" / CHECKPOINT_NAME)
    numbers = {"btcv": tiny.BTCV, "flare22": tiny.FLARE22}[label_set]
    assert {label: n for n, label in enumerate(kept.config.specification.labels)} == {
        "background": 0,
        **numbers,
    }
    assert set(history.metrics) == {f"dice_{organ}" for organ in (*numbers, "mean")} | {"loss"}
    assert kept.config.specification.task == "organs"


def test_cases_without_an_organ_that_is_learned_are_refused(tmp_path: Path) -> None:
    folder = tiny.write_btcv(tmp_path)
    task = open_task(organ_config(label_set="flare22"), Source(folder=folder), CPU)
    with pytest.raises(ConfigurationInvalid, match="duodenum"):
        task.grow()


@pytest.mark.parametrize(
    "places", [None, np.array([0.0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])]
)
def test_labels_lie_on_their_voxels_after_resampling(
    places: np.ndarray[Any, Any] | None,
) -> None:
    hu, labels = tiny.ct(), tiny.labels(tiny.OURS)
    affine = affine_from_axes((-200.0, -150.0, 0.0), np.eye(3)[::-1], tiny.STEP_MM)
    case = LabelledVolume(
        volume=Volume(hu=hu, affine_lps=affine, slice_places=places),
        labels=labels,
        names=frozenset(),
    )

    scan = scan_on_grid(case, (4.0, 5.0, 5.0), ("background", "liver", "spleen"))

    inside = scan["hu"][scan["labels"] > 0]
    assert (inside > 0).float().mean() > 0.93
    if places is None:
        thirds = scan_on_grid(case, (8 / 3, 10 / 3, 10 / 3), ("background", "liver"))
        repeated = (labels == OUR_NUMBERS["liver"]).repeat(3, 0).repeat(3, 1).repeat(3, 2)
        assert (thirds["labels"].numpy() == repeated).all()
    around = scan["hu"][scan["labels"] == 0]
    assert (around > 60).float().mean() < 0.03
