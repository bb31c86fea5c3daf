"""Plans of a run, which folds still have work, parts of a prediction; nothing here imports nnunetv2."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.domain.errors import ConfigurationInvalid
from inference.domain.volume import Volume
from tests.unit.training.data.tiny import write_flare22
from training.__main__ import main
from training.nifti import RAS_TO_LPS, nifti_volume, write_nifti
from training.nnunet.child import devices_of
from training.nnunet.label_choice import choice_of
from training.nnunet.plans import CASCADE, LOW, ORDER, replaced_plans, run_plans, write_run_plans
from training.nnunet.plots import read_curves
from training.nnunet.predict import images_in, part_of, properties_of, waiting
from training.nnunet.settings import Planning, Training, load_settings
from training.nnunet.train import Trained, train_folds
from training.nnunet.workspace import Workspace, open_workspace, write_json


def part(dimensions: int) -> dict[str, Any]:
    return {
        "batch_size": 9,
        "patch_size": [64] * dimensions,
        "spacing": [5.0] * dimensions,
        "median_image_size_in_voxels": [134.0, 84.0, 104.0][-dimensions:],
        "batch_dice": False,
        "architecture": {"arch_kwargs": {"norm_op": "theirs", "n_stages": 6}},
    }


def planned() -> dict[str, Any]:
    return {
        "plans_name": "nnUNetPlans",
        "configurations": {"2d": part(2), "3d_fullres": part(3)},
    }


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    data = write_flare22(tmp_path, 5)
    work = tmp_path / "work"
    main(
        ["nnunet", "convert", str(data), "--labels", "flare22", "--work", str(work), "--folds", "2"]
    )
    opened = open_workspace(work)
    write_json(planned(), opened.plans_file())
    return opened


def trained(**changed: Any) -> Trained:
    values: dict[str, Any] = {
        "run": "r",
        "configuration": "3d_fullres",
        "folds": (0, 1),
        "devices": ("cpu",),
        "processes": 0,
    }
    return Trained(**(values | changed))


def test_a_smaller_network_replaces_the_planned_one_and_nothing_else() -> None:
    small = load_settings("small")

    found = replaced_plans(planned(), small)["configurations"]

    assert found["2d"] == part(2)
    kwargs = found["3d_fullres"]["architecture"]["arch_kwargs"]
    assert kwargs["strides"] == [[1, 1, 1], *[[2, 2, 2]] * 3]
    assert kwargs["norm_op"] == "theirs"
    assert found["3d_fullres"]["batch_size"] == 9
    assert found["3d_fullres"]["batch_dice"]


def test_a_low_resolution_brings_the_cascade() -> None:
    small = load_settings("small")
    small = small.model_copy(
        update={"planning": Planning(configurations=("3d_fullres", "3d_lowres"))}
    )

    found = replaced_plans(planned(), small)["configurations"]

    assert found[CASCADE] == {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    assert found[LOW]["next_stage"] == CASCADE
    assert found[LOW]["data_identifier"] == "nnUNetPlans_3d_lowres"
    assert found[LOW]["median_image_size_in_voxels"] == pytest.approx(
        [134 * 5 / 14, 84 * 5 / 14, 104 * 5 / 14]
    )


def test_runs_differ_by_name_batch_size_and_length() -> None:
    choice = choice_of("abdomenct-1k", splits_kidneys=False)

    found = run_plans(planned(), "b5", Training(batch_size=5, epochs=3), choice)

    assert found["plans_name"] == "nnUNetPlans_b5"
    assert found["configurations"]["3d_fullres"]["batch_size"] == 5
    assert found["configurations"]["2d"]["batch_size"] == 9
    assert found[ORDER]["epochs"] == 3
    assert found[ORDER]["mirroring"] == "all"


def test_left_and_right_are_not_mirrored_where_labels_tell_them_apart() -> None:
    found = run_plans(planned(), "x", Training(), choice_of("large-organs", splits_kidneys=False))

    assert found[ORDER]["mirroring"] == "not-left-right"


def test_a_run_keeps_its_numbers(space: Workspace) -> None:
    write_run_plans(space, "r", Training(epochs=3))
    write_run_plans(space, "r", Training(epochs=3))

    with pytest.raises(ConfigurationInvalid, match="other settings"):
        write_run_plans(space, "r", Training(epochs=4))


def test_a_begun_fold_is_not_begun_anew_unasked(space: Workspace) -> None:
    write_run_plans(space, "r", Training())
    fold = space.model("r", "3d_fullres") / "fold_0"
    fold.mkdir(parents=True)
    (fold / "checkpoint_latest.pth").touch()

    with pytest.raises(ConfigurationInvalid, match="--resume"):
        train_folds(space, trained())


def test_finished_folds_cost_nothing(space: Workspace) -> None:
    write_run_plans(space, "r", Training())
    for number in (0, 1):
        fold = space.model("r", "3d_fullres") / f"fold_{number}"
        fold.mkdir(parents=True)
        (fold / "checkpoint_final.pth").touch()
        write_json(
            {"foreground_mean": {"Dice": 0.8 + number / 10}}, fold / "validation/summary.json"
        )

    assert train_folds(space, trained()) == pytest.approx({0: 0.8, 1: 0.9})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"folds": (2,)}, "folds"),
        ({"configuration": "3d_lowres"}, "3d_lowres"),
        ({"configuration": CASCADE}, "lacks the folds 0, 1"),
    ],
)
def test_what_cannot_be_trained_is_said_before_a_process_starts(
    changed: dict[str, Any], told: str, space: Workspace
) -> None:
    plans = planned()
    plans["configurations"][CASCADE] = {"inherits_from": "3d_fullres"}
    write_json(plans, space.plans_file())
    write_run_plans(space, "r", Training())

    with pytest.raises(ConfigurationInvalid, match=told):
        train_folds(space, trained(**changed))


def test_a_cascade_needs_folds_not_a_hold_out(space: Workspace) -> None:
    plans = planned()
    plans["configurations"][CASCADE] = {"inherits_from": "3d_fullres"}
    write_json(plans, space.plans_file())
    write_run_plans(space, "r", Training())
    write_json([{"train": ["a"], "val": ["b"]}], space.raw / "splits_final.json")

    with pytest.raises(ConfigurationInvalid, match="hold-out"):
        train_folds(space, trained(configuration=CASCADE, folds=(0,)))


@pytest.mark.parametrize("text", ["gpu", "cuda:x", "cpu,cpu", ""])
def test_devices_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        devices_of(text)


def test_parts_share_all_cases_and_no_case_twice() -> None:
    names = [f"c{n}" for n in range(7)]
    parts = [part_of(names, 3, number) for number in (1, 2, 3)]

    assert sorted(name for part in parts for name in part) == names
    with pytest.raises(ConfigurationInvalid):
        part_of(names, 3, 0)


def test_a_prediction_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz", "b.npz", "b.pkl", ".c.part.nii.gz"):
        (tmp_path / name).touch()

    assert waiting(["a", "b", "c"], tmp_path, probabilities=False) == ["c"]
    assert waiting(["a", "b", "c"], tmp_path, probabilities=True) == ["a", "c"]
    assert list(images_in(tmp_path)) == ["a", "b"]


def test_predictions_are_placed_where_the_image_lies(tmp_path: Path) -> None:
    affine = np.eye(4)
    # A tilted grid of uneven steps: nothing may be exchanged unseen.
    affine[:3, :3] = np.array([[0.1, 0, 0.8], [0.3, 0.9, 0], [4.0, -0.2, 0.1]])
    affine[:3, 3] = (-50.0, 20.0, 7.0)
    volume = Volume(hu=np.zeros((2, 3, 4), np.int16), affine_lps=affine)

    sitk = properties_of(volume)["sitk_stuff"]

    # ITK: point = origin + direction · (spacing × index of column, row, slice), in LPS.
    direction = np.reshape(sitk["direction"], (3, 3)) * np.array(sitk["spacing"])
    np.testing.assert_allclose(direction @ (3, 2, 1) + sitk["origin"], (affine @ (1, 2, 3, 1))[:3])
    assert properties_of(volume)["spacing"] == pytest.approx(list(volume.spacing_mm))


def test_a_written_file_reads_as_the_same_volume(tmp_path: Path) -> None:
    hu = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    affine = RAS_TO_LPS @ np.diag([-1.0, -2.0, 5.0, 1.0])[:, [2, 1, 0, 3]]
    write_nifti(hu, affine, tmp_path / "x.nii.gz")

    again = nifti_volume(tmp_path / "x.nii.gz")

    np.testing.assert_array_equal(again.hu, hu)
    np.testing.assert_allclose(again.affine_lps, affine)


def test_curves_end_with_the_last_whole_epoch(tmp_path: Path) -> None:
    names = ("train_losses", "val_losses", "mean_fg_dice", "lrs")
    log = {name: [3.0, 2.0, 1.0] for name in names}
    log |= {"epoch_start_timestamps": [10.0, 20.0, 30.0], "epoch_end_timestamps": [14.0, 25.0]}
    (tmp_path / "progress.json").write_text(json.dumps(log))

    curves = read_curves(tmp_path, "b2")

    assert curves.epoch_s == [4.0, 5.0]
    assert curves.training_loss == [3.0, 2.0]


def test_help_names_every_step_and_needs_no_torch(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nnunet", "--help"])

    told = capsys.readouterr().out
    for step in ("convert", "plan", "train", "best", "predict", "ensemble", "evaluate", "export"):
        assert f"python -m training nnunet {step}" in told


def test_a_working_folder_without_a_data_set_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nnunet", "train", "--work", str(tmp_path)]) == 2
    assert "convert" in capsys.readouterr().err


def test_a_cascade_is_not_exported_and_says_why(
    space: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--work", str(space.work), "--models", str(tmp_path), "--name", "x"]

    assert main(["nnunet", "export", *arguments, "--configuration", CASCADE]) == 2
    assert "found a cascade" in capsys.readouterr().err
