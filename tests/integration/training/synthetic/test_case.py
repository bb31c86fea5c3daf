"""Cases: one seed gives one case; the field of view does or does not hold L3; HU as asked for."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from inference.domain.volume import position_mm
from training.synthetic.anatomy import TRAINING, UNSEEN, sample_anatomy
from training.synthetic.attenuation import Phase
from training.synthetic.case import (
    ABDOMEN,
    CROP_WITH_L3,
    CROP_WITHOUT_L3,
    FULL_TORSO,
    L3_MARGIN_MM,
    SyntheticCase,
    explicit_field,
    field_of_view,
    make_case,
)
from training.synthetic.labels import Tissue
from training.synthetic.painting import plain_acquisition, sample_acquisition
from training.synthetic.preview import preview


def small_case(seed: int, **options: object) -> SyntheticCase:
    return make_case(
        seed,
        spacing_mm=(6.0, 5.0, 5.0),
        shape_rc=(72, 88),
        **{"field": explicit_field(-30.0, 60.0), **options},  # type: ignore[arg-type]
    )


def test_one_seed_gives_one_case() -> None:
    first, again, other = small_case(7), small_case(7), small_case(8)
    assert np.array_equal(first.volume.hu, again.volume.hu)
    assert np.array_equal(first.tissue_labels, again.tissue_labels)
    assert first.anatomy == again.anatomy
    assert not np.array_equal(first.tissue_labels, other.tissue_labels)


def test_a_crop_with_l3_holds_all_of_it_and_one_without_nothing_of_it() -> None:
    for seed in range(150):
        anatomy = sample_anatomy(np.random.default_rng(seed), TRAINING if seed % 2 else UNSEEN)
        rng = np.random.default_rng((seed, 9))
        low, high = anatomy.l3_extent_mm
        for field in (FULL_TORSO, ABDOMEN, CROP_WITH_L3):
            bottom, top = field_of_view(anatomy, field, rng)
            assert bottom <= low - L3_MARGIN_MM + 1e-6
            assert top >= high + L3_MARGIN_MM - 1e-6
        bottom, top = field_of_view(anatomy, CROP_WITHOUT_L3, rng)
        assert top <= low or bottom >= high
        assert top - bottom >= 89


def test_a_case_without_l3_says_so() -> None:
    case = small_case(3, field=CROP_WITHOUT_L3)
    assert case.l3_z_mm is None
    assert small_case(3, field=CROP_WITH_L3).l3_z_mm == 0.0


def test_the_affine_places_labels_in_the_body_frame() -> None:
    case = small_case(2, acquisition=plain_acquisition(0.0))
    trabecular = np.argwhere(case.tissue_labels == Tissue.VERTEBRA_TRABECULAR)
    liver = np.argwhere(case.tissue_labels == Tissue.LIVER)
    bone = position_mm(case.volume.affine_lps, trabecular).mean(0)
    assert abs(bone[0]) < 12
    assert position_mm(case.volume.affine_lps, liver).mean(0)[0] < -20
    assert case.field_z_mm == (-30.0, 60.0)
    assert case.volume.spacing_mm == pytest.approx((6.0, 5.0, 5.0))


def test_a_plain_scan_has_one_hu_per_tissue() -> None:
    case = small_case(2, acquisition=plain_acquisition(0.0))
    for tissue, hu in ((Tissue.PSOAS, 54), (Tissue.SUBCUTANEOUS_FAT, -105), (Tissue.LIVER, 58)):
        assert set(case.volume.hu[case.tissue_labels == tissue].tolist()) == {hu}
    assert case.volume.hu.dtype == np.int16
    assert not (case.tissue_labels == Tissue.TABLE).any()


def test_a_plain_scans_noise_is_white_and_of_the_stated_size() -> None:
    case = small_case(2, acquisition=plain_acquisition(15.0))
    air = case.volume.hu[:, 0, :].astype(float)
    fat = case.volume.hu[case.tissue_labels == Tissue.SUBCUTANEOUS_FAT]
    assert fat.std() == pytest.approx(15.0, rel=0.06)
    assert fat.mean() == pytest.approx(-105.0, abs=1.5)
    assert abs(np.corrcoef(air[:, :-1].ravel(), air[:, 1:].ravel())[0, 1]) < 0.12


def test_a_thick_slice_is_the_mean_of_thin_ones() -> None:
    thin = plain_acquisition(0.0)
    one, two = (small_case(2, acquisition=replace(thin, subslices=n)) for n in (1, 2))
    inner = ndimage.minimum_filter(one.volume.hu, (3, 1, 1)) == ndimage.maximum_filter(
        one.volume.hu, (3, 1, 1)
    )
    assert (one.volume.hu != two.volume.hu).any()
    assert (one.volume.hu[inner] == two.volume.hu[inner]).mean() > 0.97


def test_a_preview_shows_three_views_side_by_side() -> None:
    case = small_case(2, acquisition=plain_acquisition(5.0))
    picture = preview(case.volume, 0.0)
    assert picture.shape == (72 * 5, 2 * 88 * 5 + 72 * 5 + 3 * 8)
    assert picture.dtype == np.uint8
    coronal = picture[:, 88 * 5 + 8 : 2 * 88 * 5 + 8]
    assert coronal[case.volume.shape[0] * 6 - 8 : case.volume.shape[0] * 6].max() > 100
    assert coronal[case.volume.shape[0] * 6 :].max() == 0


def test_contrast_phases_order_the_organs_as_in_life() -> None:
    scans = [sample_acquisition(np.random.default_rng(seed), TRAINING) for seed in range(60)]
    assert {scan.phase for scan in scans} == set(Phase)
    for scan in scans:
        hu = scan.mean_hu
        assert hu[Tissue.SUBCUTANEOUS_FAT] < -85
        assert 15 < hu[Tissue.PSOAS] < 95
        if scan.phase is Phase.ARTERIAL:
            assert hu[Tissue.AORTA] > hu[Tissue.INFERIOR_VENA_CAVA] + 80
            assert hu[Tissue.KIDNEY_LEFT] > hu[Tissue.KIDNEY_LEFT_MEDULLA] + 20
        if scan.phase is Phase.PORTAL:
            assert hu[Tissue.PORTAL_SPLENIC_VEIN] > hu[Tissue.LIVER]


def test_a_sampled_scan_has_realistic_means_in_its_tissues() -> None:
    case = small_case(11)
    hu = case.volume.hu.astype(float)
    fat = hu[case.tissue_labels == Tissue.SUBCUTANEOUS_FAT].mean()
    muscle = hu[case.tissue_labels == Tissue.PSOAS].mean()
    assert -125 < fat < -70
    assert 10 < muscle < 95
