"""What is learnt under which number, and how one kidney label becomes two."""

import numpy as np
import pytest

from inference.domain.errors import ConfigurationInvalid
from inference.domain.volume import Volume, affine_from_axes
from tests.unit.training.data.tiny import BOXES, STEP_MM, ct, labels
from training.data.cases import LabelledVolume
from training.label_names import OUR_NUMBERS
from training.nnunet.label_choice import choice_of

AXES = np.eye(3)[::-1]
ABDOMEN = {"liver": OUR_NUMBERS["liver"], "kidney": OUR_NUMBERS["kidney"]}
BY_SIDE = {name: OUR_NUMBERS[name] for name in ("liver", "kidney_right", "kidney_left")}


def case(numbers: dict[str, int], *, joined: bool = False) -> LabelledVolume:
    found = labels(numbers)
    if joined:
        rows, columns = BOXES["kidney_right"][1], slice(12, 28)
        found[3, rows, columns] = OUR_NUMBERS["kidney"]
    affine = affine_from_axes((-190.0, -150.0, 0.0), AXES, STEP_MM)
    return LabelledVolume(
        volume=Volume(hu=ct(), affine_lps=affine), labels=found, names=frozenset(numbers)
    )


def test_the_preset_of_abdomenct_1k_merges_the_kidneys() -> None:
    choice = choice_of("abdomenct-1k", splits_kidneys=False)

    assert choice.numbers() == {
        "background": 0, "liver": 1, "kidney": 2, "spleen": 3, "pancreas": 4,
    }  # fmt: skip
    assert not choice.has_sides


def test_kidneys_labelled_by_side_become_one_where_one_is_chosen() -> None:
    choice = choice_of("liver,kidney", splits_kidneys=False)
    data = case(BY_SIDE)

    assert choice.unfit(data) is None
    assert (choice.chosen(data)[BOXES["kidney_right"]] == 2).all()
    assert (choice.chosen(data)[BOXES["kidney_left"]] == 2).all()


def test_one_kidney_label_becomes_two_only_where_somebody_asks() -> None:
    data = case(ABDOMEN)
    refused = choice_of("liver,kidney_right,kidney_left", splits_kidneys=False).unfit(data)
    asked = choice_of("liver,kidney_right,kidney_left", splits_kidneys=True)

    assert refused is not None
    assert "--kidneys-by-side" in refused.advice
    assert asked.unfit(data) is None
    assert (asked.chosen(data)[BOXES["kidney_right"]] == 2).all()
    assert (asked.chosen(data)[BOXES["kidney_left"]] == 3).all()
    assert (asked.chosen(data)[BOXES["liver"]] == 1).all()


def test_a_horseshoe_kidney_is_not_cut_in_two() -> None:
    problem = choice_of("kidney_right,kidney_left", splits_kidneys=True).unfit(
        case(ABDOMEN, joined=True)
    )

    assert problem is not None
    assert "both sides of the body" in problem.found


def test_what_is_not_labelled_is_not_learnt_as_background() -> None:
    problem = choice_of("liver,spleen", splits_kidneys=False).unfit(case(ABDOMEN))

    assert problem is not None
    assert problem.found == "no labels of spleen"


@pytest.mark.parametrize("wanted", ["livver", "liver,liver", "kidney,kidney_left", ""])
def test_labels_that_make_no_choice_are_refused(wanted: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        choice_of(wanted, splits_kidneys=False)
