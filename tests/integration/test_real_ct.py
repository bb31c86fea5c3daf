"""Real and vendor series with known oddities; the folder is the user's, named by HABITUS_REAL_CT."""

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.dicom.hounsfield import hounsfield, pixel_format
from inference.dicom.read_seg import verify_seg
from inference.dicom.read_series import load_series
from inference.dicom.write_seg import encode_seg
from inference.domain.analysis_profile import LossyPolicy
from inference.domain.errors import (
    NoSuitableSeries,
    StudyRejected,
    UnreadableInput,
    UnsupportedGeometry,
)
from inference.domain.labelmap import FLARE22_ORGANS
from inference.domain.volume import axis_flips
from tests.synthetic_series import chosen_series, result_identity, small_labels


@pytest.fixture(scope="module")
def real_ct() -> Path:
    folder = Path(os.environ.get("HABITUS_REAL_CT", "")) / "real-ct"
    if not os.environ.get("HABITUS_REAL_CT") or not folder.is_dir():
        pytest.skip("HABITUS_REAL_CT names no folder with real-ct/")
    return folder


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ge_tilt_three_gaps", "gantry-tilt"),
        ("philips_tilt", "gantry-tilt"),
        ("duplicate_positions", "slice-gap"),
        ("totalseg_jpeg2000_upper_abdomen", "empty-uids"),
    ],
)
def test_unmeasurable_series_are_refused_with_their_reason(
    name: str, reason: str, real_ct: Path
) -> None:
    with pytest.raises(UnsupportedGeometry) as refusal:
        chosen_series(real_ct / name)

    assert refusal.value.reason == reason


def test_an_identical_copy_beside_a_gap_is_named_too(real_ct: Path) -> None:
    with pytest.raises(UnsupportedGeometry, match="1 more at the same position"):
        chosen_series(real_ct / "duplicate_positions")


def test_secondary_captures_and_a_stray_directory_are_no_series(real_ct: Path) -> None:
    with pytest.raises(NoSuitableSeries, match="scout"):
        chosen_series(real_ct / "philips_secondary_captures")


def test_an_enhanced_perfusion_map_is_no_series(real_ct: Path) -> None:
    with pytest.raises(NoSuitableSeries, match="derived"):
        load_series([real_ct / "enhanced_multiframe_ct.dcm"])


def test_segmentations_beside_three_slices_are_no_series(real_ct: Path) -> None:
    with pytest.raises(StudyRejected):
        chosen_series(real_ct / "dcmqi_seg_examples")
    with pytest.raises(UnsupportedGeometry) as refusal:
        chosen_series(real_ct / "dcmqi_seg_examples" / "ct-3slice")

    assert refusal.value.reason == "too-few-slices"


def test_other_file_formats_are_not_read(real_ct: Path) -> None:
    with pytest.raises(UnreadableInput):
        chosen_series(real_ct / "vertebra_l3_crop")


def test_lossless_codings_give_the_same_units(real_ct: Path) -> None:
    folder = real_ct / "codecs_wg04_ct1"
    images = [dcmread(folder / name) for name in ("CT1_J2KR", "CT1_JLSL", "CT1_RLE", "CT1_JPLL")]

    units = [hounsfield(image, pixel_format(image)) for image in images]

    assert np.array_equal(units[0], units[1])
    assert np.array_equal(units[0], units[2])
    assert np.array_equal(units[0], units[3])


@pytest.mark.parametrize("name", ["CT1_J2KI", "CT1_JLSN"])
def test_a_profile_may_refuse_lossy_codings(name: str, real_ct: Path) -> None:
    with pytest.raises(UnsupportedGeometry) as refusal:
        load_series([real_ct / "codecs_wg04_ct1" / name], LossyPolicy.REJECT)

    assert refusal.value.reason == "lossy"


@pytest.mark.parametrize("name", ["CT1_J2KR", "CT1_RLE", "CT1_JPLL"])
def test_one_slice_is_no_volume(name: str, real_ct: Path) -> None:
    with pytest.raises(UnsupportedGeometry) as refusal:
        load_series([real_ct / "codecs_wg04_ct1" / name])

    assert refusal.value.reason == "too-few-slices"


def test_a_feet_first_slab_is_read_in_patient_coordinates(real_ct: Path) -> None:
    series = chosen_series(real_ct / "kits_liver_slab")

    assert series.volume.shape == (18, 512, 512)
    assert axis_flips(series.volume.affine_lps) == (False, False, False)
    assert series.volume.spacing_mm == pytest.approx((2.5, 0.6640625, 0.6640625))
    assert series.slice_thickness_mm == 3
    # The liver (bright) fills the patient's right: low column index in this orientation.
    soft = (series.volume.hu > 80) & (series.volume.hu < 180)
    assert soft[:, :, :256].sum() > 1.2 * soft[:, :, 256:].sum()


def test_a_segmentation_of_a_real_series_is_proven(real_ct: Path) -> None:
    series = chosen_series(real_ct / "kits_liver_slab")
    labels = small_labels(series.volume.affine_lps, series.volume.shape, FLARE22_ORGANS[:4])

    verify_seg(encode_seg(labels, series, result_identity()), labels, series)
