"""Organs by two networks: what both say is added up, and results name both."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.domain.analysis_profile import load_profile, profile_from_toml
from inference.domain.errors import ConfigurationInvalid, ModelUnusable
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import Patient
from inference.domain.volume import Volume, affine_from_axes
from inference.engine.model_store import SHIPPED_MODELS
from inference.measure_findings import Facts
from inference.pipeline import Stopwatch, analyse_volume, load_models, silent
from inference.segment_organs import FineNetwork, require_same_organs, segment_organs
from inference.stages.fine_region import MARGIN_MM
from tests.unit.inference.fake_predictors import FakePredictor, Float, make_manifest
from tests.unit.inference.nnunet.test_recipe_in_manifest import RECIPE
from tests.unit.training.real.phantom import models, volume

LABELS = ("background", "pancreas")
STEPS = (2.0, 2.0, 2.0)
BLOCK = (slice(8, 20), slice(10, 26), slice(8, 20))


def network(in_block: float, spacing_mm: float = 2.0) -> FakePredictor:
    """Speaks for the pancreas in the bright block by so many logits, and against it elsewhere."""
    manifest = make_manifest(labels=LABELS)
    spec = replace(manifest.input, spacing_mm=(spacing_mm,) * 3)

    def logits(batch: Float) -> Float:
        pancreas = np.where(batch[:, 0] > 0.4, in_block, -9.0)
        return np.stack([np.zeros_like(pancreas), pancreas], axis=1).astype(np.float32)

    return FakePredictor(replace(manifest, input=spec), logits)


def body() -> Volume:
    hu = np.full((30, 40, 44), 100, np.int16)
    hu[BLOCK] = 700
    return Volume(hu=hu, affine_lps=affine_from_axes((-48.0, -44.0, 0.0), np.eye(3)[::-1], STEPS))


def lengthened(before: int, after: int) -> Volume:
    """By slices without a block."""
    hu = np.full((before + 30 + after, 40, 44), 100, np.int16)
    hu[before : before + 30] = body().hu
    return replace(body(), hu=hu)


@pytest.mark.parametrize(("first", "fine", "is_found"), [(2.0, -1.0, True), (1.0, -2.0, False)])
def test_the_stronger_opinion_holds(first: float, fine: float, *, is_found: bool) -> None:
    shares: list[float] = []
    organs = segment_organs(
        body(),
        network(first),
        (0.0,),
        lambda _, share: shares.append(share),
        fine=FineNetwork(predictor=network(fine)),
    )

    found = organs.mask(Structure.PANCREAS)
    assert found[BLOCK].all() == is_found
    assert found.any() == is_found
    assert shares == sorted(shares)
    assert 0.4 < shares[len(shares) // 2] <= shares[-1] <= 0.9


def test_each_is_asked_on_its_own_grid() -> None:
    """Twice on 4 mm, once on 2 mm: eight times the voxels of one look at 4 mm."""
    first, fine = network(1.0, 4.0), network(1.0, 2.0)

    segment_organs(body(), first, (0.0, 0.5), silent, fine=FineNetwork(predictor=fine))

    patches = [sum(shape[0] for shape in one.shapes) for one in (first, fine)]
    assert patches[1] > 2 * patches[0]


def test_a_fine_network_may_be_asked_near_some_organs_alone() -> None:
    whole, near, nowhere = network(3.0, 1.0), network(3.0, 1.0), network(3.0, 1.0)
    long = lengthened(60, 60)

    def asked(first: FakePredictor, fine: FakePredictor, about: tuple[Structure, ...]) -> LabelMap:
        return segment_organs(
            long, first, (0.0,), silent, fine=FineNetwork(predictor=fine, about=about)
        )

    everywhere = asked(network(2.0), whole, ())
    about = asked(network(2.0), near, (Structure.PANCREAS,))
    none = asked(network(-2.0), nowhere, (Structure.PANCREAS,))

    patches = [sum(shape[0] for shape in one.shapes) for one in (whole, near, nowhere)]
    assert 0 < patches[1] < 0.7 * patches[0]
    assert np.array_equal(about.labels, everywhere.labels)
    assert about.labels.any()
    assert patches[2] == 0
    assert not none.labels.any()


def test_what_a_fine_network_says_holds_near_those_organs_alone() -> None:
    """It is against everything: the block about which it is asked goes, another one far away stays."""
    long = lengthened(0, 90)
    long.hu[108:118, 10:26, 8:20] = 800

    def logits(batch: Float) -> Float:
        pancreas = np.where((batch[:, 0] > 0.4) & (batch[:, 0] < 0.75), 2.0, -9.0)
        spleen = np.where(batch[:, 0] > 0.75, 2.0, -9.0)
        return np.stack([np.zeros_like(pancreas), pancreas, spleen], axis=1).astype(np.float32)

    manifest = make_manifest(labels=("background", "pancreas", "spleen"))
    spec = replace(manifest.input, spacing_mm=(2.0,) * 3)
    first = FakePredictor(replace(manifest, input=spec), logits)
    against = FakePredictor(
        first.manifest, lambda batch: np.stack([batch[:, 0] * 0, *[batch[:, 0] * 0 - 5] * 2], 1)
    )

    found = segment_organs(
        long,
        first,
        (0.0,),
        silent,
        fine=FineNetwork(predictor=against, about=(Structure.PANCREAS,)),
    )

    assert not found.mask(Structure.PANCREAS).any()
    assert found.mask(Structure.SPLEEN)[108:118, 10:26, 8:20].all()


def test_a_fine_network_that_claims_all_claims_nothing_beyond_its_region() -> None:
    long = lengthened(60, 60)

    def everything(batch: Float) -> Float:
        return np.stack([batch[:, 0] * 0, batch[:, 0] * 0 + 20], 1)

    greedy = FakePredictor(network(2.0).manifest, everything)
    found = segment_organs(
        long,
        network(2.0),
        (0.0,),
        silent,
        fine=FineNetwork(predictor=greedy, about=(Structure.PANCREAS,)),
    )

    slices = np.flatnonzero(found.mask(Structure.PANCREAS).any(axis=(1, 2)))
    reach = round(MARGIN_MM[0] / STEPS[0])
    assert slices[0] >= 68 - reach
    assert slices[-1] <= 79 + reach
    assert len(slices) > 12


def test_which_of_the_other_organs_something_is_stays_with_the_first_network() -> None:
    both = body()
    both.hu[BLOCK[0], BLOCK[1], 24:36] = 900

    def says(liver: float) -> FakePredictor:
        def logits(batch: Float) -> Float:
            pancreas = np.where((batch[:, 0] > 0.4) & (batch[:, 0] < 0.8), 2.0, -9.0)
            is_bright = batch[:, 0] > 0.8
            channels = (pancreas, np.where(is_bright, 2.0, -9.0), np.where(is_bright, liver, -9.0))
            return np.stack([np.zeros_like(pancreas), *channels], axis=1).astype(np.float32)

        manifest = make_manifest(labels=("background", "pancreas", "spleen", "liver"))
        spec = replace(manifest.input, spacing_mm=(2.0,) * 3)
        return FakePredictor(replace(manifest, input=spec), logits)

    fine = FineNetwork(predictor=says(9.0), about=(Structure.PANCREAS,))
    found = segment_organs(both, says(1.0), (0.0,), silent, fine=fine)

    assert found.mask(Structure.SPLEEN)[BLOCK[0], BLOCK[1], 25:35].all()
    assert not found.mask(Structure.LIVER).any()
    everywhere = FineNetwork(predictor=says(9.0))
    assert (
        segment_organs(both, says(1.0), (0.0,), silent, fine=everywhere).mask(Structure.LIVER).any()
    )


def test_organs_to_look_about_need_a_network_and_names() -> None:
    base = 'description = "mine"\nlevel_model = "l"\ntissue_model = "t"\norgan_model = "o"\n'
    fine = f'{base}fine_organ_model = "finer"\n'

    told = profile_from_toml(f'{fine}fine_organs_about = ["aorta", "pancreas"]\n', "mine")

    assert told.fine_organs_about == ("aorta", "pancreas")
    with pytest.raises(ConfigurationInvalid, match="without fine_organ_model"):
        profile_from_toml(f'{base}fine_organs_about = ["aorta"]\n', "mine")
    for wrong in ('["heart of gold"]', '"aorta"', "5", '[["aorta"]]'):
        with pytest.raises(ConfigurationInvalid, match="fine_organs_about"):
            profile_from_toml(f"{fine}fine_organs_about = {wrong}\n", "mine")


def test_networks_of_other_organs_are_not_added_up() -> None:
    ours = make_manifest(labels=LABELS)
    for other in (
        make_manifest(labels=("background", "liver")),
        replace(ours, recipe=RECIPE),
    ):
        with pytest.raises(ModelUnusable, match="fine_organ_model"):
            require_same_organs(ours, other)
    require_same_organs(ours, make_manifest(labels=LABELS), ("pancreas",))


def test_organs_that_the_networks_do_not_know_are_not_looked_about() -> None:
    """Else the second one would be asked of nothing, or of the whole body."""
    ours = make_manifest(labels=LABELS)

    with pytest.raises(ModelUnusable, match="fine_organs_about aorta, which fake"):
        require_same_organs(ours, ours, ("pancreas", "aorta"))
    wrong = replace(
        load_profile("abdomen"), fine_organ_model="organs", fine_organs_about=("skeletal_muscle",)
    )
    with pytest.raises(ModelUnusable, match="fine_organs_about skeletal_muscle, which organs"):
        load_models(wrong, ("cpu",))


def test_a_profile_names_it_beside_the_first() -> None:
    base = 'description = "mine"\nlevel_model = "l"\ntissue_model = "t"\n'
    fine = 'fine_organ_model = "finer"\n'

    assert profile_from_toml(f'{base}organ_model = "o"\n{fine}', "mine").models == (
        "l",
        "t",
        "o",
        "finer",
    )
    with pytest.raises(ConfigurationInvalid, match="fine_organ_model without organ_model"):
        profile_from_toml(base + fine, "mine")


def test_results_name_both_networks() -> None:
    one = models()
    organs = one.organs
    assert organs is not None
    finer = FakePredictor(replace(organs.manifest, name="finer"), organs.predict)
    two = replace(one, fine_organs=finer)

    report = analyse_volume(
        volume(), Facts(patient=Patient(), contrast="none"), two, Stopwatch(silent)
    ).report

    assert [use.name for use in report.models if use.task == "organs"] == ["fake", "finer"]
    assert len(report.organ_patches) == 3


def test_a_profile_of_networks_that_cannot_be_added_up_is_not_loaded(tmp_path: Path) -> None:
    for name in ("l3-level", "l3-spine", "l3-tissue", "organs"):
        (tmp_path / name).symlink_to(SHIPPED_MODELS / name)
    shutil.copytree(SHIPPED_MODELS / "organs", tmp_path / "finer")
    told = json.loads((tmp_path / "finer" / "manifest.json").read_text())
    told["name"] = "finer"
    told["output"]["labels"][1:3] = reversed(told["output"]["labels"][1:3])
    (tmp_path / "finer" / "manifest.json").write_text(json.dumps(told))

    with pytest.raises(ModelUnusable, match="finer with other organs"):
        load_models(replace(load_profile("abdomen"), fine_organ_model="finer"), ("cpu",), tmp_path)


@pytest.mark.parametrize(("first", "is_found"), [(1.5, False), (2.5, True)])
def test_near_its_organs_a_look_of_the_finer_network_counts_twice(
    first: float, *, is_found: bool
) -> None:
    fine = FineNetwork(predictor=network(-1.0), about=(Structure.PANCREAS,))

    organs = segment_organs(body(), network(first), (0.0, 0.5), silent, fine=fine)

    assert organs.mask(Structure.PANCREAS).any() == is_found


def test_near_its_organs_the_finer_network_is_asked_on_as_many_grids() -> None:
    once, twice = network(3.0, 1.0), network(3.0, 1.0)
    shares: list[float] = []

    for fine, shifts in ((once, (0.0,)), (twice, (0.0, 0.5))):
        near = FineNetwork(predictor=fine, about=(Structure.PANCREAS,))
        shares.clear()
        segment_organs(
            body(), network(2.0), shifts, lambda _, share: shares.append(share), fine=near
        )

    asked = [sum(shape[0] for shape in one.shapes) for one in (once, twice)]
    assert asked[1] == 2 * asked[0]
    assert shares == sorted(shares)
    assert shares[-1] <= 0.9
