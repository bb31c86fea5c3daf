"""The installed nnunetv2, from a folder of cases to what the node serves; one network of three stages, trained in seconds."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (make test-training)")

import torch

from export_onnx.nnunet import AS_NNUNET, make_organ_model
from export_onnx.nnunet import main as import_nnunet
from export_onnx.nnunet_network import TrainedFolder, served_network
from export_onnx.orders import Export
from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.engine.model_store import load_predictor
from inference.nnunet.labels import labels_of
from tests.unit.training.data.tiny import write_flare22
from training.__main__ import main
from training.nifti import nifti_volume, read_nifti
from training.nnunet.plots import Curves, figure_of
from training.nnunet.predict import properties_of
from training.nnunet.workspace import Workspace, open_workspace, read_json, write_json

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parents[2]
EPOCHS = 6
"""Voxels."""
SETTINGS = f"""
[planning]
configurations = ["3d_fullres"]
[configurations.3d_fullres]
patch_size = [16, 8, 24]
features_per_stage = [4, 8, 8]
convolutions_per_stage = 1
convolutions_per_stage_up = 1
[training]
epochs = {EPOCHS}
iterations_per_epoch = 20
validation_iterations_per_epoch = 1
checkpoint_every_epochs = 1
mirroring = "none"
"""
TRAIN = ("train", "--folds", "0", "--processes", "0", "--device", "cpu")


def run(space: Workspace, step: str, *arguments: str) -> int:
    return main(["nnunet", step, "--work", str(space.work), *arguments])


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Six cases of six boxes, a third of them kept back."""
    folder = tmp_path_factory.mktemp("nnunet")
    (folder / "tiny.toml").write_text(SETTINGS)
    data, labels = write_flare22(folder, 6), "liver,kidney_right,kidney_left,spleen"
    asked = ["--labels", labels, "--folds", "2", "--test", "0.34", "--work", str(folder / "work")]
    assert main(["nnunet", "convert", str(data), *asked]) == 0
    space = open_workspace(folder / "work")
    assert run(space, "plan", "--settings", str(folder / "tiny.toml"), "--processes", "1") == 0
    return space


@pytest.fixture(scope="module")
def trained(planned: Workspace) -> Workspace:
    """One fold, whose training is killed in the middle and goes on."""
    fold = planned.model("default", "3d_fullres") / "fold_0"
    first = subprocess.Popen(
        [sys.executable, "-m", "training", "nnunet", *TRAIN, "--work", str(planned.work)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    waited_until = time.monotonic() + 100
    while not (fold / "progress.json").exists() and time.monotonic() < waited_until:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    _until_still(fold)
    before = read_json(fold / "progress.json")
    write_json(before, planned.work / "before.json")
    assert len(before["lrs"]) < EPOCHS
    assert run(planned, *TRAIN) == 2
    assert run(planned, *TRAIN, "--resume") == 0
    return planned


def _until_still(fold: Path) -> None:
    """Until the child has seen that its command is gone."""
    log = next(fold.glob("training_log_*.txt"))
    size = -1
    while size != (size := log.stat().st_size):
        time.sleep(1.5)


@pytest.fixture(scope="module")
def predicted(trained: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("found")
    assert predict(trained, out) == 0
    return out


def predict(space: Workspace, out: Path) -> int:
    asked = ["--folds", "0", "--device", "cpu", "--processes", "1", "--out", str(out)]
    return run(space, "predict", str(space.raw / "imagesTs"), *asked)


def test_the_plans_are_nnunets_own_around_our_network(planned: Workspace) -> None:
    plans = read_json(planned.plans_file())

    part = plans["configurations"]["3d_fullres"]
    assert plans["experiment_planner_used"] == "ExperimentPlanner"
    assert part["architecture"]["arch_kwargs"]["features_per_stage"] == [4, 8, 8]
    assert part["normalization_schemes"] == ["CTNormalization"]


def test_a_killed_training_goes_on_where_it_was(trained: Workspace) -> None:
    fold = trained.model("default", "3d_fullres") / "fold_0"
    before, after = read_json(trained.work / "before.json"), read_json(fold / "progress.json")

    # Killed between the two files, the checkpoint is an epoch further than the log or as far.
    kept = len(before["lrs"])
    assert kept >= 1
    assert after["epoch_start_timestamps"][:kept] == before["epoch_start_timestamps"][:kept]
    assert len(after["lrs"]) == EPOCHS
    assert after["lrs"][0] > after["lrs"][-1]
    assert not list(fold.glob("*.part"))


def test_predictions_lie_where_their_images_do_and_are_not_made_twice(
    trained: Workspace, predicted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted((trained.raw / "imagesTs").glob("*.nii.gz"))

    assert len(images) == 2
    for path in images:
        found = read_nifti(predicted / path.name.replace("_0000", ""))
        image = nifti_volume(path)
        np.testing.assert_allclose(found.affine_lps, image.affine_lps, atol=1e-4)
        assert found.shape == image.shape
    assert predict(trained, predicted) == 0
    assert "0 of 2 cases predicted, 2 stood there" in capsys.readouterr().out


def test_scores_come_as_table_and_json(
    trained: Workspace, predicted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = str(trained.raw / "labelsTs")
    page, scores = tmp_path / "scores.md", tmp_path / "scores.json"

    asked = ["--truth", truth, "--out", str(scores), "--page", str(page)]
    assert run(trained, "evaluate", str(predicted), *asked) == 0

    assert "| liver | 2 |" in page.read_text()
    assert "(3 mm)" in page.read_text()
    assert len(json.loads(scores.read_text())["cases"]) == 2
    assert run(trained, "evaluate", str(tmp_path), *asked) == 2
    assert "2 of 2 cases" in capsys.readouterr().err


def test_curves_of_runs_are_drawn_side_by_side(trained: Workspace, tmp_path: Path) -> None:
    picture = tmp_path / "loss.svg"

    assert run(trained, "plots", "--runs", "default,default", "--out", str(picture)) == 0

    assert "<svg" in picture.read_text()


def test_a_run_of_slower_epochs_is_drawn_whole_beside_a_fast_one() -> None:
    def curves(scale: float) -> Curves:
        values = [scale, 2 * scale]
        return Curves(
            title="",
            training_loss=values,
            validation_loss=values,
            pseudo_dice=[0.1, 0.2],
            epoch_s=values,
            learning_rate=values,
        )

    for axes in figure_of([curves(1.0), curves(30.0)]).axes:
        (low, high), drawn = axes.get_ylim(), axes.dataLim
        assert low <= drawn.y0
        assert drawn.y1 <= high


def nnunet_predictor(folder: Path) -> Any:
    """nnU-Net's own, in this process; what it imports warns of its own deprecations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        predictor = nnUNetPredictor(
            device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False
        )
        predictor.initialize_from_trained_model_folder(str(folder), None)
    return predictor


def test_the_slim_folder_is_one_that_nnunet_itself_predicts_with(
    trained: Workspace, tmp_path: Path
) -> None:
    assert run(trained, "slim", "--folds", "0", "--out", str(tmp_path)) == 0

    full = trained.model("default", "3d_fullres") / "fold_0/checkpoint_final.pth"
    slim = tmp_path / "fold_0/checkpoint_final.pth"
    assert len(nnunet_predictor(tmp_path).list_of_parameters) == 1
    assert slim.stat().st_size < full.stat().st_size * 0.7


def test_the_node_answers_as_nnunet_does(trained: Workspace, tmp_path: Path) -> None:
    folder = trained.model("default", "3d_fullres")
    order = Export(name="o", version="1", checkpoint=folder, folder=tmp_path / "o")
    manifest = make_organ_model(
        order, TrainedFolder(folder=folder, configuration="3d_fullres", folds=(0,))
    )
    run(trained, "slim", "--folds", "0", "--out", str(tmp_path / "slim"))
    volume = nifti_volume(next((trained.raw / "imagesTs").glob("*.nii.gz")))
    theirs = nnunet_predictor(tmp_path / "slim").predict_single_npy_array(
        volume.hu[None].astype(np.float32), properties_of(volume)
    )

    recipe = manifest.recipe
    assert recipe is not None
    node = load_predictor("o", "organs", tmp_path)
    ours = labels_of(volume.hu, volume.spacing_mm, recipe, node.predict, lambda _: None)

    # nnU-Net puts the axis of the largest step first.
    assert recipe.transpose == (1, 0, 2)
    assert recipe.orientation == "LPS"
    assert (ours == theirs).mean() >= 0.9995
    # The node has a user of its own.
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "o").iterdir()} == {0o644}
    assert manifest.training_data.startswith("Labelled CT of the layout flare22")
    assert (
        f"{manifest.parity.argmax_agreement[AS_NNUNET]:.6f}"
        in (tmp_path / "o/README.md").read_text()
    )


def test_plans_that_would_have_anything_but_layers_called_are_refused(
    trained: Workspace, tmp_path: Path
) -> None:
    folder = trained.model("default", "3d_fullres")
    plans = read_json(folder / "plans.json")
    kwargs = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    write_json(read_json(folder / "dataset.json"), tmp_path / "dataset.json")
    asked = TrainedFolder(folder=tmp_path, configuration="3d_fullres", folds=(0,))
    for named in ("os.system", "torch.nn.modules.conv.Conv3d.__init__", "torch.hub.load"):
        kwargs["conv_op"] = named
        write_json(plans, tmp_path / "plans.json")

        with pytest.raises(ConfigurationInvalid, match=r"names no layer of torch\.nn"):
            served_network(asked)


def test_half_a_folder_and_folds_that_are_not_there_are_told(
    trained: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained.model("default", "3d_fullres")
    common = ["--name", "o", "--models", str(tmp_path)]

    assert import_nnunet([str(tmp_path / "nowhere"), *common]) == 2
    assert "folds none in nowhere" in capsys.readouterr().err
    assert import_nnunet([str(folder), *common, "--folds", "0,7"]) == 2
    assert "--folds 0,7" in capsys.readouterr().err
    assert import_nnunet([str(folder), *common, "--folds", "0", "--orientation", "RAS"]) == 2
    assert "wanted LPS" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("plans.json", None, "no plans.json in"),
        ("plans.json", "{", "which is not JSON"),
        ("plans.json", "[1]", "that is no object"),
        ("plans.json", "{}", "no configuration '3d_fullres'"),
        ("plans.json", '{"configurations": {"3d_fullres": {}}}', "say too little"),
        ("dataset.json", '{"labels": ["a", "b"], "habitus": {}}', "say too little"),
        ("dataset.json", "{}", "orientation of its training images"),
    ],
)
def test_plans_that_are_none_are_told_in_a_sentence(
    name: str, content: str | None, told: str, trained: Workspace, tmp_path: Path
) -> None:
    folder = trained.model("default", "3d_fullres")
    for text in ("plans.json", "dataset.json"):
        (tmp_path / text).write_bytes((folder / text).read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)

    with pytest.raises((ConfigurationInvalid, UnreadableInput), match=told):
        served_network(TrainedFolder(folder=tmp_path, configuration="3d_fullres", folds=(0,)))


def test_an_orientation_that_is_none_is_told(trained: Workspace, tmp_path: Path) -> None:
    folder = trained.model("default", "3d_fullres")
    description = {k: v for k, v in read_json(folder / "dataset.json").items() if k != "habitus"}
    write_json(description, tmp_path / "dataset.json")
    (tmp_path / "plans.json").write_bytes((folder / "plans.json").read_bytes())

    asked = TrainedFolder(
        folder=tmp_path, configuration="3d_fullres", folds=(0,), orientation="XYZ"
    )
    with pytest.raises(ConfigurationInvalid, match="found --orientation XYZ"):
        served_network(asked)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": {"background": 0, "kidney": 1}}, "--kidneys-by-side"),
        ({"labels": {"background": 0, "tumour": 1}}, "tumour"),
        ({"habitus": None}, "--orientation"),
    ],
)
def test_what_the_node_cannot_serve_is_refused(
    change: dict[str, object], told: str, trained: Workspace, tmp_path: Path
) -> None:
    folder = trained.model("default", "3d_fullres")
    description = read_json(folder / "dataset.json") | change
    write_json({k: v for k, v in description.items() if v is not None}, tmp_path / "dataset.json")
    (tmp_path / "plans.json").write_bytes((folder / "plans.json").read_bytes())

    with pytest.raises(ConfigurationInvalid, match=told):
        served_network(TrainedFolder(folder=tmp_path, configuration="3d_fullres", folds=(0,)))
