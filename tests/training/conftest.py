"""A pool of boxes instead of bodies: learnable in seconds, made without the synthetic CT."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.training.data import tiny
from training.config import TrainConfig, load_config
from training.label_names import OUR_NUMBERS
from training.samples import ProjectionSample, SliceSample, TorsoSample

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
ANATOMIES = 4
NESTED = (
    ("subcutaneous_fat", (slice(None), slice(5, 25), slice(5, 35)), -100),
    ("skeletal_muscle", (slice(None), slice(8, 22), slice(9, 31)), 50),
    ("visceral_fat", (slice(None), slice(10, 19), slice(12, 28)), -90),
    ("intermuscular_fat", (slice(None), slice(20, 21), slice(12, 16)), -70),
    ("vertebra_l3", (slice(5, 9), slice(15, 18), slice(18, 22)), 300),
)
"""One box within the other, as tissues lie."""


@pytest.fixture(scope="session")
def box_pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of sample, a few of each; seed 0 is always kept back."""
    pool = tmp_path_factory.mktemp("pool")
    for seed in range(ANATOMIES):
        rng = np.random.default_rng(seed)
        torso(rng).write(pool / "torso" / f"{seed:06d}.npz")
        projections(rng).write(pool / "projections" / f"{seed:06d}-0.npz")
        slices(rng).write(pool / "slices" / f"{seed:06d}.npz")
    return pool


def torso(rng: np.random.Generator) -> TorsoSample:
    hu = rng.normal(-100, 20, (40, 36, 44)).astype(np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[10:22, 8:24, 6:20] = 1
    labels[16:26, 18:30, 26:38] = 3
    hu[labels == 1] += 200
    hu[labels == 3] += 280
    # Bright bodies one above the other, every fourth slice, as vertebrae are.
    landmarks = np.full((11, 3), np.nan, np.float32)
    for place, slice_index in enumerate(range(36, 3, -4)):
        hu[slice_index - 1 : slice_index + 1, 24:30, 16:28] = 700
        landmarks[place] = slice_index - 0.5, 26.5, 21.5
    landmarks[7] = np.nan
    return TorsoSample(
        hu=hu,
        labels=labels,
        body_centre=np.array([20, 18, 22], np.float32),
        landmarks=landmarks,
    )


def projections(rng: np.random.Generator) -> ProjectionSample:
    rows = 150
    hu = rng.normal(-400, 30, (2, rows, 192)).astype(np.int16)
    landmark_rows = 120.0 - 12 * np.arange(11, dtype=np.float32) + rng.uniform(-5, 5)
    for row in landmark_rows.astype(int):
        hu[0, max(0, row - 3) : max(0, row + 3), 40:150] = 500
    landmark_rows[7] = np.nan
    return ProjectionSample(hu=hu, landmark_rows=landmark_rows.astype(np.float32))


def slices(rng: np.random.Generator) -> SliceSample:
    hu = rng.normal(-1000, 10, (2, 96, 96)).astype(np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    for label, (edge, level) in enumerate([(10, 50), (24, -100), (36, -90)], start=1):
        inner = (slice(None), slice(edge, 96 - edge), slice(edge, 96 - edge))
        labels[inner], hu[inner] = label, level
    return SliceSample(hu=hu, labels=labels)


@pytest.fixture(scope="session")
def tiny_configs() -> dict[str, TrainConfig]:
    """The shipped configurations with small inputs, batches and networks."""
    level = load_config(CONFIGS / "l3_level.toml")
    spine = load_config(CONFIGS / "l3_spine.toml")
    tissue = load_config(CONFIGS / "l3_tissue.toml")
    organs = load_config(CONFIGS / "organs.toml")
    quick: dict[str, Any] = {"warmup_steps": 2, "validation_share": 0.2, "report_every_s": 0.0}
    return {
        "l3-level": replace(
            level, batch_size=3, network={"widths": [4, 4, 8, 8], "channels": 16}, **quick
        ),
        "l3-spine": replace(
            spine,
            batch_size=3,
            input_shape=(48, 32, 40),
            network={"widths": [4, 8, 8, 8], "channels": 16},
            **quick,
        ),
        "l3-tissue": replace(
            tissue, batch_size=3, input_shape=(96, 96), network={"widths": [4, 8, 8, 8, 8]}, **quick
        ),
        "organs": replace(
            organs,
            batch_size=2,
            input_shape=(32, 32, 32),
            network={"widths": [4, 8, 8, 8]},
            **quick,
        ),
    }


def tissues(seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    hu = np.full(tiny.SHAPE, -1000, np.int16)
    labels = np.zeros(tiny.SHAPE, np.uint8)
    for name, box, value in NESTED:
        hu[box], labels[box] = value, OUR_NUMBERS[name]
    return hu + np.random.default_rng(seed).integers(-6, 7, hu.shape).astype(np.int16), labels


@pytest.fixture(scope="session")
def tissue_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients with tissues and L3."""
    folder = tmp_path_factory.mktemp("tissues")
    for seed in range(4):
        hu, labels = tissues(seed)
        tiny.save(hu, folder / f"ct/p{seed}.nii.gz")
        tiny.save(labels, folder / f"labels/p{seed}.nii.gz")
    numbers = "\n".join(f'{OUR_NUMBERS[name]} = "{name}"' for name, _, _ in NESTED)
    table = (
        f'images = "ct/{{case}}.nii.gz"\nlabels = "labels/{{case}}.nii.gz"\n[numbers]\n{numbers}\n'
    )
    (folder / "labels.toml").write_text(table)
    return folder
