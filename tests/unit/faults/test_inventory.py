"""What the comparison of a disturbed with an undisturbed run finds, one kind of loss at a time."""

import io
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.dicom_peers import ct_series
from tests.faults.inventory import Inventory, compare, content_hash, inventory_of

EXPECTED: Inventory = {"study 1": {"seg": "a", "sr": "b"}, "study 2": {"sr": "c"}}
BOTH = ("study 1", "study 2")


def saved(dataset: Dataset) -> bytes:
    """As a file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_nothing_is_found_where_both_hold_the_same() -> None:
    assert compare("pacs", EXPECTED, EXPECTED, BOTH) == []


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ({"study 1": {"seg": "a"}, "study 2": {"sr": "c"}}, "missing"),
        ({"study 1": {"seg": "a", "sr": "b"}}, "lost"),
        ({"study 1": {"seg": "a", "sr": "b", "sr 2": "b"}, "study 2": {"sr": "c"}}, "extra"),
        ({"study 1": {"seg": "a", "sr": "B"}, "study 2": {"sr": "c"}}, "changed"),
        ({**EXPECTED, "study 3": {"sr": "d"}}, "extra"),
    ],
)
def test_every_difference_is_found(found: Inventory, kind: str) -> None:
    assert [finding.kind for finding in compare("pacs", EXPECTED, found, BOTH)] == [kind]


def test_an_accepted_study_that_even_the_undisturbed_run_lacks_is_lost() -> None:
    findings = compare("pacs", EXPECTED, EXPECTED, (*BOTH, "study 3"))

    assert [(finding.kind, finding.what) for finding in findings] == [("lost", "study 3")]


def test_results_of_a_superseded_job_are_explained() -> None:
    found = {**EXPECTED, "study 2": {"sr": "c", "sr of half the slices": "d"}}

    assert compare("pacs", EXPECTED, found, BOTH, {"sr of half the slices"}) == []


def test_the_hash_sees_every_pixel_and_value_but_no_time() -> None:
    (image,) = ct_series(1)
    before = content_hash(saved(image))
    image.ContentTime = "120000"
    later = content_hash(saved(image))
    image.PixelData = bytes([image.PixelData[0] ^ 1]) + image.PixelData[1:]
    other_pixel = content_hash(saved(image))
    image.PatientID = "another"

    assert before == later
    assert len({later, other_pixel, content_hash(saved(image))}) == 3


def test_an_inventory_is_by_study_and_object(tmp_path: Path) -> None:
    for image in [*ct_series(2, seed="one"), *ct_series(1, seed="two")]:
        (tmp_path / f"{image.SOPInstanceUID}.dcm").write_bytes(saved(image))

    assert sorted(len(held) for held in inventory_of(tmp_path).values()) == [1, 2]
