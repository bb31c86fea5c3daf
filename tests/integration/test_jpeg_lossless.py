"""JPEG lossless as another toolkit codes it (DCMTK's dcmcjpeg) gives the units of the uncompressed slices."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from inference.dicom.read_series import load_series
from tests.synthetic_series import save_all, small_datasets, small_volume


@pytest.mark.validators
@pytest.mark.parametrize("process", ["+e1", "+el"], ids=["first order", "any predictor"])
def test_jpeg_lossless_gives_the_same_units(process: str, tmp_path: Path) -> None:
    paths = save_all(small_datasets(), tmp_path / "ct")
    coded = [path.with_suffix(".jpeg") for path in paths]
    for path, target in zip(paths, coded, strict=True):
        subprocess.run(["dcmcjpeg", process, "+un", path, target], check=True)

    series = load_series(coded)

    assert np.array_equal(series.volume.hu, small_volume().hu)
    assert series.flags == ()
