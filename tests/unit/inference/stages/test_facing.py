"""A body that lies otherwise than its header says is told by where its spine lies; what cannot tell is not asked."""

import numpy as np
import pytest

from inference.domain.volume import Volume, affine_from_axes, flip
from inference.stages.facing import is_turned, spine_depth_share
from tests.synthetic_study import AXIAL

STEP_MM = (5.0, 2.0, 2.0)
ROWS, COLUMNS = 160, 200
L3_MM = 100.0


def drawn(
    height_mm: float = 200.0,
    *,
    spine_share: float = 0.68,
    bowel: bool = False,
    couch: bool = False,
    lift_mm: float = 0.0,
) -> Volume:
    """An ellipse of 220 by 320 mm with a spine so far behind its front."""
    slices = round(height_mm / STEP_MM[0])
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(float)
    y_mm, x_mm = y * STEP_MM[1] - 160.0 + lift_mm, (x - COLUMNS / 2) * STEP_MM[2]
    plane = np.full((ROWS, COLUMNS), -1000, np.int16)
    plane[(y_mm / 110) ** 2 + (x_mm / 160) ** 2 <= 1] = 40
    back_mm = -110 + 220 * spine_share
    hu = np.full((slices, ROWS, COLUMNS), 0, np.int16) + plane
    hu[:, ((y_mm - back_mm) / 24) ** 2 + (x_mm / 24) ** 2 <= 1] = 350
    if bowel:
        hu[: slices // 2, ((y_mm + 60) / 30) ** 2 + (x_mm / 40) ** 2 <= 1] = 700
    if couch:
        # Two boards and a web between them: the patient lies on it.
        hu[:, (y_mm > 104) & (y_mm < 150) & (np.abs(x_mm) < 3)] = 100
        hu[:, ((y_mm > 109) & (y_mm < 114)) | ((y_mm > 146) & (y_mm < 151))] = 100
    return Volume(hu=hu, affine_lps=affine_from_axes((0.0, 0.0, 0.0), AXIAL, STEP_MM))


def turned(volume: Volume) -> Volume:
    return Volume(hu=flip(volume.hu, (False, True, True)), affine_lps=volume.affine_lps)


@pytest.mark.parametrize("spine_share", [0.57, 0.68, 0.81])
def test_a_body_turned_against_its_header_is_told_and_one_that_lies_right_is_not(
    spine_share: float,
) -> None:
    volume = drawn(spine_share=spine_share)

    assert not is_turned(volume, L3_MM)
    assert is_turned(turned(volume), L3_MM)
    assert spine_depth_share(volume, L3_MM) == pytest.approx(spine_share, abs=0.02)


def test_contrast_in_the_bowel_before_the_spine_is_no_spine() -> None:
    assert spine_depth_share(drawn(bowel=True), L3_MM) == pytest.approx(0.68, abs=0.02)
    assert is_turned(turned(drawn(bowel=True)), L3_MM)


def test_a_couch_is_no_back() -> None:
    assert spine_depth_share(drawn(couch=True), L3_MM) == pytest.approx(0.68, abs=0.02)


def test_where_the_field_cuts_the_front_off_nothing_is_said() -> None:
    cut = drawn()
    nearer = Volume(hu=cut.hu[:, 70:], affine_lps=cut.affine_lps)

    assert spine_depth_share(nearer, L3_MM) is None
    assert not is_turned(turned(nearer), L3_MM)


@pytest.mark.parametrize(
    ("volume", "l3_mm", "is_told"),
    [(drawn(30.0), 15.0, False), (drawn(50.0), 25.0, True), (drawn(lift_mm=400.0), L3_MM, False)],
    ids=["slab", "slab long enough", "nothing in the picture"],
)
def test_a_slab_and_an_empty_picture_tell_nothing(
    volume: Volume, l3_mm: float, is_told: bool
) -> None:
    assert (spine_depth_share(volume, l3_mm) is not None) == is_told


def test_a_heart_in_contrast_far_above_and_pubic_bones_far_below_are_not_asked() -> None:
    """Above and below L3 something dense, as long as the spine and grown together with it, lies before it."""
    volume = drawn(500.0)
    hu = volume.hu.copy()
    z_mm = np.arange(len(hu)) * STEP_MM[0]
    hu[np.abs(z_mm - 250) > 100, 30:100, 80:120] = 400
    volume = Volume(hu=hu, affine_lps=volume.affine_lps)

    assert spine_depth_share(volume, 250.0) == pytest.approx(0.68, abs=0.02)
    assert not is_turned(volume, 250.0)
