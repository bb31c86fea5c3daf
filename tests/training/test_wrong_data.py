"""A training on labelled CT that is wrong stops before its first step, with a table of what and where."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import nibabel

from tests.training.conftest import CONFIGS
from tests.unit.training.data.tiny import write_totalsegmentator
from training.__main__ import main
from training.specification import CHECKPOINT_NAME

pytestmark = pytest.mark.torch


def not_a_number(case: Path) -> None:
    image = nibabel.load(case / "ct.nii.gz")
    voxels = np.asarray(image.dataobj, np.float32)
    voxels[3, 3, 3] = np.nan
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), case / "ct.nii.gz")


def cut(case: Path) -> None:
    path = case / "segmentations" / "liver.nii.gz"
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj)[:-1], image.affine), path)


def moved(case: Path) -> None:
    for path in (case / "segmentations").iterdir():
        image = nibabel.load(path)
        affine = image.affine.copy()
        affine[2, 3] += 40
        nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), affine), path)


def without_labels(case: Path) -> None:
    for path in (case / "segmentations").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (not_a_number, "no number"),
        (cut, "liver"),
        (moved, "mm away"),
        (without_labels, "label"),
    ],
)
def test_wrong_data_stop_a_training(
    damage: Callable[[Path], None],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_totalsegmentator(tmp_path / "data", range(4))
    damage(data / "s0002")
    config = CONFIGS / "small" / "l3_slices.toml"

    status = main(
        ["train", str(config), "--data", str(data), "--out", str(tmp_path / "run"), "--epochs", "1"]
    )

    told = capsys.readouterr().err
    assert status in (1, 2)
    assert said in told
    assert "s0002" in told
    assert not (tmp_path / "run" / CHECKPOINT_NAME).exists()
