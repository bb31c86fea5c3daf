"""Whether a network that was made again is the shipped one."""

import math
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from training.reproduce import farthest_apart


def written(path: Path, *values: float, name: str = "weight") -> Path:
    save_file({name: np.array(values, np.float32), "other": np.zeros(2, np.float32)}, path)
    return path


def test_the_weight_that_is_farthest_is_told(tmp_path: Path) -> None:
    one = written(tmp_path / "one", 1.0, 2.0)

    assert farthest_apart(one, one) == 0.0
    assert farthest_apart(one, written(tmp_path / "two", 1.25, 1.0)) == 1.0


def test_networks_of_other_shapes_are_infinitely_far(tmp_path: Path) -> None:
    one = written(tmp_path / "one", 1.0, 2.0)

    assert math.isinf(farthest_apart(one, written(tmp_path / "short", 1.0)))
    assert math.isinf(farthest_apart(one, written(tmp_path / "named", 1.0, 2.0, name="bias")))
