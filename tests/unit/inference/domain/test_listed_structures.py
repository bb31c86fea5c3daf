"""Structures of the table are structures by name, and what the node reasons about is none of them."""

import copy
import pickle

import numpy as np
import pytest

from inference.domain.labelmap import LISTED, LabelMap, Structure, in_fixed_order
from inference.domain.listed_structures import listed_structures
from inference.domain.manifest import manifest_from_json, manifest_to_json
from tests.totalsegmentator_names import TOTAL
from tests.unit.inference.fake_predictors import make_manifest
from training.label_names import reported_as

RIB = Structure("rib_left_1")


def test_every_class_of_totalsegmentator_is_reported_once() -> None:
    reported = [reported_as(name) for name in TOTAL]

    assert None not in reported
    assert len(set(reported)) == len(set(TOTAL)) == 117
    assert {structure for structure in reported if structure and structure.is_listed} == set(LISTED)
    assert {s.value for s in LISTED} <= set(TOTAL)


@pytest.mark.parametrize("name", ["vertebrae_l5", "Vertebrae L5", "vertebrae-L5"])
def test_a_listed_structure_is_found_however_its_name_is_written(name: str) -> None:
    assert reported_as(name) == Structure("vertebrae_L5")


@pytest.mark.parametrize("name", ["pulmonary_nodule", "vertebra", "", "background", "RIB LEFT"])
def test_a_name_that_nobody_lists_is_no_structure(name: str) -> None:
    assert reported_as(name) is None
    with pytest.raises(ValueError, match="is not a valid Structure"):
        Structure(name)


def test_a_listed_structure_is_one_and_the_same_wherever_it_comes_from() -> None:
    assert Structure("rib_left_1") is RIB
    assert copy.deepcopy(RIB) is RIB
    assert pickle.loads(pickle.dumps(RIB)) is RIB
    assert {RIB: 1}[Structure("rib_left_1")] == 1
    assert (RIB.value, str(RIB)) == ("rib_left_1", "rib_left_1")
    assert isinstance(RIB, Structure)
    assert Structure("rib_left_2") != RIB


def test_our_code_iterates_over_what_it_knows_and_the_table_names_none_of_that() -> None:
    assert RIB.is_listed
    assert not any(structure.is_listed for structure in Structure)
    assert not {structure.value for structure in Structure} & set(listed_structures())
    assert RIB not in list(Structure)


def test_ours_come_first_and_the_others_as_the_table_has_them() -> None:
    mixed = {Structure("colon"), Structure.SPLEEN, Structure("trachea"), Structure.LIVER}

    assert [s.value for s in in_fixed_order(mixed)] == ["liver", "spleen", "trachea", "colon"]


def test_a_mask_of_a_listed_structure_is_that_of_its_label() -> None:
    labels = np.arange(3, dtype=np.uint8).reshape(1, 1, 3)
    made = LabelMap(labels=labels, affine_lps=np.eye(4), structures={1: Structure.LIVER, 2: RIB})

    assert made.mask(Structure("rib_left_1")).tolist() == [[[False, False, True]]]


def test_a_manifest_may_name_them() -> None:
    manifest = make_manifest(labels=("background", "vertebrae_L5", "~bronchus", "liver"))

    read = manifest_from_json(manifest_to_json(manifest))

    assert read.structures() == {1: Structure("vertebrae_L5"), 3: Structure.LIVER}
