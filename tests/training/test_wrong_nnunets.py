"""Folders that nnU-Net did not write like that, or wrote for something else: a sentence each, and older ones are read."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export_onnx.nnunet import finished_folds
from export_onnx.nnunet_network import TrainedFolder, served_network
from inference.domain.errors import ConfigurationInvalid, HabitusError, UnreadableInput
from tests.training.trained_nnunet import CONFIGURATION, write_trained
from training.nnunet.predict import FINAL
from training.nnunet.slim import read_checkpoint
from training.nnunet.workspace import read_json, write_json

NEW, OLD = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Path:
    """Texts of its own, checkpoints of the kept one."""
    for path in kept.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(kept)
            target.parent.mkdir(exist_ok=True)
            if path.name == FINAL:
                target.symlink_to(path)
            else:
                target.write_bytes(path.read_bytes())
    return tmp_path


def served(folder: Path) -> object:
    return served_network(TrainedFolder(folder=folder, configuration=CONFIGURATION, folds=(0,)))


def with_old_names(content: Any, path: Path) -> None:
    """As a checkpoint was pickled under NumPy 1."""
    new = path.with_suffix(".new")
    torch.save(content, new)
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(NEW, OLD) if name.endswith("data.pkl") else data)


def test_scalars_of_numpy_1_are_read(kept: Path, tmp_path: Path) -> None:
    content = read_checkpoint(kept / "fold_0" / FINAL)
    with_old_names(content | {"logging": {"ema_fg_dice": [np.float64(0.5)]}}, tmp_path / FINAL)
    assert OLD in (tmp_path / FINAL).read_bytes()

    found = read_checkpoint(tmp_path / FINAL)

    assert found["logging"]["ema_fg_dice"] == [0.5]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([1, 2], "no weights by name"),
        ({"network_weights": "all of them"}, "no weights by name"),
        ({"network_weights": {"a": 1}}, "no weights by name"),
        ({"network_weights": {}, "log": Path("x")}, r"pathlib"),
    ],
)
def test_other_checkpoints_are_none(content: object, told: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / FINAL)

    with pytest.raises(UnreadableInput, match=told):
        read_checkpoint(tmp_path / FINAL)


def architecture(plans: Any) -> Any:
    return plans["configurations"][CONFIGURATION]["architecture"]


def enlarged_patch(plans: Any) -> None:
    plans["configurations"][CONFIGURATION]["patch_size"] = [4096, 4096, 4096]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: architecture(p)["arch_kwargs"].update(norm_op="torch.nn.Linear"), "no network"),
        (lambda p: architecture(p)["arch_kwargs"].update(n_stages=10**9), "no network"),
        (
            lambda p: architecture(p)["arch_kwargs"].update(features_per_stage=10**7),
            "no network",
        ),
        (lambda p: architecture(p).update(_kw_requires_import=["os"]), "want os imported"),
        (
            lambda p: architecture(p).update(_kw_requires_import=["n_stages"]),
            "want n_stages imported",
        ),
        (enlarged_patch, "a patch of"),
    ],
)
def test_plans_of_no_network_are_told(
    change: Callable[[Any], object], told: str, folder: Path
) -> None:
    plans = read_json(folder / "plans.json")
    change(plans)
    write_json(plans, folder / "plans.json")

    with pytest.raises(HabitusError, match=told):
        served(folder)


@pytest.mark.parametrize("name", ["T2", "MRI", "noNorm", "Fractional anisotropy", "ACT"])
def test_a_network_of_other_images_than_ct_is_refused(name: str, folder: Path) -> None:
    description = read_json(folder / "dataset.json")
    write_json(description | {"channel_names": {"0": name}}, folder / "dataset.json")

    with pytest.raises(ConfigurationInvalid, match=f"images called {name}"):
        served(folder)


@pytest.mark.parametrize("name", ["CT", "ct_zscore", "noNorm_CT", "CTA", "CT1"])
def test_a_network_of_ct_by_any_name_is_taken(name: str, folder: Path) -> None:
    description = read_json(folder / "dataset.json")
    write_json(description | {"channel_names": {"0": name}}, folder / "dataset.json")

    assert served(folder)


def test_a_copy_beside_a_fold_is_no_fold(folder: Path) -> None:
    (folder / "fold_0_backup").mkdir()
    (folder / "fold_0_backup" / FINAL).symlink_to((folder / "fold_0" / FINAL).resolve())
    (folder / "fold_²").mkdir()
    (folder / "fold_²" / FINAL).touch()

    assert finished_folds(folder, "all") == (0, 1)


def test_a_patch_that_does_not_fit_the_strides_is_refused(folder: Path) -> None:
    plans = read_json(folder / "plans.json")
    part = plans["configurations"][CONFIGURATION]
    part["patch_size"] = [part["patch_size"][0] + 1, *part["patch_size"][1:]]
    write_json(plans, folder / "plans.json")

    with pytest.raises(ConfigurationInvalid, match=r"along axis 0 for strides of \d+ in all"):
        served(folder)


def test_plans_of_brackets_are_no_plans(folder: Path) -> None:
    (folder / "plans.json").write_text("[" * 200_000)

    with pytest.raises(UnreadableInput, match="not JSON"):
        served(folder)
