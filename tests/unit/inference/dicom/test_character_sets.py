"""Names of every script reach segmentation, report and picture page unharmed; what cannot be decoded stays as it is."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from inference.dicom.undecodable import plain_ascii
from tests.named_series import DECODABLE, UNDECODABLE, results, series_named


@pytest.mark.parametrize("case", DECODABLE)
def test_a_name_is_the_same_in_every_result(case: str, tmp_path: Path) -> None:
    characters, name, decoded = DECODABLE[case]
    series = series_named(characters, name, tmp_path)

    for kind, encoded in results(series).items():
        result = dcmread(BytesIO(encoded))
        assert str(result.PatientName) == decoded, kind
        assert result.StudyDescription == decoded, kind
        assert result.SpecificCharacterSet == "ISO_IR 192", kind
    assert not any("character set" in flag for flag in series.flags)


@pytest.mark.parametrize("case", UNDECODABLE)
def test_a_name_that_cannot_be_decoded_stays_as_it_is_and_is_flagged(
    case: str, tmp_path: Path
) -> None:
    characters, name = UNDECODABLE[case]
    series = series_named(characters, name, tmp_path)

    for kind, encoded in results(series).items():
        result = dcmread(BytesIO(encoded))
        for keyword in ("PatientName", "StudyDescription"):
            element: Any = result.get_item(keyword)
            assert isinstance(element, RawDataElement)
            assert (element.value or b"").rstrip() == name, kind
        found = result.get("SpecificCharacterSet")
        assert (list(found) if isinstance(characters, list) else found) == characters, kind
        assert str(result.PatientID) == "SYN000000", kind
    assert any("character set" in flag for flag in series.flags)


def test_our_own_words_fit_any_character_set(tmp_path: Path) -> None:
    series = series_named(None, "홍^길동".encode("euc_kr"), tmp_path)

    document = dcmread(BytesIO(results(series)["sr"]))

    assert own_texts(document)
    assert all(words.isascii() for words in own_texts(document))


def own_texts(document: Dataset) -> list[str]:
    """All texts of the content tree."""
    return [
        element.value
        for item in document.ContentSequence
        for element in item.iterall()
        if element.VR in ("LO", "SH", "UT") and isinstance(element.value, str)
    ]


@pytest.mark.parametrize(
    ("words", "plain"),
    [("12 cm² – T < −2", "12 cm2 - T < -2"), ("Jörg", "Jorg"), ("근육", "??")],
)
def test_plain_words(words: str, plain: str) -> None:
    assert len(plain_ascii(words)) >= len(plain)
    assert plain_ascii(words).strip("?") == plain.strip("?")
