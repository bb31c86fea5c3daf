"""Slices of labelled cases: which are taken, what is in them, what is labelled at all."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.data.tiny import BOXES, write_flare22, write_spleen
from training.data.cases import LabelledVolume
from training.data.layouts.registry import find_cases, layout_named
from training.label_names import OUR_NUMBERS
from training.slices.organ_slice import OrganSlice, channel_map, organ_slices

NAMES = ("spleen", "liver", "portal_splenic_vein")


def first_case(folder: Path, layout: str) -> LabelledVolume:
    """Read from files."""
    return find_cases(folder, layout_named(layout)).cases[0].read()


def slices_of(case: LabelledVolume, **options: float) -> list[OrganSlice]:
    """On a square of 80 pixels of 5 mm."""
    least = int(options.pop("least_pixels", 1))
    return list(organ_slices(case, NAMES, 80, least_pixels=least, **options))


def test_only_slices_with_a_structure_are_taken(tmp_path: Path) -> None:
    found = slices_of(first_case(write_flare22(tmp_path, 1), "flare22"))
    liver, spleen = BOXES["liver"][0], BOXES["spleen"][0]
    assert len(found) == len({*range(liver.start, liver.stop), *range(spleen.start, spleen.stop)})
    assert [one.present for one in found[:2]] == [(2,), (1, 2)]


def test_labels_and_hu_lie_on_each_other(tmp_path: Path) -> None:
    for one in slices_of(first_case(write_flare22(tmp_path, 1), "flare22")):
        assert one.hu[one.channels == 2].mean() == pytest.approx(90, abs=20)
        assert one.hu[60:].max() < -900


def test_what_has_no_labels_is_told_from_what_is_not_there(tmp_path: Path) -> None:
    with_all = slices_of(first_case(write_flare22(tmp_path / "a", 1), "flare22"))[0]
    spleen_only = slices_of(first_case(write_spleen(tmp_path / "b"), "msd"))[0]
    assert list(with_all.is_labelled) == [True, True, False]
    assert list(spleen_only.is_labelled) == [True, False, False]


def test_remnants_and_slices_between_are_left_out(tmp_path: Path) -> None:
    case = first_case(write_flare22(tmp_path, 1), "flare22")
    whole = slices_of(case)
    assert slices_of(case, least_pixels=10_000) == []
    assert len(slices_of(case, step_mm=16.0)) == pytest.approx(len(whole) / 2, abs=1)


def test_channels_follow_the_order_asked_for() -> None:
    ours = np.array(
        [[0, OUR_NUMBERS["liver"], OUR_NUMBERS["spleen"], OUR_NUMBERS["aorta"]]], np.uint8
    )
    assert channel_map(ours, NAMES).tolist() == [[0, 2, 1, 0]]
