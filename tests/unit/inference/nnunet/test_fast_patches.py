"""Fast: patches within the body alone, fewer of them; what is in the body is labelled as before."""

from dataclasses import replace

import numpy as np
import pytest

from inference.domain.analysis_profile import PROFILE_FOLDER, OrganPatches, profile_from_toml
from inference.domain.errors import ConfigurationInvalid
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import Patient
from inference.domain.predictor import Predictor
from inference.domain.volume import Volume, affine_from_axes
from inference.kernels.patch_plan import HALF, THREE_QUARTERS, PatchPlan, plan_patches
from inference.measure_findings import Facts
from inference.nnunet.grids import nonzero_box, scan_grid
from inference.pipeline import Stopwatch, analyse_organs, silent
from inference.segment_organs import FAST_FLAG, Patching, body_field, segment_organs
from tests.fuzz.target import fake_models
from tests.unit.inference.nnunet.test_organs_by_recipe import network
from tests.unit.inference.nnunet.test_recipe_in_manifest import RECIPE

AIR, FAT, ORGAN = -1000, 1, 100
STEPS = (3.0, 2.0, 2.0)
ABDOMEN = (PROFILE_FOLDER / "abdomen.toml").read_text(encoding="utf-8")


@pytest.fixture
def patient() -> Volume:
    """Thin in wide air, an organ well inside, and something as dense that is not the patient."""
    hu = np.full((40, 120, 120), AIR, np.int16)
    hu[:, 40:90, 30:100] = FAT
    hu[10:30, 50:70, 40:60] = ORGAN
    hu[:, 112:116, 10:110] = ORGAN
    return Volume(hu=hu, affine_lps=affine_from_axes((-120.0, -120.0, 0.0), np.eye(3)[::-1], STEPS))


def labelled(
    patient: Volume, predictor: Predictor, patches: OrganPatches
) -> tuple[LabelMap, PatchPlan]:
    plans: list[PatchPlan] = []
    found = segment_organs(
        patient,
        predictor,
        (0.0,),
        lambda _stage, _share: None,
        Patching(patches=patches, told=plans.append),
    )
    (plan,) = plans
    return found, plan


@pytest.mark.parametrize("orientation", ["LPS", "RAS"])
def test_the_body_is_labelled_as_before_from_fewer_patches(
    patient: Volume, orientation: str
) -> None:
    exact, all_patches = labelled(patient, network(orientation), OrganPatches.EXACT)
    fast, fewer = labelled(patient, network(orientation), OrganPatches.FAST)

    in_body = (slice(None), slice(0, 100))
    np.testing.assert_array_equal(
        fast.mask(Structure.LIVER)[in_body], exact.mask(Structure.LIVER)[in_body]
    )
    assert fast.mask(Structure.LIVER).sum() == 20 * 20 * 20
    assert fewer.count < all_patches.count / 3


def test_every_patch_of_the_plan_is_asked(patient: Volume) -> None:
    predictor = network("LPS")

    _, plan = labelled(patient, predictor, OrganPatches.FAST)

    assert len(predictor.shapes) == plan.count
    assert plan.in_words().startswith(f"{len(plan.starts[0])} × ")
    assert f"= {plan.count} patches of 8 × 8 × 8 voxels over 40 × " in plan.in_words()


def test_the_field_holds_the_body_and_not_the_couch(patient: Volume) -> None:
    slices, rows, columns = body_field(patient.hu, patient.spacing_mm)

    assert slices == slice(0, 40)
    assert rows.start <= 40 <= 90 <= rows.stop < 112
    assert 0 < columns.start <= 30 <= 100 <= columns.stop < 120
    assert 90 - 40 < rows.stop - rows.start < 80


def test_a_scan_without_a_body_is_looked_at_as_a_whole() -> None:
    assert body_field(np.full((9, 20, 31), AIR, np.int16), STEPS) == (
        slice(0, 9),
        slice(0, 20),
        slice(0, 31),
    )


def test_a_z_score_is_that_of_the_whole_scan() -> None:
    voxels = np.zeros((8, 16, 16), np.int16)
    voxels[:, 2:14, 2:14] = 7
    field = (slice(0, 8), slice(4, 9), slice(0, 20))

    grid = scan_grid(voxels, (2.0, 1.5, 1.5), replace(RECIPE, clip=None), field)

    assert grid.filled == nonzero_box(voxels) == (slice(0, 8), slice(2, 14), slice(2, 14))
    assert grid.box == (slice(0, 8), slice(4, 9), slice(2, 14))
    assert grid.source == (8, 5, 12)


def test_a_field_beside_everything_leaves_the_scan_whole() -> None:
    voxels = np.zeros((8, 16, 16), np.int16)
    voxels[:, 2:6, 2:6] = 7

    grid = scan_grid(voxels, (2.0, 1.5, 1.5), RECIPE, (slice(0, 8), slice(10, 12), slice(0, 16)))

    assert grid.box == grid.filled


@pytest.mark.parametrize("step", [HALF, THREE_QUARTERS])
@pytest.mark.parametrize("size", [5, 64, 65, 101, 168, 254, 300])
def test_patches_cover_all_and_none_is_farther_than_the_step(size: int, step: float) -> None:
    plan = plan_patches((size, size, 64), (64, 64, 64), step)
    starts = plan.starts[0]

    assert starts[0] == 0
    assert starts[-1] == max(0, size - 64)
    assert max(np.diff(starts), default=0) <= np.ceil(64 * step)
    assert plan.count == len(starts) ** 2


@pytest.mark.parametrize("patches", OrganPatches)
def test_the_report_says_how_the_network_was_asked(patient: Volume, patches: OrganPatches) -> None:
    made = fake_models()
    profile = replace(made.profile, organ_patches=patches)
    models = replace(made, profile=profile, organs=network("LPS"))
    facts = Facts(patient=Patient(), contrast="unknown")

    report = analyse_organs(patient, facts, models, Stopwatch(silent)).report

    (plan,) = report.organ_patches
    assert "patches of 8 × 8 × 8 voxels over 40 × " in plan
    assert plan.endswith("over 40 × 120 × 120") == (patches is OrganPatches.EXACT)
    assert (FAST_FLAG in report.flags) == (patches is OrganPatches.FAST)


def test_a_profile_with_another_word_is_refused() -> None:
    with pytest.raises(ConfigurationInvalid, match="organ_patches = 'quick'"):
        profile_from_toml(f'{ABDOMEN}\norgan_patches = "quick"\n', "ours")
