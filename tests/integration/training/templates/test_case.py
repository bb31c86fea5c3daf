"""Painted cases: layers in order, one patient on any grid, fields with and without L3, HU of a scan."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.training.templates.tiny_torso import tiny_template
from training.synthetic.labels import COMPARTMENT_LUT, ORGAN_LUT, Tissue
from training.synthetic.torso import Grid
from training.templates.arrays import NUMPY
from training.templates.body_plan import ArmPlace
from training.templates.case import (
    FieldKind,
    PaintedCase,
    field_of_view,
    grid_for,
    make_painted_case,
    scanned,
)
from training.templates.geometry import label_map
from training.templates.painter import outside_field, paint, painted
from training.templates.patient import Patient, patient_of
from training.templates.scan import Scan, sample_scan

STEP_MM = (5.0, 4.0, 4.0)
SHAPE_RC = (100, 130)
BODY_ORDER = (
    {Tissue.AIR},
    {Tissue.SKIN},
    {Tissue.SUBCUTANEOUS_FAT},
    {Tissue.RECTUS, Tissue.FASCIA, Tissue.OBLIQUE, Tissue.RIB_LEVEL_MUSCLE},
    {Tissue.VISCERAL_FAT},
)


def case(seed: int, field: FieldKind = FieldKind.WHOLE) -> PaintedCase:
    return make_painted_case(
        tiny_template(), seed, spacing_mm=STEP_MM, shape_rc=SHAPE_RC, field=field
    )


def quiet(scan: Scan) -> Scan:
    """Without noise, texture, blur of the scanner and a round field."""
    return replace(
        scan,
        acquisition=replace(
            scan.acquisition, noise_hu=0.0, texture=0.0, psf_mm=0.0, subslices=1, has_table=False
        ),
        sharpening=0.0,
        coarse_mm=0.0,
        field_radius_mm=1e9,
        strands=0.0,
        muscle_fat=0.0,
    )


def one_slice(patient: Patient, step_mm: float = 1.0) -> Grid:
    z = patient.vertebrae["L3"].centre_lps_mm[2]
    return grid_for(
        (z, z), (3.0, step_mm, step_mm), (round(420 / step_mm),) * 2, np.random.default_rng(0)
    )


@pytest.mark.parametrize("seed", range(4))
def test_layers_lie_in_order_from_the_front_inwards(seed: int) -> None:
    patient = patient_of(tiny_template(), seed)
    grid = one_slice(patient)
    labels = label_map(patient, grid)[0]

    column = labels[:, int(np.abs(grid.axis_mm(2) - 25).argmin())]
    front = column[: int(np.argmax(column == Tissue.VISCERAL_FAT)) + 1]
    changes = [front[0], *front[1:][np.diff(front.astype(int)) != 0]]

    assert len(changes) >= 4
    place = 0
    for tissue in changes:
        while tissue not in BODY_ORDER[place]:
            place += 1


def test_one_slice_is_the_slice_of_the_whole() -> None:
    patient = patient_of(tiny_template(), 3)
    low, high = patient.reach_mm
    whole = grid_for((low, high), STEP_MM, SHAPE_RC, np.random.default_rng(0))
    k = whole.shape[0] // 2
    x, y, _ = whole.origin_lps_mm
    single = replace(whole, shape=(1, *SHAPE_RC), origin_lps_mm=(x, y, float(whole.axis_mm(0)[k])))

    differ = label_map(patient, whole)[k] != label_map(patient, single)[0]

    assert differ.mean() < 2e-4


WITHOUT_L3 = (FieldKind.WITHOUT_L3, FieldKind.CHEST, FieldKind.PELVIS)


@pytest.mark.parametrize("kind", list(FieldKind))
def test_fields_hold_l3_or_not_as_their_kind_says(kind: FieldKind) -> None:
    for seed in range(25):
        patient = patient_of(tiny_template(), seed)
        first, last = field_of_view(patient, kind, np.random.default_rng(seed))
        low, high = patient.l3_extent_mm
        if kind in WITHOUT_L3:
            assert first >= high or last <= low
        else:
            assert first <= low
            assert last >= high
        reach = patient.reach_mm
        assert reach[0] <= first < last <= reach[1]


@pytest.mark.parametrize("kind", [FieldKind.CUT_BOTH, FieldKind.WITHOUT_L3])
def test_a_case_knows_whether_it_holds_l3(kind: FieldKind) -> None:
    assert case(1, kind).has_l3 == (kind not in WITHOUT_L3)


def test_all_organs_of_the_template_are_there_and_the_liver_is_on_the_right() -> None:
    made = case(2)
    organs = ORGAN_LUT[made.tissue_labels]

    assert {1, 2, 3, 5, 6, 11, 13} <= set(np.unique(organs))
    x = made.grid.axis_mm(2)
    liver, spleen = (x[np.nonzero(organs == n)[2]].mean() for n in (1, 3))
    assert liver < 0 < spleen


def test_every_compartment_has_its_own_place() -> None:
    made = case(5)
    amounts = np.bincount(COMPARTMENT_LUT[made.tissue_labels].ravel(), minlength=4)
    assert (amounts[1:] > 500).all()
    assert (made.tissue_labels == Tissue.INTERCOSTAL).any()


def test_habitus_goes_with_fat_under_the_skin() -> None:
    fat, habitus = [], []
    for seed in range(24):
        patient = patient_of(tiny_template(), seed)
        labels = label_map(patient, one_slice(patient, 4.0))
        fat.append(int((labels == Tissue.SUBCUTANEOUS_FAT).sum()))
        habitus.append(patient.body.habitus)

    assert np.corrcoef(fat, habitus)[0, 1] > 0.6
    assert max(fat) > 6 * min(fat)


def test_couch_and_arms_take_nothing_from_the_body() -> None:
    patients = [patient_of(tiny_template(), seed) for seed in range(40)]
    with_arms = [p for p in patients if p.body.arms is ArmPlace.DOWN]
    seen = set()
    for patient in with_arms:
        grid = grid_for(patient.reach_mm, (30.0, 5.0, 5.0), (90, 130), np.random.default_rng(0))
        bare = replace(patient, body=replace(patient.body, arms=ArmPlace.OUTSIDE))
        alone, beside = label_map(bare, grid), label_map(patient, grid, with_table=True)

        body = alone > 0
        np.testing.assert_array_equal(beside[body], alone[body])
        seen |= set(np.unique(beside))

    assert len(with_arms) > 3
    assert {Tissue.ARM_BONE, Tissue.ARM_MUSCLE, Tissue.TABLE_SHELL} <= seen


def test_a_quiet_scan_shows_every_tissue_at_its_mean() -> None:
    patient = patient_of(tiny_template(), 4)
    grid = one_slice(patient)
    scan = quiet(sample_scan(np.random.default_rng(4)))
    labels = label_map(patient, grid)
    hu = painted([labels], scan, grid)

    inside = labels == Tissue.ERECTOR_SPINAE
    assert np.median(hu[inside]) == pytest.approx(
        scan.acquisition.mean_hu[Tissue.ERECTOR_SPINAE], abs=1.0
    )
    assert hu[0, 0, 0] == -1000


def test_a_fatty_pancreas_holds_fat_between_its_lobules() -> None:
    grid = Grid(shape=(8, 60, 60), spacing_mm=(3.0, 1.0, 1.0), origin_lps_mm=(0, 0, 0))
    scan = quiet(sample_scan(np.random.default_rng(1)))
    labels = np.full(grid.shape, Tissue.PANCREAS, np.uint8)

    lean, fatty = (
        painted([labels], replace(scan, pancreas_fat=share), grid) for share in (0.0, 1.0)
    )

    assert 30 < lean.mean() - fatty.mean() < 60
    assert lean.std() < 5 < 20 < fatty.std()


def test_livers_and_pancreases_are_fat_now_and_then() -> None:
    scans = [sample_scan(np.random.default_rng(seed)) for seed in range(60)]
    livers = [scan.acquisition.mean_hu[Tissue.LIVER] for scan in scans]

    assert 15 < sum(scan.pancreas_fat > 0 for scan in scans) < 45
    assert 2 < sum(hu < 35 for hu in livers) < 30


def test_thick_slices_are_the_mean_of_thin_ones() -> None:
    grid = Grid(shape=(1, 8, 8), spacing_mm=(5.0, 1.0, 1.0), origin_lps_mm=(0, 0, 0))
    scan = quiet(sample_scan(np.random.default_rng(1)))
    maps = [np.full(grid.shape, t, np.uint8) for t in (Tissue.AIR, Tissue.LIVER)]

    hu = painted(maps, scan, grid)

    wanted = (-1000 + scan.acquisition.mean_hu[Tissue.LIVER]) / 2
    np.testing.assert_allclose(hu, wanted, atol=1.0)


def test_noise_has_the_strength_asked_for() -> None:
    grid = Grid(shape=(6, 60, 60), spacing_mm=(3.0, 1.0, 1.0), origin_lps_mm=(200, 200, 0))
    scan = quiet(sample_scan(np.random.default_rng(1)))
    scan = replace(scan, acquisition=replace(scan.acquisition, noise_hu=20.0))

    hu = painted([np.full(grid.shape, Tissue.LIVER, np.uint8)], scan, grid)

    assert hu.std() == pytest.approx(16.0, rel=0.1)


def test_nothing_is_seen_or_labelled_beyond_the_round_field() -> None:
    patient = patient_of(tiny_template(), 9)
    scan = replace(sample_scan(np.random.default_rng(9)), field_radius_mm=120.0)
    made = scanned(patient, scan, one_slice(patient))
    outside = np.broadcast_to(outside_field(scan, made.grid), made.tissue_labels.shape)

    assert made.is_cut
    assert (made.volume.hu[outside] == -1024).all()
    assert not made.tissue_labels[outside].any()
    assert not scanned(patient, replace(scan, field_radius_mm=1e9), made.grid).is_cut


def test_metal_throws_rays_across_its_slice_only() -> None:
    grid = Grid(shape=(3, 80, 80), spacing_mm=(3.0, 2.0, 2.0), origin_lps_mm=(-80, -80, 0))
    scan = replace(quiet(sample_scan(np.random.default_rng(1))), streaks_hu=200.0)
    labels = np.full(grid.shape, Tissue.LIVER, np.uint8)
    labels[2, 38:42, 38:42] = Tissue.METAL

    hu = paint([labels], scan, grid, NUMPY)

    assert hu[2, :20].std() > 3
    assert hu[0].std() < 1


def test_painting_again_gives_the_same() -> None:
    first, again = (case(7, FieldKind.CUT_BOTH) for _ in range(2))
    np.testing.assert_array_equal(first.volume.hu, again.volume.hu)
