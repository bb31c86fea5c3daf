"""Swapped kidneys are refused, a mirrored patient is told."""

import pytest

from inference.domain.errors import ImplausibleResult
from inference.domain.labelmap import Structure
from inference.domain.measurement import OrganResult
from inference.stages.sides import CROSSED_FLAG, MIRRORED_FLAG, side_flags

NORMAL = {
    Structure.LIVER: -80.0,
    Structure.SPLEEN: 100.0,
    Structure.KIDNEY_RIGHT: -60.0,
    Structure.KIDNEY_LEFT: 65.0,
}
"""Patient x of the middle of each organ: LPS, the patient's right is negative."""
SWAPPED = {Structure.KIDNEY_RIGHT: 65.0, Structure.KIDNEY_LEFT: -60.0}


def organs(left_mm: dict[Structure, float], volume_ml: float = 150.0) -> list[OrganResult]:
    return [
        OrganResult(
            structure=structure,
            volume_ml=volume_ml,
            mean_hu=None,
            sd_hu=None,
            box_lps_mm=((middle - 30, 0.0, 0.0), (middle + 30, 50.0, 90.0)),
            is_incomplete=False,
        )
        for structure, middle in left_mm.items()
    ]


def mirrored(left_mm: dict[Structure, float]) -> dict[Structure, float]:
    return {structure: -middle for structure, middle in left_mm.items()}


def without(left_mm: dict[Structure, float], *absent: Structure) -> dict[Structure, float]:
    return {s: middle for s, middle in left_mm.items() if s not in absent}


def test_organs_on_their_sides_raise_no_doubt() -> None:
    assert side_flags(organs(NORMAL)) == []
    assert side_flags([]) == []


@pytest.mark.parametrize(
    "absent", [(), (Structure.SPLEEN,), (Structure.LIVER,), (Structure.LIVER, Structure.SPLEEN)]
)
def test_swapped_kidneys_are_refused(absent: tuple[Structure, ...]) -> None:
    with pytest.raises(ImplausibleResult, match="right kidney 125 mm"):
        side_flags(organs(without(NORMAL | SWAPPED, *absent)))


@pytest.mark.parametrize("absent", [(), (Structure.SPLEEN,), (Structure.KIDNEY_LEFT,)])
def test_a_mirrored_patient_is_told_and_not_refused(absent: tuple[Structure, ...]) -> None:
    flags = side_flags(organs(without(mirrored(NORMAL), *absent)))

    assert MIRRORED_FLAG in flags


def test_situs_inversus_with_kidneys_named_by_their_true_side_is_told() -> None:
    inverted = mirrored(NORMAL) | {Structure.KIDNEY_RIGHT: -60.0, Structure.KIDNEY_LEFT: 65.0}

    assert side_flags(organs(inverted)) == [MIRRORED_FLAG]


def test_a_crossed_kidney_close_to_the_other_is_told() -> None:
    ectopia = NORMAL | {Structure.KIDNEY_RIGHT: 75.0}

    assert side_flags(organs(ectopia)) == [CROSSED_FLAG]


def test_a_speck_says_nothing_of_sides() -> None:
    assert side_flags(organs(NORMAL | SWAPPED, volume_ml=5.0)) == []
