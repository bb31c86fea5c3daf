"""What the networks are shown: normalised as the node does, varied, and still true."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch
from torch import Tensor

from inference.domain.errors import ConfigurationInvalid
from inference.domain.volume import Volume, affine_from_axes
from inference.stages import grids, spine_volume
from inference.stages.projections import CORONAL_COLUMNS
from inference.stages.spine_volume import TRUNK_STEP_MM
from training import augment
from training.config import Augmentation, TrainConfig
from training.losses import landmark_curves, landmark_loss, segmentation_loss
from training.networks.registry import build_network
from training.samples import SliceSample, TorsoSample
from training.source import Source
from training.specification import SPECIFICATIONS
from training.synthetic.labels import COMPARTMENT_LUT, ORGAN_LUT, Tissue
from training.tasks.l3_spine import SpineTask
from training.tasks.organs import cut
from training.tasks.registry import open_task

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")
STILL = Augmentation(
    hu_shift=0.0,
    contrast=0.0,
    gamma=0.0,
    noise_hu=0.0,
    blur=0.0,
    rotate_deg=0.0,
    scale=0.0,
    shift_mm=0.0,
    mirror_probability=0.0,
    crop_probability=0.0,
)


@pytest.mark.parametrize("task", list(SPECIFICATIONS))
def test_the_shipped_configuration_makes_a_network_of_the_specified_shape(
    task: str, tiny_configs: dict[str, TrainConfig]
) -> None:
    spec, config = SPECIFICATIONS[task], tiny_configs[task]
    network = build_network(spec.network, config.network).eval()

    with torch.inference_mode():
        output = network(torch.zeros(2, spec.channels, *config.input_shape))

    assert output.shape[:2] == (2, len(spec.labels))
    assert output.shape[2] == config.input_shape[0]


def test_tensors_are_normalised_as_the_node_normalises_arrays(
    tiny_configs: dict[str, TrainConfig],
) -> None:
    config = tiny_configs["organs"]
    hu = np.linspace(-1200, 1500, 500, dtype=np.float32)

    ours = augment.normalise(torch.from_numpy(hu), config).numpy()

    low, high = config.hu_window
    np.testing.assert_allclose(
        ours, grids.normalise(hu, (low, high), config.mean, config.sd), atol=1e-6
    )


@pytest.mark.parametrize("task", list(SPECIFICATIONS))
def test_the_same_seed_makes_the_same_batch(
    task: str, tiny_configs: dict[str, TrainConfig], box_pool: Path
) -> None:
    opened = open_task(tiny_configs[task], Source(folder=box_pool), CPU)
    opened.grow()

    (first,), _ = opened.batch(augment.chance_for(CPU, 5))
    (second,), _ = opened.batch(augment.chance_for(CPU, 5))
    (other,), _ = opened.batch(augment.chance_for(CPU, 6))

    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_landmarks_move_with_the_projection(
    tiny_configs: dict[str, TrainConfig], box_pool: Path
) -> None:
    config = replace(
        tiny_configs["l3-level"],
        augmentation=replace(STILL, scale=0.1, crop_probability=1.0, elastic_mm=9.0),
        batch_size=12,
    )
    task = open_task(config, Source(folder=box_pool), CPU)
    task.grow()

    (image,), (curves, exists) = task.batch(augment.chance_for(CPU, 1))

    bright = image[:, 0, :, 40:70].mean(2) > 1.0
    seen = (curves.amax(2) > 0.9) & (exists > 0)
    peaks = curves.argmax(2)
    assert seen.sum() > 20
    assert all(bright[n, peaks[n, k]] for n, k in seen.nonzero().tolist())
    assert not exists[:, 7].any()


def test_landmarks_move_with_the_turned_trunk(
    tiny_configs: dict[str, TrainConfig], box_pool: Path
) -> None:
    config = replace(
        tiny_configs["l3-spine"],
        augmentation=replace(
            STILL,
            rotate_deg=12.0,
            scale=0.1,
            mirror_probability=0.5,
            crop_probability=1.0,
            elastic_mm=9.0,
            flank_slope=0.4,
        ),
        batch_size=16,
    )
    task = open_task(config, Source(folder=box_pool), CPU)
    task.grow()

    (image,), (curves, exists) = task.batch(augment.chance_for(CPU, 1))

    seen = (curves.amax(2) > 0.9) & (exists > 0)
    brightest = image[:, 0].amax((2, 3))
    peaks = curves.argmax(2)
    assert seen.sum() > 30
    assert all(brightest[n, peaks[n, k]] > 3.0 for n, k in seen.nonzero().tolist())
    assert float(curves[:, 0].amax(1).min()) == 0.0
    assert not exists[:, 7].any()


@pytest.mark.parametrize("task", ["l3-level", "l3-spine"])
def test_flanks_hang_otherwise_and_the_spine_stays(
    task: str, tiny_configs: dict[str, TrainConfig], box_pool: Path
) -> None:
    def batch(slope: float) -> tuple[Tensor, Tensor]:
        augmentation = replace(STILL, flank_slope=slope)
        opened = open_task(
            replace(tiny_configs[task], augmentation=augmentation), Source(folder=box_pool), CPU
        )
        opened.grow()
        (image,), (curves, _) = opened.batch(augment.chance_for(CPU, 3))
        return image, curves

    (still, curves), (hanging, same_curves) = batch(0.0), batch(0.4)

    middle = (CORONAL_COLUMNS if task == "l3-level" else still.shape[-1]) // 2
    spine, flank = slice(middle - 7, middle + 7), slice(middle - 20, middle - 12)
    assert torch.equal(curves, same_curves)
    torch.testing.assert_close(hanging[..., spine], still[..., spine], atol=1e-3, rtol=0)
    assert float((hanging[..., flank] - still[..., flank]).abs().max()) > 0.3


def test_a_pool_without_landmarks_cannot_teach_levels(
    tiny_configs: dict[str, TrainConfig], tmp_path: Path
) -> None:
    write_with_tissues(tmp_path)
    task = open_task(tiny_configs["l3-spine"], Source(folder=tmp_path), CPU)

    with pytest.raises(ConfigurationInvalid, match="without landmarks"):
        task.grow()


def test_a_still_trunk_is_what_the_node_shows_its_network(
    tiny_configs: dict[str, TrainConfig],
) -> None:
    rng = np.random.default_rng(1)
    hu = rng.normal(-1000, 5, (70, 90, 100)).astype(np.float32)
    hu[:, 20:75, 15:85] = rng.normal(40, 30, (70, 55, 70))
    volume = Volume(
        hu=hu,
        affine_lps=affine_from_axes((0, 0, 0), np.eye(3)[::-1], (TRUNK_STEP_MM,) * 3),
    )
    trunk = spine_volume.trunk_of(volume)
    centre = grids.body_centre_mm(grids.body_mask(hu), volume.affine_lps) / TRUNK_STEP_MM
    example = {
        "hu": torch.from_numpy(hu),
        "body_centre": torch.from_numpy(np.rint(centre[::-1]).astype(np.float32) - 0.5),
        "landmarks": torch.full((11, 3), torch.nan),
    }
    task = SpineTask(
        replace(tiny_configs["l3-spine"], input_shape=(70, 64, 80)), Source(folder=Path()), CPU
    )

    window, _ = task.warped(example["hu"], example, torch.eye(3), 0.0)

    np.testing.assert_allclose(window[0, 0].numpy(), trunk.hu, atol=0.1)


def test_labels_move_with_the_volume(tiny_configs: dict[str, TrainConfig], box_pool: Path) -> None:
    config = replace(
        tiny_configs["organs"],
        augmentation=replace(STILL, rotate_deg=10.0, scale=0.1, crop_probability=0.5),
        batch_size=8,
    )
    task = open_task(config, Source(folder=box_pool), CPU)
    task.grow()

    (image,), (labels,) = task.batch(augment.chance_for(CPU, 1))

    inside, outside = image[:, 0][labels == 3], image[:, 0][labels == 0]
    assert len(inside) > 100
    assert inside.mean() > outside.mean() + 1.0


def test_nothing_varied_gives_the_stored_slice(
    tiny_configs: dict[str, TrainConfig], box_pool: Path
) -> None:
    config = replace(tiny_configs["l3-tissue"], augmentation=STILL)
    task = open_task(config, Source(folder=box_pool), CPU)
    task.grow()

    _, (labels,) = task.batch(augment.chance_for(CPU, 0))

    assert labels[0].unique().tolist() == [0, 1, 2, 3]
    assert (labels[0] == 1).sum() == 76**2 - 48**2


def test_a_patch_beyond_the_volume_is_air() -> None:
    example = {
        "hu": torch.full((10, 10, 10), 50, dtype=torch.int16),
        "labels": torch.ones((10, 10, 10), dtype=torch.uint8),
    }

    hu, labels = cut(example, [0.0, 5.0, 5.0], (8, 8, 8))
    far, _ = cut(example, [100.0, 5.0, 5.0], (8, 8, 8))

    assert hu.shape == (1, 8, 8, 8)
    assert (hu[0, :4] == -1000).all()
    assert (hu[0, 4:] == 50).all()
    assert labels.sum() == 4 * 64
    assert (far == -1000).all()


def test_a_landmark_outside_the_field_has_a_flat_curve() -> None:
    rows = torch.tensor([[-1.0, 0.0, 15.0, 15.5]])

    curves = landmark_curves(rows, 16, 2.0)

    assert curves.amax(2)[0].tolist() == [0.0, 1.0, 1.0, 0.0]


def test_a_landmark_the_anatomy_lacks_costs_nothing() -> None:
    logits, targets = torch.zeros(1, 2, 8), torch.zeros(1, 2, 8)
    wrong = logits.clone()
    wrong[0, 1] = 9.0

    exists = torch.tensor([[1.0, 0.0]])

    assert landmark_loss(wrong, targets, exists) == landmark_loss(logits, targets, exists)


def test_a_perfect_segmentation_costs_almost_nothing() -> None:
    labels = torch.tensor([[[0, 1], [2, 1]]])
    right = 20.0 * torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2)

    assert segmentation_loss(right, labels) < 0.01
    assert segmentation_loss(-right, labels) > 1.0


@pytest.mark.parametrize("task", ["l3-tissue", "organs"])
def test_repainted_examples_differ_in_hu_and_keep_their_labels(
    task: str, tiny_configs: dict[str, TrainConfig], tmp_path: Path
) -> None:
    write_with_tissues(tmp_path)
    config = replace(tiny_configs[task], augmentation=STILL)
    batches = []
    for share in (0.0, 1.0):
        opened = open_task(replace(config, repainted_share=share), Source(folder=tmp_path), CPU)
        opened.grow()
        # Drawing a scan moves the host's numbers: only the first example of a batch is the same.
        batches.append(opened.batch(augment.chance_for(CPU, 5)))

    ((stored,), (true,)), ((painted,), (again,)) = batches

    assert torch.equal(true[0] > 0, again[0] > 0) or task == "organs"
    assert not torch.allclose(stored[0], painted[0])
    liver = painted[again[:, None].expand_as(painted) == 1]
    assert float(liver.mean()) > float(painted[again[:, None].expand_as(painted) == 0].mean())
    assert torch.isfinite(painted).all()


def write_with_tissues(pool: Path) -> None:
    """Boxes of liver or muscle in air, with their fine labels."""
    for seed in range(4):
        tissues = np.zeros((40, 36, 44), np.uint8)
        tissues[8:30, 8:28, 8:34] = Tissue.LIVER
        TorsoSample(
            hu=np.where(tissues > 0, 50, -1000).astype(np.int16),
            labels=ORGAN_LUT[tissues],
            tissues=tissues,
            body_centre=np.array([20, 18, 22], np.float32),
        ).write(pool / "torso" / f"{seed:06d}.npz")
        plane = np.zeros((2, 96, 96), np.uint8)
        plane[:, 20:70, 20:70] = Tissue.PSOAS
        SliceSample(
            hu=np.where(plane > 0, 50, -1000).astype(np.int16),
            labels=COMPARTMENT_LUT[plane],
            tissues=plane,
        ).write(pool / "slices" / f"{seed:06d}.npz")


def test_elastic_displacements_are_smooth_and_as_large_along_every_axis() -> None:
    chance = augment.chance_for(CPU, 1)
    shape_in, shape_out = (30, 50, 70), (24, 40, 56)
    still = augment.affine_grid(torch.eye(3)[None], torch.zeros(1, 3), shape_in, shape_out)

    moved = augment.elastic_grid(still, shape_in, 2.0, chance)

    half = torch.tensor([(n - 1) / 2 for n in reversed(shape_in)])
    voxels = (moved - still)[0] * half
    assert torch.equal(augment.elastic_grid(still, shape_in, 0.0, chance), still)
    for axis in range(3):
        assert 0.7 < float(voxels[..., axis].std()) < 2.0
        assert float(voxels.diff(dim=axis).abs().max()) < 1.2


def test_organs_grow_and_shrink_by_as_much_as_is_said_and_their_neighbours_give_way() -> None:
    labels = torch.zeros(1, 1, 40, 40, 40, dtype=torch.uint8)
    labels[..., 12:28, 12:20] = 1
    labels[..., 12:28, 20:28] = 2
    still = augment.affine_grid(torch.eye(3)[None], torch.zeros(1, 3), (40, 40, 40), (40, 40, 40))

    def widths(seed: int) -> list[int]:
        chance = augment.chance_for(CPU, seed)
        grid = augment.swollen_grid(still, labels, 3.0, 3, chance)
        row = augment.warp_labels(labels, grid)[0, 0, 20, 20]
        return [int((row == label).sum()) for label in (1, 2)]

    found = np.array([widths(seed) for seed in range(40)])

    assert torch.equal(
        augment.swollen_grid(still, labels, 0.0, 3, augment.chance_for(CPU, 1)), still
    )
    assert found.min() <= 4
    assert found.max() >= 12
    assert (found > 0).all()
    assert 12 <= found.sum(1).min() < found.sum(1).max() <= 22
    assert np.corrcoef(found.T)[0, 1] < 0.5


def test_organs_drift_each_its_own_way_and_keep_their_size() -> None:
    labels = torch.zeros(1, 1, 48, 48, 48, dtype=torch.uint8)
    labels[..., 18:30, 18:30, 4:14] = 1
    labels[..., 18:30, 18:30, 34:44] = 2
    still = augment.affine_grid(torch.eye(3)[None], torch.zeros(1, 3), (48, 48, 48), (48, 48, 48))

    def places(seed: int) -> list[tuple[float, int]]:
        grid = augment.drifted_grid(still, labels, 5.0, 3, augment.chance_for(CPU, seed))
        moved = augment.warp_labels(labels, grid)[0, 0]
        found = [(moved == label).nonzero() for label in (1, 2)]
        return [(float(voxels[:, 1].float().mean()), len(voxels)) for voxels in found]

    found = np.array([places(seed) for seed in range(40)])
    rows, sizes = found[:, :, 0], found[:, :, 1]

    assert torch.equal(
        augment.drifted_grid(still, labels, 0.0, 3, augment.chance_for(CPU, 1)), still
    )
    assert np.abs(rows.mean(0) - 23.5).max() < 1.5
    assert rows.min() < 21.0
    assert rows.max() > 26.0
    assert abs(np.corrcoef(rows.T)[0, 1]) < 0.4
    assert sizes.min() > 0.6 * 1440
    assert sizes.max() < 1.5 * 1440
