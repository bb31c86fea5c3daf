"""Slices of L3 among many others: added copies vary, others do not; weights keep the loss's scale; the node takes the export."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from inference.domain.analysis_profile import Profile
from inference.domain.errors import ConfigurationInvalid
from inference.domain.level_calibration import UNCALIBRATED
from inference.domain.level_outcome import LevelOutcome
from inference.engine.model_store import level_task, load_predictor
from inference.find_level import find_level
from tests.training.conftest import CONFIGS
from tests.unit.training.data.tiny import write_totalsegmentator
from training.augment import chance_for
from training.config import TrainConfig, load_config
from training.loop import Run, train
from training.networks.registry import build_network, count_parameters
from training.source import Source
from training.specification import CHECKPOINT_NAME
from training.tasks.l3_slices import SliceTask, classification_scores, weighted_entropy

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Two scans of 14 slices, two of them of L3, with a bright body there."""
    return Source(folder=write_totalsegmentator(tmp_path_factory.mktemp("cases")))


@pytest.fixture
def config() -> TrainConfig:
    return replace(
        load_config(CONFIGS / "small" / "l3_slices.toml"),
        input_shape=(48, 48),
        spacing_mm=(9.0, 9.0),
        network={"depth": 10, "width": 0.125},
        batch_size=4,
        validation_share=0.5,
        watch="",
        epochs=2,
    )


def grown(config: TrainConfig, cases: Source) -> SliceTask:
    task = SliceTask(config, cases, CPU)
    task.grow()
    return task


def test_copies_are_added_as_a_share_of_all_slices(config: TrainConfig, cases: Source) -> None:
    plain = grown(replace(config, options={"oversampling": 0.0}), cases)
    more = grown(replace(config, options={"oversampling": 0.25}), cases)

    assert plain.examples() == 14
    assert more.examples() == 14 + round(0.25 * 14)
    assert "14 slices, 2 of L3, of " in plain.describe()


def test_copies_vary_and_stored_slices_do_not(config: TrainConfig, cases: Source) -> None:
    task = grown(replace(config, batch_size=18, options={"oversampling": 0.25}), cases)

    (one,), (shows,) = task.batch(chance_for(CPU, 1))
    (two,), _ = task.batch(chance_for(CPU, 2))

    same = torch.tensor([torch.equal(a, b) for a, b in zip(one, two, strict=True)])
    assert int((~same).sum()) == 4
    assert bool((shows[~same] == 1).all())
    assert int(shows.sum()) == 2 + 4


def test_the_weight_of_the_others_turns_the_loss_to_l3_and_keeps_its_scale() -> None:
    logits = torch.tensor([2.0, -1.0, -1.0, -1.0])
    truth = torch.tensor([0.0, 1.0, 0.0, 0.0])

    assert float(weighted_entropy(logits, truth, 0.0)) == pytest.approx(np.log1p(np.exp(1)))
    even = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
    assert float(weighted_entropy(logits, truth, 1.0)) == pytest.approx(float(even))
    alike = torch.zeros(4)
    assert float(weighted_entropy(alike, truth, 0.3)) == pytest.approx(np.log(2))


def test_f1_where_nothing_is_found_or_nothing_is_there_is_nought() -> None:
    none, some = torch.zeros(4, dtype=torch.bool), torch.tensor([True, False, True, False])

    assert classification_scores(none, some)["f1"] == 0
    assert classification_scores(some, none)["f1"] == 0
    assert classification_scores(some, some)["f1"] == pytest.approx(1)


def test_an_option_that_is_none_is_named(config: TrainConfig, cases: Source) -> None:
    with pytest.raises(ConfigurationInvalid, match="unknown key 'oversample' in options"):
        SliceTask(replace(config, options={"oversample": 0.1}), cases, CPU)


def test_the_published_network_has_the_published_size() -> None:
    # torchvision's and He et al.'s ResNet50 with three channels and 1000 answers.
    network = build_network("SliceClassifier", {"depth": 50, "channels": 3, "answers": 1000})

    assert count_parameters(network) == 25_557_032


def test_the_node_finds_the_level_with_what_was_exported(
    config: TrainConfig, cases: Source, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    from export_onnx.orders import new_export
    from export_onnx.package import make_model
    from export_onnx.parity import synthetic_slab

    train(replace(config, epochs=15), Run(source=cases, out=tmp_path / "run"))
    checkpoint = tmp_path / "run" / CHECKPOINT_NAME
    models = tmp_path / "models"
    manifest = make_model(new_export("my-slices", "0.1.0", checkpoint, models), synthetic_slab())
    profile = Profile(name="p", description="", level_model="my-slices", tissue_model="l3-tissue")

    task = level_task(profile, models)
    predictor = load_predictor("my-slices", task, models)
    case = grown(config, cases)._cases.data.training[0]
    volume = case.read().volume
    found = find_level(volume, predictor, None, UNCALIBRATED)

    assert manifest.task == task == "l3-slice"
    assert manifest.output.labels == ("L3",)
    assert found.outcome is not LevelOutcome.NOT_IN_FIELD
    z_mm = volume.affine_lps[2, 3] + np.array([4, 5]) * volume.spacing_mm[0]
    assert found.z_mm == pytest.approx(z_mm.mean(), abs=8.0)
    with pytest.raises(ConfigurationInvalid, match="looks at single slices"):
        level_task(replace(profile, spine_model="l3-spine"), models)
