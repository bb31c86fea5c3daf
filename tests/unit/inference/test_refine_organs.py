"""Organs redrawn slice by slice: what is taken, what is refused, and that the result says which."""

import json
from dataclasses import replace

import numpy as np
import pytest

from inference.domain.analysis_profile import Refinement, load_profile, profile_from_toml
from inference.domain.errors import ConfigurationInvalid
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import Patient
from inference.domain.volume import Volume
from inference.measure_findings import Facts
from inference.pipeline import Stopwatch, analyse_volume, report_to_json, silent
from inference.refine_organs import refine_organs
from tests.unit.inference.fake_refiner import SIDE, FakeRefiner, bright_in_box
from tests.unit.training.real.phantom import models, volume

LIVER, SPLEEN = 1, 2
TRUE_LIVER = (slice(2, 6), slice(8, 28), slice(6, 24))
TRUE_SPLEEN = (slice(2, 6), slice(10, 24), slice(30, 42))
BOTH = Refinement(model="fake-refiner", organs=("liver", "spleen"))


def scene() -> tuple[Volume, LabelMap]:
    """Two bright organs, both labelled two pixels too large in the plane."""
    hu = np.full((8, SIDE, SIDE), 100, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    for label, box in ((LIVER, TRUE_LIVER), (SPLEEN, TRUE_SPLEEN)):
        hu[box] = 900
        rows, columns = (slice(part.start - 2, part.stop + 2) for part in box[1:])
        labels[box[0], rows, columns] = label
    affine = np.eye(4)[[2, 1, 0, 3]]
    structures = {LIVER: Structure.LIVER, SPLEEN: Structure.SPLEEN}
    return (
        Volume(hu=hu, affine_lps=affine),
        LabelMap(labels=labels, affine_lps=affine, structures=structures),
    )


def silently(_share: float) -> None:
    """Progress that nobody watches."""


def test_named_organs_are_redrawn_and_others_left_alone() -> None:
    upright, organs = scene()
    refiner = FakeRefiner()
    liver_only = replace(BOTH, organs=("liver",))
    refined, outcomes = refine_organs(upright, organs, refiner, liver_only, silently)
    assert (refined.mask(Structure.LIVER) == (upright.hu > 500) & (organs.labels == LIVER)).all()
    assert (refined.mask(Structure.SPLEEN) == organs.mask(Structure.SPLEEN)).all()
    assert [outcome.structure for outcome in outcomes] == [Structure.LIVER]
    assert outcomes[0].is_taken
    assert outcomes[0].dice == pytest.approx(2 * 20 * 18 / (20 * 18 + 24 * 22), abs=1e-3)


def test_an_image_is_encoded_once_for_all_organs_and_only_where_there_are_some() -> None:
    upright, organs = scene()
    refiner = FakeRefiner()
    refine_organs(upright, organs, refiner, BOTH, silently)
    assert refiner.embedded == 4
    assert len(refiner.kinds) == 8


def test_a_mask_that_disagrees_is_refused_and_said_so() -> None:
    upright, organs = scene()
    strict = replace(BOTH, least_dice=0.8)
    refined, outcomes = refine_organs(upright, organs, FakeRefiner(), strict, silently)
    by_organ = {outcome.structure: outcome for outcome in outcomes}
    assert by_organ[Structure.LIVER].is_taken
    assert not by_organ[Structure.SPLEEN].is_taken
    assert (refined.mask(Structure.SPLEEN) == organs.mask(Structure.SPLEEN)).all()
    sentence = by_organ[Structure.SPLEEN].sentence
    assert "fake-refiner 0.0.1 disagrees with the 3D mask, which is kept" in sentence
    assert "wanted 0.80" in sentence


def test_nothing_is_drawn_far_away_nor_over_another_organ() -> None:
    upright, organs = scene()
    everywhere = FakeRefiner(lambda image, _points: np.ones_like(image))
    near = replace(BOTH, organs=("liver",), margin_mm=3.0, least_dice=0.1)
    refined, _ = refine_organs(upright, organs, everywhere, near, silently)
    assert (refined.mask(Structure.SPLEEN) == organs.mask(Structure.SPLEEN)).all()
    rows = np.flatnonzero(refined.mask(Structure.LIVER).any(axis=(0, 2)))
    assert (rows[0], rows[-1]) == (6 - 3, 29 + 3)


def test_what_two_organs_claim_goes_to_one_and_agreement_counts_what_was_drawn() -> None:
    upright, organs = scene()
    everywhere = FakeRefiner(lambda image, _points: np.ones_like(image))
    near = replace(BOTH, margin_mm=4.0, least_dice=0.1)
    refined, (liver, _) = refine_organs(upright, organs, everywhere, near, silently)
    before, after = organs.mask(Structure.LIVER), refined.mask(Structure.LIVER)
    # Both reach the two columns between them.
    assert after[3, 15, 26:28].all()
    assert liver.dice == pytest.approx(
        2 * (before & after).sum() / (before.sum() + after.sum()), abs=1e-3
    )


def test_an_organ_that_vanishes_is_kept() -> None:
    upright, organs = scene()
    nowhere = FakeRefiner(lambda image, _points: -np.ones_like(image))
    refined, outcomes = refine_organs(upright, organs, nowhere, BOTH, silently)
    assert (refined.labels == organs.labels).all()
    assert {outcome.dice for outcome in outcomes} == {0.0}


def test_the_report_says_which_organ_was_redrawn_by_which_network() -> None:
    refine = Refinement(model="fake-refiner", organs=("liver",), least_dice=0.0)
    profile = replace(load_profile("abdomen"), refine=refine)
    by_all = replace(models(), profile=profile, refiner=FakeRefiner(bright_in_box))
    facts = Facts(patient=Patient(), contrast="none")
    analysis = analyse_volume(volume(), facts, by_all, Stopwatch(silent))
    (outcome,) = analysis.report.refinements
    assert outcome.structure == Structure.LIVER
    assert outcome.sentence in analysis.report.flags
    use = analysis.report.models[-1]
    assert (use.name, use.task, use.sha256) == (
        "fake-refiner",
        "refine-organs",
        "1" * 32 + "2" * 32,
    )
    shown = json.loads(report_to_json(analysis.report))
    assert shown["refinements"][0]["model"] == "fake-refiner"


def test_no_shipped_profile_redraws_and_a_profile_may() -> None:
    assert load_profile("abdomen").refine is None
    base = 'description = "d"\nlevel_model = "l3-level"\ntissue_model = "l3-tissue"\n'
    table = '[refine]\nmodel = "m"\norgans = ["liver"]\nleast_dice = 0.6\n'
    with_organs = base + 'organ_model = "organs"\n'
    profile = profile_from_toml(with_organs + table, "own")
    assert profile.refine == Refinement(model="m", organs=("liver",), least_dice=0.6)
    assert profile.content_hash != profile_from_toml(with_organs, "own").content_hash
    for wrong in (
        base + table,
        with_organs + "[refine]\nmodel = 'm'\n",
        with_organs + table.replace("liver", "heart"),
        with_organs + table.replace('["liver"]', '"liver"'),
        with_organs + table.replace("0.6", "6"),
        with_organs + table + "more = 1\n",
    ):
        with pytest.raises(ConfigurationInvalid):
            profile_from_toml(wrong, "own")
