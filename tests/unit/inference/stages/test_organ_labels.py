"""Labels from coarse logits: the same as dense interpolation, and finer from two grids than from one."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from inference.domain.labelmap import Structure
from inference.domain.volume import Volume, index_at, position_mm
from inference.stages.grids import Float, interpolate_axis
from inference.stages.organ_labels import (
    WATER_HU,
    Look,
    bright_rims,
    labels_from_logits,
    organ_map,
)

COARSE_MM = 4.0
TARGET = Volume(hu=np.zeros((30, 40, 44), np.int16), affine_lps=np.diag([2.0, 1.5, 1.5, 1.0]))
LIVER = {1: Structure.LIVER}
CENTRE_MM, RADIUS_MM = np.array([29.0, 31.0, 30.0]), 17.0


def ball_seen_on(shift_voxels: float) -> Look:
    """Background and a ball."""
    affine = np.diag([COARSE_MM] * 3 + [1.0])
    affine[:3, 3] = shift_voxels * COARSE_MM
    index = np.indices((15, 15, 17)).reshape(3, -1)
    distance = np.linalg.norm(
        [position_mm(affine, i) - CENTRE_MM for i in index.T.astype(float)], axis=1
    )
    # Sure of every voxel: where in it the surface lies is lost.
    ball = np.where(distance < RADIUS_MM, np.float32(1), np.float32(-1)).reshape(15, 15, 17)
    logits = np.stack([np.zeros_like(ball), ball])
    coarse = Volume(hu=np.zeros((15, 15, 17), np.int16), affine_lps=affine)
    return Look(logits=logits, coarse=coarse)


def dense(look: Look) -> Float:
    fine = look.logits
    start = index_at(look.coarse.affine_lps, TARGET.affine_lps[:3, 3])
    for axis in range(3):
        scale = TARGET.spacing_mm[axis] / COARSE_MM
        fine = interpolate_axis(fine, axis + 1, TARGET.shape[axis], scale, float(start[axis]))
    return fine


def truth() -> npt.NDArray[np.bool_]:
    index = np.indices(TARGET.shape).reshape(3, -1).T.astype(float)
    positions = np.array([position_mm(TARGET.affine_lps, i) for i in index])
    inside = np.linalg.norm(positions - CENTRE_MM, axis=1) <= RADIUS_MM
    return np.asarray(inside.reshape(TARGET.shape))


@pytest.mark.parametrize("shifts", [(0.0,), (0.5,), (0.0, 0.5)])
def test_the_boxes_change_nothing(shifts: tuple[float, ...]) -> None:
    looks = [ball_seen_on(shift) for shift in shifts]

    labels = labels_from_logits(looks, TARGET)

    assert np.array_equal(labels, np.sum([dense(look) for look in looks], axis=0).argmax(axis=0))
    assert labels.any()


def test_a_look_counts_by_its_weight_and_so_do_hounsfield_units() -> None:
    """Of a second look that counts nowhere nothing is left: not its ball, and not a second vote of the HU."""
    first, second = ball_seen_on(0.0), ball_seen_on(0.5)
    nowhere = np.zeros(second.logits.shape[1:], np.float32)
    target = replace(TARGET, hu=np.where(truth(), -15, -32).astype(np.int16))

    alone = labels_from_logits([first], target, LIVER)
    beside = labels_from_logits([first, replace(second, weight=nowhere)], target, LIVER)
    both = labels_from_logits([first, replace(second, weight=nowhere + 1)], target, LIVER)

    assert np.array_equal(alone, beside)
    assert np.array_equal(both, labels_from_logits([first, second], target, LIVER))
    assert not np.array_equal(alone, both)


def test_a_look_at_a_part_says_nothing_beyond_it() -> None:
    first = ball_seen_on(0.0)
    sure = Look(logits=-9 * first.logits[:, 3:12, 3:12, 3:12], coarse=part_of(first))
    weight = np.zeros(sure.logits.shape[1:], np.float32)
    weight[1:-1, 1:-1, 1:-1] = 1

    labels = labels_from_logits([first, replace(sure, weight=weight)], TARGET)

    alone = labels_from_logits([first], TARGET)
    index = np.indices(TARGET.shape).reshape(3, -1).T.astype(float)
    at = np.array(
        [index_at(first.coarse.affine_lps, position_mm(TARGET.affine_lps, i)) for i in index]
    )
    beyond = ((at <= 3) | (at >= 11)).any(axis=1).reshape(TARGET.shape)
    deep = ((at >= 4) & (at <= 10)).all(axis=1).reshape(TARGET.shape)
    assert np.array_equal(labels[beyond], alone[beyond])
    assert alone[beyond].any()
    assert not labels[deep & (alone == 1)].any()


def part_of(look: Look) -> Volume:
    affine = look.coarse.affine_lps.copy()
    affine[:3, 3] = position_mm(look.coarse.affine_lps, (3, 3, 3))
    return Volume(hu=look.coarse.hu[3:12, 3:12, 3:12], affine_lps=affine)


def test_two_grids_see_a_rim_finer_than_one() -> None:
    true = truth()

    def wrong(*shifts: float) -> int:
        labels = labels_from_logits([ball_seen_on(shift) for shift in shifts], TARGET)
        return int(((labels == 1) != true).sum())

    assert wrong(0.0, 0.5) < min(wrong(0.0), wrong(0.5))


def test_nothing_seen_is_nothing_labelled() -> None:
    look = ball_seen_on(0.0)
    empty = Look(logits=np.stack([look.logits[0], look.logits[0] - 1]), coarse=look.coarse)

    assert not labels_from_logits([empty], TARGET).any()


def test_specks_and_small_pieces_are_dropped() -> None:
    labels = np.zeros(TARGET.shape, np.uint8)
    labels[5:15, 5:15, 5:15] = 1
    labels[20, 20, 20] = 1
    labels[25, 30, 30] = 2

    kept = organ_map(labels, TARGET, {1: Structure.LIVER, 2: Structure.SPLEEN}).labels

    assert (kept == 1).sum() == 1000
    assert not (kept == 2).any()


def test_a_rim_that_the_coarse_grid_leaves_open_is_decided_by_the_hounsfield_units() -> None:
    true = truth()
    hu = np.where(true, 40, -100) + np.random.default_rng(1).normal(0, 15, true.shape)
    lit = Volume(hu=hu.astype(np.int16), affine_lps=TARGET.affine_lps)
    looks = [ball_seen_on(0.0), ball_seen_on(0.5)]

    plain, by_hu = (labels_from_logits(looks, lit, solid) == 1 for solid in ({}, LIVER))

    assert (by_hu != true).sum() < 0.5 * (plain != true).sum()


def test_hounsfield_units_overrule_no_network_that_is_sure() -> None:
    look = ball_seen_on(0.0)
    sure = Look(logits=look.logits * 20, coarse=look.coarse)
    fat = Volume(hu=np.full(TARGET.shape, -100, np.int16), affine_lps=TARGET.affine_lps)

    plain, in_fat = (labels_from_logits([sure], fat, solid) == 1 for solid in ({}, LIVER))

    assert in_fat.sum() > 0.8 * plain.sum()


def scanned(ball_hu: float) -> tuple[Look, Volume]:
    """The ball in fat, blurred by less than a voxel, and what a network sees of it that leaves two voxels of its rim open."""
    blurred = ndimage.gaussian_filter(np.where(truth(), ball_hu, -100.0), (0.7, 1.0, 1.0))
    target = Volume(hu=np.rint(blurred).astype(np.int16), affine_lps=TARGET.affine_lps)
    look = ball_seen_on(0.0)
    grown = ndimage.binary_dilation(look.logits[1] > 0)
    ball = np.where(grown, np.float32(1), np.float32(-1))
    coarse = replace(look.coarse, hu=np.where(grown, ball_hu, -100).astype(np.int16))
    return Look(logits=np.stack([np.zeros_like(ball), ball]), coarse=coarse), target


@pytest.mark.parametrize("ball_hu", [40, 150, 300])
def test_a_bright_vessel_ends_half_way_between_its_own_hounsfield_units_and_those_of_fat(
    ball_hu: int,
) -> None:
    look, target = scanned(ball_hu)

    found = labels_from_logits([look], target, {1: Structure.AORTA}) == 1

    assert found.sum() == pytest.approx(truth().sum(), rel=0.08)


def test_a_bright_vessel_keeps_its_rim_beside_another_organ() -> None:
    """Which lies in front and to the right of it: the part of a slice that is looked at begins there."""
    look, target = scanned(300)
    other = np.full_like(look.logits[:1], -1)
    other[:, :, 2, 2] = 1
    both = replace(look, logits=np.concatenate([look.logits, other]))

    alone, beside = (
        labels_from_logits([one], target, {1: Structure.AORTA}) == 1 for one in (look, both)
    )

    assert (alone == beside).all()


def test_the_border_of_other_organs_is_no_higher_than_water() -> None:
    rims = {
        structure: bright_rims(scanned(250)[0], {1: structure})[0].border_hu
        for structure in (Structure.AORTA, Structure.KIDNEY_LEFT)
    }

    assert rims == {Structure.AORTA: pytest.approx(72.5), Structure.KIDNEY_LEFT: WATER_HU}


@pytest.mark.parametrize(
    ("structure", "core_hu"), [(Structure.KIDNEY_LEFT, -5), (Structure.AORTA, 45)]
)
def test_a_cyst_or_thrombus_within_a_bright_organ_is_kept(
    structure: Structure, core_hu: int
) -> None:
    """The network is none too sure of it."""
    look, target = scanned(300)
    core = ndimage.binary_erosion(truth(), iterations=5)
    hu = np.where(core, core_hu, target.hu).astype(np.int16)

    found = labels_from_logits([look], replace(target, hu=hu), {1: structure}) == 1

    assert found[core].all()


def test_what_is_no_brighter_than_muscle_has_the_border_of_all() -> None:
    assert bright_rims(scanned(40)[0], {1: Structure.AORTA}) == []
    assert bright_rims(scanned(40)[0], {}) == []


def test_a_large_piece_far_along_the_body_is_no_part_of_an_organ() -> None:
    labels = np.zeros(TARGET.shape, np.uint8)
    labels[20:30, 5:15, 5:15] = 1
    labels[12:18, 20:30, 5:15] = 1
    labels[0:4, 5:20, 5:20] = 1
    tall = Volume(hu=TARGET.hu, affine_lps=np.diag([4.0, 1.5, 1.5, 1.0]))

    kept = organ_map(labels, tall, {1: Structure.LIVER}).labels

    assert (kept[20:30] == 1).any()
    assert (kept[12:18] == 1).any()
    assert not (kept[0:4] == 1).any()


@pytest.mark.parametrize("has_liver", [True, False])
def test_a_small_organ_lies_beside_its_neighbour_where_that_one_is_seen(*, has_liver: bool) -> None:
    labels = np.zeros(TARGET.shape, np.uint8)
    labels[22:26, 20:24, 5:15] = 2
    labels[0:4, 20:30, 5:15] = 2
    if has_liver:
        labels[20:30, 5:15, 5:15] = 1
    tall = Volume(hu=TARGET.hu, affine_lps=np.diag([4.0, 1.5, 1.5, 1.0]))

    kept = organ_map(labels, tall, {2: Structure.ADRENAL_RIGHT, 1: Structure.LIVER}).labels

    assert (kept[22:26] == 2).any() is np.bool_(has_liver)
    assert (kept[0:4] == 2).any() is np.bool_(not has_liver)


@pytest.mark.parametrize(("slices", "stays"), [(slice(0, 4), False), (slice(26, 30), True)])
def test_a_small_organ_in_one_piece_stays_beside_its_neighbour_alone(
    slices: slice, *, stays: bool
) -> None:
    labels = np.zeros(TARGET.shape, np.uint8)
    labels[slices, 20:30, 5:15] = 2
    labels[20:30, 5:15, 5:15] = 1
    tall = Volume(hu=TARGET.hu, affine_lps=np.diag([4.0, 1.5, 1.5, 1.0]))

    kept = organ_map(labels, tall, {1: Structure.LIVER, 2: Structure.GALLBLADDER}).labels

    assert (kept == np.where(labels == 2, 2 * stays, labels)).all()


VESSEL_LABELS = {1: Structure.AORTA, 2: Structure.INFERIOR_VENA_CAVA, 3: Structure.KIDNEY_LEFT}


def vessels() -> npt.NDArray[np.uint8]:
    """An aorta in the upper half of a field beside a vena cava, slices of 5 mm and pixels of 2 mm."""
    labels = np.zeros((30, 40, 120), np.uint8)
    labels[15:, 10:20, 40:50] = 1
    labels[5:, 10:20, 15:25] = 2
    return labels


def kept_vessels(labels: npt.NDArray[np.uint8], hu: int = 40) -> npt.NDArray[np.uint8]:
    target = Volume(
        hu=np.full(labels.shape, hu, np.int16), affine_lps=np.diag([5.0, 2.0, 2.0, 1.0])
    )
    target.hu[15:, 9:11, 39:51] = 500
    return organ_map(labels, target, VESSEL_LABELS).labels


def test_a_muscle_of_the_flank_is_no_aorta_however_large() -> None:
    labels = vessels()
    labels[:14, 5:35, 95:115] = 1

    kept = kept_vessels(labels)

    assert not (kept[:, :, 95:] == 1).any()
    assert (kept[16:, 10:20, 40:50] == 1).all()


def test_below_the_parting_one_artery_is_no_aorta() -> None:
    labels = vessels()
    labels[11:15, 12:16, 42:46] = 1

    kept = kept_vessels(labels)

    assert not (kept[:15] == 1).any()
    assert (kept[15:] == 1).any()


def test_blood_behind_calcium_is_aorta_where_it_was_called_nothing() -> None:
    labels = vessels()
    labels[15:, 13:17, 43:47] = 0
    labels[15:, 15, 45] = 3

    kept = kept_vessels(labels)

    assert (kept[15:, 13:15, 43:47] == 1).all()
    assert not (kept[15:, 15, 45] == 1).any()


def test_an_aorta_alone_in_fat_is_followed_down_but_not_through_others() -> None:
    """Discs of 20 mm, slices of 5 mm; the networks end it at slice 15, and a kidney lies in its way below slice 5."""
    rows, columns = np.ogrid[:40, :120]
    section = np.hypot(rows - 20, columns - 60) <= 5
    labels = np.zeros((30, 40, 120), np.uint8)
    labels[15:, section] = 1
    labels[:5, 5:35, 50:70] = 3
    hu = np.full(labels.shape, -105, np.int16)
    hu[:, section] = 40

    kept = organ_map(
        labels, Volume(hu=hu, affine_lps=np.diag([5.0, 2.0, 2.0, 1.0])), VESSEL_LABELS
    ).labels

    assert (kept == 1)[5:].sum() > 0.9 * 25 * section.sum()
    assert (kept[:5] == labels[:5]).all()
