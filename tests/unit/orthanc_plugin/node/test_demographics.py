"""The seal on demographics: what changes it, and what must not."""

import pytest

from orthanc_plugin.node.demographics import SEALED_KEYWORDS, DemographicsSeal

SEAL = DemographicsSeal(b"secret")
IMAGE = dict.fromkeys(SEALED_KEYWORDS, "A") | {"InstanceNumber": "1"}


@pytest.mark.parametrize("keyword", SEALED_KEYWORDS)
def test_every_value_that_results_repeat_changes_the_seal(keyword: str) -> None:
    assert SEAL.of([IMAGE]) != SEAL.of([IMAGE | {keyword: "B"}])


def test_one_image_of_another_patient_changes_the_seal() -> None:
    assert SEAL.of([IMAGE, IMAGE]) != SEAL.of([IMAGE, IMAGE | {"PatientName": "B"}])


def test_neither_order_nor_number_of_images_nor_other_values_change_the_seal() -> None:
    other = IMAGE | {"PatientName": "B"}

    assert SEAL.of([IMAGE, other]) == SEAL.of([other | {"InstanceNumber": "2"}, IMAGE, IMAGE])


def test_another_site_has_another_seal() -> None:
    assert SEAL.of([IMAGE]) != DemographicsSeal(b"other").of([IMAGE])
