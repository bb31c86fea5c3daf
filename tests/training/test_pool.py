"""Pools: whole files, true landmarks, the node's own preprocessing, seeds that stay on their side."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.domain.errors import ConfigurationInvalid, InferenceFailed
from inference.domain.volume import Volume, affine_from_axes
from inference.stages.projections import LANDMARKS
from tests.unit.training.templates.tiny_torso import tiny_template
from training.config import load_config
from training.pool import FIRST_UNSEEN_SEED, PoolOrder, make_pools, write_torso
from training.pool_samples import at_step, landmark_lps_mm, projection_sample, random_field
from training.samples import (
    ProjectionSample,
    SliceSample,
    TorsoSample,
    is_kept_back,
    sample_files,
    seed_of,
)
from training.source import Source
from training.specification import ORGANS, TISSUE
from training.synthetic.spine import Vertebra
from training.tasks.l3_spine import SpineTask
from training.tasks.organs import OrganTask

CONFIGS = Path(__file__).parents[2] / "training" / "configs"

VERTEBRAE = {
    "L2": Vertebra(z_low_mm=20.0, z_high_mm=45.0, centre_lps_mm=(0.0, 0.0, 32.0)),
    "L3": Vertebra(z_low_mm=-14.0, z_high_mm=14.0, centre_lps_mm=(0.0, 0.0, 0.0)),
}


def order(out: Path, **changes: object) -> PoolOrder:
    values: dict[str, object] = {
        "kind": "slices",
        "out": out,
        "workers": 1,
        "first_seed": 0,
        "count": 1,
        "seconds": None,
    }
    return PoolOrder(**(values | changes))  # type: ignore[arg-type]  # values of mixed types


def block() -> Volume:
    """A body 120 mm wide in air, z from -90 to 90 mm."""
    hu = np.full((61, 60, 60), -1000, np.int16)
    hu[:, 10:50, 10:50] = 40
    affine = affine_from_axes((-90.0, -90.0, -90.0), np.eye(3)[::-1], (3.0, 3.0, 3.0))
    return Volume(hu=hu, affine_lps=affine)


def test_a_sample_comes_back_as_it_was(tmp_path: Path) -> None:
    sample = SliceSample(
        hu=np.arange(8, dtype=np.int16).reshape(2, 2, 2), labels=np.ones((2, 2, 2), np.uint8)
    )

    sample.write(tmp_path / "slices" / "000007.npz")
    back = SliceSample.read(tmp_path / "slices" / "000007.npz")

    np.testing.assert_array_equal(back.hu, sample.hu)
    np.testing.assert_array_equal(back.labels, sample.labels)
    assert back.hu.dtype == np.int16


def test_a_half_written_file_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / ".000001.npz.123").write_bytes(b"half")
    (tmp_path / "slices" / "000002.npz").write_bytes(b"whole")

    assert [seed_of(path) for path in sample_files(tmp_path, SliceSample)] == [2]


def test_all_files_of_an_anatomy_are_on_one_side_and_the_share_is_kept() -> None:
    kept = [is_kept_back(Path(f"{seed:06d}-3.npz"), 0.04) for seed in range(2000)]

    assert kept == [is_kept_back(Path(f"{seed:06d}.npz"), 0.04) for seed in range(2000)]
    assert 70 <= sum(kept) <= 90
    assert kept[0]


def test_a_pool_whose_seeds_all_failed_half_way_is_no_pool(tmp_path: Path) -> None:
    template, pool = tmp_path / "tiny.npz", tmp_path / "pool"
    tiny_template().write(template)
    pool.mkdir()
    (pool / "slices").write_text("where a folder of examples should be")

    with pytest.raises(InferenceFailed, match="1 failed seeds, and 1 that left examples"):
        make_pools([order(pool, kind="templates", templates=(template,))])


def test_landmark_rows_are_where_the_vertebrae_are() -> None:
    sample = projection_sample(block(), VERTEBRAE)

    rows = dict(zip(("L2", "L3", "L3_lower"), sample.landmark_rows[[4, 5, 9]], strict=True))
    assert rows["L3"] == pytest.approx(30.0)
    assert rows["L2"] == pytest.approx(30 + 32 / 3, abs=1e-4)
    assert rows["L3_lower"] == pytest.approx(30 - 14 / 3, abs=1e-4)


def test_a_missing_vertebra_has_no_row() -> None:
    assert np.isnan(landmark_lps_mm("L5", VERTEBRAE)).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_random_field_keeps_every_voxel_in_its_place(seed: int) -> None:
    whole = block()

    part = random_field(whole, np.random.default_rng(seed))

    start = np.rint((part.affine_lps[:3, 3] - whole.affine_lps[:3, 3])[::-1] / 3).astype(int)
    box = tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))
    np.testing.assert_array_equal(part.hu, whole.hu[box])
    assert part.shape[0] >= 40


def test_a_torso_gives_examples_of_both_networks(tmp_path: Path) -> None:
    write_torso(3, tmp_path)

    torso = TorsoSample.read(sample_files(tmp_path, TorsoSample)[0])
    projections = [ProjectionSample.read(p) for p in sample_files(tmp_path, ProjectionSample)]
    assert torso.hu.shape == torso.labels.shape
    # Not everybody has a gallbladder.
    without = {ORGANS.labels.index("gallbladder")}
    assert set(np.unique(torso.labels)) | without == set(range(len(ORGANS.labels)))
    assert all(0 < c < n for c, n in zip(torso.body_centre, torso.hu.shape, strict=True))
    whole = projections[0]
    assert 0 < whole.landmark_rows[5] < whole.hu.shape[1]
    assert whole.landmark_rows[9] < whole.landmark_rows[5] < whole.landmark_rows[10]


def test_a_pool_goes_on_after_its_last_seed(tmp_path: Path) -> None:
    made = [make_pools([order(tmp_path)]), make_pools([order(tmp_path)])]

    assert made == [{"slices": 1}, {"slices": 2}]
    files = sample_files(tmp_path, SliceSample)
    assert [seed_of(path) for path in files] == [0, 1]
    first = SliceSample.read(files[0])
    assert first.hu.shape[1:] == TISSUE.spatial_shape
    assert set(np.unique(first.labels)) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "brains"}, "brains"),
        ({"workers": 0}, "0 workers"),
        ({"count": 0}, "neither a count nor seconds"),
        ({"first_seed": FIRST_UNSEEN_SEED}, "seeds from"),
        ({"kind": "templates"}, "0 templates"),
        ({"kind": "central"}, "0 templates"),
        ({"templates": (Path("a.npz"),)}, "1 templates"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    changes: dict[str, object], named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationInvalid, match=named):
        order(tmp_path, **changes)


def test_painted_patients_lie_beside_the_procedural_ones(tmp_path: Path) -> None:
    template = tmp_path / "tiny.npz"
    tiny_template().write(template)
    TorsoSample(
        hu=np.zeros((1, 4, 4), np.int16),
        labels=np.zeros((1, 4, 4), np.uint8),
        body_centre=np.zeros(3, np.float32),
    ).write(tmp_path / "torso" / "000007.npz")

    made = make_pools([order(tmp_path, kind="templates", templates=(template,), count=1)])

    assert made == {"templates": 1}
    torsos = [path for path in sample_files(tmp_path, TorsoSample) if "painted" in path.stem]
    assert [path.stem for path in torsos] == ["000000-painted-0", "000000-painted-1"]
    first, second = (TorsoSample.read(path) for path in torsos)
    np.testing.assert_array_equal(first.labels > 0, second.labels > 0)
    assert (first.hu != second.hu).mean() > 0.3
    slices = SliceSample.read(sample_files(tmp_path, SliceSample)[0])
    assert slices.hu.shape[1:] == TISSUE.spatial_shape
    assert set(np.unique(slices.labels)) == {0, 1, 2, 3}
    rows = ProjectionSample.read(sample_files(tmp_path, ProjectionSample)[0]).landmark_rows
    assert np.isfinite(rows).all() or np.isnan(rows[LANDMARKS.index("L5")])


def marked_torso() -> TorsoSample:
    """At 3 mm, with an organ, a bright body and a landmark in its middle; one landmark is nowhere."""
    hu = np.full((40, 36, 44), -100, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[10:30, 8:24, 6:30] = 1
    hu[18:22, 22:30, 18:26] = 700
    return TorsoSample(
        hu=hu,
        labels=labels,
        tissues=labels,
        body_centre=np.array([19.5, 17.5, 21.5], np.float32),
        landmarks=np.array([[19.5, 25.5, 21.5], [np.nan] * 3], np.float32),
        step_mm=np.full(3, 3.0, np.float32),
    )


def test_a_torso_is_brought_onto_the_grid_of_a_task() -> None:
    fine = marked_torso()

    coarse = at_step(fine, (4.0, 4.0, 4.0))

    assert coarse.hu.shape == tuple(round(n * 3 / 4) for n in fine.hu.shape)
    volumes = [float((one.labels == 1).sum() * one.step_mm.prod()) for one in (fine, coarse)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.1)
    assert (coarse.tissues == coarse.labels).all()
    bright = np.argwhere(coarse.hu > 300).mean(axis=0)
    assert coarse.landmarks[0] == pytest.approx(bright, abs=0.3)
    assert np.isnan(coarse.landmarks[1]).all()
    middle = (np.array(coarse.hu.shape) - 1) / 2
    assert coarse.body_centre == pytest.approx(middle, abs=0.3)


def test_a_torso_that_lies_on_the_grid_is_taken_as_it_is() -> None:
    fine = marked_torso()

    assert at_step(fine, (3.0, 3.0, 3.0)) is fine


def test_pools_that_do_not_say_their_step_are_of_four_millimetres(tmp_path: Path) -> None:
    fine = marked_torso()
    np.savez(tmp_path / "old.npz", hu=fine.hu, labels=fine.labels, body_centre=fine.body_centre)

    old = TorsoSample.read(tmp_path / "old.npz")

    assert (old.step_mm == 4.0).all()
    assert at_step(old, (4.0, 4.0, 4.0)) is old
    assert at_step(old, (8.0, 8.0, 8.0)).landmarks.size == 0


@pytest.mark.parametrize("step_mm", [3.0, 4.0])
def test_organs_learn_on_the_grid_of_their_configuration(tmp_path: Path, step_mm: float) -> None:
    for seed in range(8):
        marked_torso().write(tmp_path / "torso" / f"{seed:06d}.npz")
    config = replace(
        load_config(CONFIGS / "organs.toml"),
        input_shape=(16, 16, 16),
        spacing_mm=(step_mm,) * 3,
        validation_share=0.3,
    )
    task = OrganTask(config, Source(folder=tmp_path), torch.device("cpu"))
    task.grow()

    assert task._store.training[0]["hu"].shape[0] == round(40 * 3 / step_mm)


def test_the_spine_is_learned_on_the_grid_that_the_node_shows(tmp_path: Path) -> None:
    for seed in range(8):
        marked_torso().write(tmp_path / "torso" / f"{seed:06d}.npz")
    config = replace(load_config(CONFIGS / "l3_spine.toml"), validation_share=0.3)
    task = SpineTask(config, Source(folder=tmp_path), torch.device("cpu"))
    task.grow()

    assert task._store.training[0]["step_mm"].tolist() == [4.0, 4.0, 4.0]


def test_the_middle_of_patients_is_a_kind_of_its_own(tmp_path: Path) -> None:
    template = tmp_path / "tiny.npz"
    tiny_template().write(template)

    made = make_pools([order(tmp_path, kind="central", templates=(template,), count=1)])

    assert made == {"central": 1}
    files = [path.stem for path in sample_files(tmp_path, TorsoSample)]
    assert files == ["000000-painted-0", "000000-painted-1"]
    assert not (tmp_path / "slices").exists()
