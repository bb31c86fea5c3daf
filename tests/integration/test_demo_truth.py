"""The two truths of a demo series: from its shapes and from its voxels."""

import pytest

from inference.domain.labelmap import Structure
from training.synthetic.case import make_case
from training.synthetic.demo_series import FIELDS, shape_truth_of, truth_of

LARGE_ORGANS = (Structure.LIVER, Structure.SPLEEN, Structure.KIDNEY_LEFT, Structure.AORTA)


def test_voxels_and_shapes_agree_where_blur_takes_little_away() -> None:
    case = make_case(11, field=FIELDS["abdomen"], shape_rc=(128, 128), spacing_mm=(5.0, 3.2, 3.2))

    shapes, voxels = shape_truth_of(case), truth_of(case)

    assert shapes.l3_z_mm == voxels.l3_z_mm
    for tissue in (Structure.SKELETAL_MUSCLE, Structure.SUBCUTANEOUS_FAT):
        assert voxels.area_cm2[tissue] == pytest.approx(shapes.area_cm2[tissue], rel=0.05)
    for organ in LARGE_ORGANS:
        assert voxels.organ_ml[organ] == pytest.approx(shapes.organ_ml[organ], rel=0.02)


def test_without_l3_there_are_organs_and_no_areas() -> None:
    case = make_case(11, field=FIELDS["chest"], shape_rc=(64, 64), spacing_mm=(10.0, 6.0, 6.0))

    truth = shape_truth_of(case)

    assert truth.l3_z_mm is None
    assert not truth.area_cm2
    assert Structure.AORTA in truth.organ_ml
