"""The codes of segments: each means what DICOM's own tables say of it, tells one structure, and has the side of its name."""

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from pydicom.sr._concepts_dict import concepts

from inference.dicom.codes import FINDING, LEFT, RIGHT, STRUCTURE_CODES
from inference.domain.labelmap import LISTED, Structure

EVERY = [*Structure, *LISTED]
SCT: dict[str, Any] = dict(concepts["SCT"])
MEANINGS: dict[str, set[str]] = {}
for of_name in SCT.values():
    for value, (meaning, _groups) in of_name.items():
        MEANINGS.setdefault(value, set()).add(meaning.lower())

RIBS = frozenset(
    [
        "48535007",
        "78247007",
        "25888004",
        "25523003",
        "15339008",
        "59558009",
        "24915002",
        "5953002",
        "22565002",
        "77644006",
        "58830002",
        "43993008",
    ]
)
MUSCLES = frozenset(["181674001", "78333006", "75297007", "244849004", "68455001"])
NOT_IN_DICOM = {
    # DICOM has one rib, without a number.
    **dict.fromkeys(RIBS, "TotalSegmentator's; the ribs by number"),
    # CID 7603 ends with L5.
    "65985001": "TotalSegmentator's; S1",
    # Of the muscles of hip and back DICOM has none.
    **dict.fromkeys(MUSCLES, "TotalSegmentator's; muscles"),
    "110765007": "TotalSegmentator's; portal and splenic vein as one",
    "67769002": "TotalSegmentator's; subcutaneous fat",
    "725273006": "MOOSE's; visceral fat",
}
LEAST_COLOUR_DISTANCE = 15.0


def test_dicoms_tables_have_the_same_meaning_for_every_code_that_they_have() -> None:
    unknown = set()
    for structure in EVERY:
        code = STRUCTURE_CODES[structure]
        for part in (code.category, code.kind, code.modifier, code.region, code.region_modifier):
            if part is None:
                continue
            assert part.scheme_designator == "SCT"
            if part.value in MEANINGS:
                assert part.meaning.lower() in MEANINGS[part.value], (structure, part)
            else:
                unknown.add(part.value)
    assert unknown == set(NOT_IN_DICOM)


def test_no_two_segments_have_the_same_codes_label_or_name() -> None:
    assert len(STRUCTURE_CODES) == len(EVERY) == len({s.value.lower() for s in EVERY})
    assert [k for k, n in Counter(c.key for c in STRUCTURE_CODES.values()).items() if n > 1] == []
    assert [k for k, n in Counter(c.label for c in STRUCTURE_CODES.values()).items() if n > 1] == []
    assert all(len(code.label) <= 64 for code in STRUCTURE_CODES.values())


@pytest.mark.parametrize("structure", EVERY)
def test_what_has_a_side_in_its_name_has_it_in_label_and_codes(structure: Structure) -> None:
    code = STRUCTURE_CODES[structure]
    words = structure.value.split("_")
    coded = {side for side in (code.modifier, code.region_modifier) if side is not None}
    for name, side in (("left", LEFT), ("right", RIGHT)):
        in_concept = name in code.kind.meaning.lower().split()
        assert (side in coded or in_concept) == (name in words)
        assert (name in code.label.lower().split()) == (name in words)
        assert not (side in coded and in_concept)


@pytest.mark.parametrize("structure", [s for s in EVERY if "left" in s.value.split("_")])
def test_both_sides_of_a_pair_are_the_same_thing(structure: Structure) -> None:
    other = structure.value.replace("left", "right")
    if structure.value == "atrial_appendage_left":
        return
    one, two = STRUCTURE_CODES[structure], STRUCTURE_CODES[Structure(other)]

    assert (one.kind, one.region, one.category) == (two.kind, two.region, two.category)


def test_a_cyst_is_a_finding_that_lies_in_a_kidney() -> None:
    code = STRUCTURE_CODES[Structure("kidney_cyst_left")]
    kidney = STRUCTURE_CODES[Structure.KIDNEY_LEFT]

    assert code.category == FINDING
    assert code.site == (kidney.kind, kidney.modifier)
    assert code.modifier is None


def test_colours_are_told_apart_and_seen_on_black() -> None:
    colours = [np.array(STRUCTURE_CODES[structure].rgb, float) for structure in EVERY]

    assert min(np.linalg.norm(a - b) for a, b in combinations(colours, 2)) >= LEAST_COLOUR_DISTANCE
    assert min(colour.max() for colour in colours) >= 120
