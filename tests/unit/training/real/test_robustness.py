"""A variant leaves L3 where it was, and is judged by what the node said before."""

from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inference.domain.labelmap import LabelMap, Structure
from inference.domain.volume import Volume
from inference.stages.grids import body_mask
from tests.unit.training.real.phantom import AIR, BONE_HU, l3_z_mm, models, volume
from training.evaluate_robustness import evaluate
from training.real.answer import Answer, Outcome
from training.real.case import RealCase
from training.real.robustness import Own, Trial, areas_at, changes, own_answer, table, trial, trials
from training.real.variants import (
    Variant,
    carried,
    couch_in_front,
    crop,
    noise_hu,
    noisier,
    rotated,
    rotated_labels,
    rotation,
    variants,
    without_couch,
)

CENTRE = np.array([0.0, 0.0, l3_z_mm()])


def bone_middle_mm(ct: Volume) -> npt.NDArray[np.float64]:
    index = np.argwhere(ct.hu > 400).mean(axis=0)
    middle: npt.NDArray[np.float64] = ct.affine_lps[:3, :3] @ index + ct.affine_lps[:3, 3]
    return middle


def test_a_turn_moves_a_point_as_the_rotation_says() -> None:
    ct = volume()
    before = bone_middle_mm(ct)
    for axis in ("z", "x"):
        turn = rotation(axis, 10)

        after = bone_middle_mm(rotated(ct, turn, CENTRE))

        assert after == pytest.approx(turn @ (before - CENTRE) + CENTRE, abs=1.0)


def test_labels_turn_with_the_image() -> None:
    ct = volume()
    turn = rotation("x", 10)
    bone = LabelMap(
        labels=(ct.hu == BONE_HU).astype(np.uint8),
        affine_lps=ct.affine_lps,
        structures={1: Structure.SKELETAL_MUSCLE},
    )

    turned = rotated_labels(bone, turn, CENTRE).labels > 0
    bright = rotated(ct, turn, CENTRE).hu > 375

    assert (turned & bright).sum() > 0.9 * max(turned.sum(), bright.sum())


def test_every_variant_keeps_the_level_but_the_mislabelled_one_too() -> None:
    found = {variant.name: variant for variant in variants(volume(), l3_z_mm())}

    assert len(found) == 16
    for variant in found.values():
        z_mm = bone_middle_mm(variant.volume)[2]
        assert z_mm == pytest.approx(l3_z_mm(), abs=8 if "tilted" in variant.name else 1.6)
    assert [v.name for v in found.values() if v.is_mislabelled] == [
        "turned 180° against its header"
    ]


def test_position_alone_changes_nothing_once_the_header_is_read() -> None:
    found = {variant.name: variant for variant in variants(volume(), l3_z_mm())}
    for name in ("prone by its DICOM position", "feet first by its DICOM position"):
        assert np.array_equal(found[name].volume.hu, volume().hu), name
        assert np.allclose(found[name].volume.affine_lps, volume().affine_lps, atol=1e-6)


def test_the_couch_goes_or_changes_sides_and_the_body_stays() -> None:
    ct = volume()
    body = body_mask(ct.hu)

    removed, moved = without_couch(ct), couch_in_front(ct)

    assert (removed.hu[~body] == AIR).all()
    assert np.array_equal(removed.hu[body], ct.hu[body])
    assert np.array_equal(moved.hu[body], ct.hu[body])
    assert (moved.hu[:, 52] == AIR).all()
    assert (moved.hu[:, 3, 10:70] == 0).all()


def test_noise_is_measured_and_doubled() -> None:
    rng = np.random.default_rng(1)
    ct = Volume(hu=np.full((6, 80, 80), 40, np.int16), affine_lps=volume().affine_lps)
    noisy = replace(ct, hu=(ct.hu + rng.normal(0, 12, ct.shape)).astype(np.int16))

    assert noise_hu(noisy) == pytest.approx(12, rel=0.15)
    assert noisier(noisy).hu.std() == pytest.approx(2 * noisy.hu.std(), rel=0.05)


def test_a_crop_keeps_its_slices_in_place() -> None:
    part = crop(volume(), l3_z_mm() - 44.5, l3_z_mm() + 29.5)

    assert part.shape[0] == 25
    assert bone_middle_mm(part)[2] == pytest.approx(l3_z_mm())


def test_areas_lie_between_slices_in_proportion() -> None:
    labels = np.zeros((2, 10, 10), np.uint8)
    labels[0, :5] = 1
    labels[1] = 1
    muscle = LabelMap(
        labels=labels, affine_lps=volume().affine_lps, structures={1: Structure.SKELETAL_MUSCLE}
    )
    z = volume().affine_lps[2, 3]

    assert areas_at(muscle, z)[Structure.SKELETAL_MUSCLE] == pytest.approx(50 * 0.16)
    assert areas_at(muscle, z + 1.5)[Structure.SKELETAL_MUSCLE] == pytest.approx(75 * 0.16)
    assert areas_at(muscle, z + 3)[Structure.SKELETAL_MUSCLE] == pytest.approx(100 * 0.16)


def test_changes_are_percent_of_what_was() -> None:
    muscle = Structure.SKELETAL_MUSCLE

    assert changes({muscle: 110.0}, {muscle: 100.0}) == pytest.approx({muscle: 10.0})
    assert changes({}, {muscle: 100.0}) == {}


def made(
    outcome: Outcome = Outcome.FOUND,
    z_mm: float | None = 500.0,
    own_mm: float | None = 500.0,
    change: float = 0.0,
    **more: Any,
) -> Trial:
    return Trial(
        case="x",
        variant="v",
        volume=volume(),
        answer=Answer(outcome=outcome, z_mm=z_mm, areas_cm2={}, tissues=None, organs=None),
        own_mm=own_mm,
        same_level={},
        reported={Structure.SKELETAL_MUSCLE: change},
        **more,
    )


@pytest.mark.parametrize(
    ("one", "level", "areas"),
    [
        (made(z_mm=509.0), True, True),
        (made(z_mm=535.0), False, True),
        (made(Outcome.UNCERTAIN, z_mm=535.0), True, True),
        (made(Outcome.ABSENT, z_mm=None), False, True),
        (made(z_mm=500.0, own_mm=None), False, True),
        (made(Outcome.ABSENT, z_mm=None, own_mm=None), True, True),
        (made(change=6.0), True, False),
        (made(Outcome.UNCERTAIN, change=6.0), True, True),
        (made(change=60.0, is_cut=True), True, True),
        (made(z_mm=535.0, is_cut=True), False, True),
        (made(is_mislabelled=True), False, True),
        (made(Outcome.ABSENT, z_mm=None, is_mislabelled=True), True, True),
    ],
)
def test_a_trial_holds_when_it_repeats_the_answer_or_doubts_it(
    one: Trial, level: bool, areas: bool
) -> None:
    assert (one.level_holds, one.areas_hold) == (level, areas)


def test_a_level_found_neither_before_nor_now_is_not_counted_as_holding() -> None:
    neither = made(Outcome.ABSENT, z_mm=None, own_mm=None)
    invented = made(own_mm=None)

    text = table([neither, invented, made()], {})

    assert (neither.is_level_judged, invented.is_level_judged) == (False, True)
    assert "| v | 3 | 1 of 2 judged |" in text
    assert "L3 holds in 1 of 2 judged trials" in text


def test_areas_of_a_body_that_lies_mostly_outside_are_not_judged() -> None:
    """A field of the muscles beside the spine alone, as the crop about one vertebra is."""
    networks, ct = models(with_organs=False), volume()
    inside = replace(ct, hu=ct.hu[:, 30:50, 20:60])
    owns = [own_answer(RealCase(name="x", volume=v), networks) for v in (ct, inside)]

    cut = replace(made(change=60.0, is_cut=True), same_level={Structure.SKELETAL_MUSCLE: 60.0})
    text = table([cut, made(), made(change=7.0)], {})

    assert [own is not None and own.is_cut for own in owns] == [False, True]
    assert "areas in 1 of 2 judged trials" in text
    assert "Areas not judged: x;" in text
    assert "60.0" not in text
    assert "Areas not judged" not in table([made()], {})


def test_a_moved_body_is_compared_with_its_own_masks_moved_along() -> None:
    networks = models(with_organs=False)
    case = RealCase(name="phantom", volume=volume())
    own = own_answer(case, networks)
    assert own is not None

    def half_erased(labels: LabelMap) -> LabelMap:
        erased = labels.labels.copy()
        erased[:, :, 40:] = 0
        return replace(labels, labels=erased)

    moved = Variant(name="v", volume=volume(), turns=half_erased, moves_section=True)
    found = trial(case, own, moved, networks)

    assert found.same_level[Structure.SKELETAL_MUSCLE] == pytest.approx(147, abs=12)
    assert found.reported == {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What an evaluation gave and left."""

    owns: dict[str, Own]
    found: list[Trial]
    folder: Path
    told: str


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """The phantom, and cases that cannot be judged."""
    boneless = volume()
    boneless.hu[boneless.hu == BONE_HU] = 50
    cases = (
        RealCase(name="refused", volume=None),
        RealCase(name="absent", volume=volume(), is_l3_absent=True),
        RealCase(name="boneless", volume=boneless),
        RealCase(name="phantom", volume=volume()),
    )
    folder, told = tmp_path_factory.mktemp("judged"), StringIO()
    with redirect_stderr(told):
        owns, found = evaluate(iter(cases), models(with_organs=False), folder)
    return Judged(owns=owns, found=found, folder=folder, told=told.getvalue())


def test_failures_are_drawn_and_cases_without_a_level_left_out(judged: Judged) -> None:
    failed = [one.variant for one in judged.found if not one.holds]

    assert list(judged.owns) == ["phantom"]
    assert "turned 180° against its header" in failed
    assert len(list(judged.folder.glob("failed-phantom-*.png"))) == len(failed)
    assert "boneless: no level" in judged.told


def test_the_phantom_is_judged_in_every_variant(judged: Judged) -> None:
    text = table(judged.found, judged.owns)

    by_name = {one.variant: one for one in judged.found}
    assert by_name["slices every 1 mm"].holds
    assert by_name["turned +10° about z"].level_holds
    assert max(abs(c) for c in by_name["tilted +10° about x"].same_level.values()) < 5
    assert not by_name["turned 180° against its header"].level_holds
    assert "| turned 180° against its header | 1 | 0 of 1 judged |" in text


def test_what_a_scan_does_to_the_true_tissues_is_told_apart_from_what_the_network_does() -> None:
    """Every second pixel of the muscle is fat at a pixel's width: turned by half a pixel there is neither."""
    networks = models(with_organs=False)
    checked = volume()
    compartments = body_mask(checked.hu).astype(np.uint8)
    checked.hu[compartments == 1] = 50
    checked.hu[:, :, ::2][compartments[:, :, ::2] == 1] = -100
    case = RealCase(name="checked", volume=checked, l3_z_mm=480.0, true_compartments=compartments)
    own = own_answer(case, networks)
    assert own is not None
    known = {one.variant: one for one in trials(case, own, networks)}

    assert known["couch removed"].by_truth == pytest.approx({Structure.SKELETAL_MUSCLE: 0.0})
    assert known["couch removed"].can_hold
    assert abs(known["turned +10° about z"].by_truth[Structure.SKELETAL_MUSCLE]) > 5
    assert not known["turned +10° about z"].can_hold
    assert known["turned 180° against its header"].can_hold is None


def test_the_table_says_how_many_trials_fail_by_the_truth_too() -> None:
    fat = Structure.VISCERAL_FAT
    lost, kept = {fat: -9.0}, {fat: 1.0}
    trials_of_painted = [
        replace(made(by_truth=lost), same_level={fat: -7.0}),
        replace(made(by_truth=lost), same_level={fat: 7.0}),
        made(change=6.0, by_truth=kept),
        made(by_truth=kept),
    ]

    text = table([*trials_of_painted, made(change=6.0)], {})

    assert "change by more than 5 % in 2 of 4 trials" in text
    assert "Of the 2 others areas hold in 1." in text
    assert "Of the 3 trials of painted cases that fail 1 fail the same way by the truth" in text
    assert "| -9.0 |" in text
    assert "true compartments are known" not in table([made()], {})


def test_labels_are_carried_to_where_their_tissues_lie_in_every_variant() -> None:
    ct = volume()
    bone = LabelMap(
        labels=(ct.hu == BONE_HU).astype(np.uint8), affine_lps=ct.affine_lps, structures={}
    )
    for variant in variants(ct, l3_z_mm()):
        if variant.is_mislabelled:
            continue
        there = carried(variant, bone, ct)

        seen = variant.volume.hu > 375
        overlap = 2 * float((seen & (there.labels > 0)).sum()) / (seen.sum() + there.labels.sum())
        assert there.labels.shape == variant.volume.shape
        assert overlap > 0.9, variant.name


def test_a_tilt_alone_brings_another_section_to_the_level() -> None:
    moving = {v.name for v in variants(volume(), l3_z_mm()) if v.moves_section}

    assert moving == {"tilted +10° about x", "tilted -10° about x"}
