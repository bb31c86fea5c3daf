"""Names of every script reach segmentation, report and picture page unharmed; what cannot be decoded stays as it is."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from inference.dicom.ct_series import CtSeries
from inference.dicom.quiet import quietly
from inference.dicom.read_series import load_series
from inference.dicom.undecodable import plain_ascii
from inference.dicom.write_page import encode_page
from inference.dicom.write_seg import build_seg, encode_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.labelmap import TISSUES
from tests.synthetic_series import result_identity, save_all, small_datasets, small_labels
from tests.unit.inference.dicom.full_report import full_report


def jis(kanji: str) -> bytes:
    """In JIS X 0208 with escape sequences; its bytes may look like delimiters."""
    return kanji.encode("iso2022_jp")


def korean(hangul: str) -> bytes:
    """One component in ISO 2022 IR 149."""
    return b"\x1b$)C" + hangul.encode("euc_kr")


DECODABLE: dict[str, tuple[str | list[str], bytes, str]] = {
    "Korean, three groups": (
        ["", "ISO 2022 IR 149"],
        b"Hong^Gildong=" + korean("洪") + b"^" + korean("吉洞") + b"=" + korean("홍") + b"^" + korean("길동"),
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "Japanese, kanji whose bytes are = and ^": (
        ["", "ISO 2022 IR 87"],
        b"Suzuki^Hideo=" + jis("鈴木") + b"^" + jis("秀夫") + b"=" + jis("すずき") + b"^" + jis("ひでお"),
        "Suzuki^Hideo=鈴木^秀夫=すずき^ひでお",
    ),
    "Japanese, half-width katakana first": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3="
        + jis("山田").replace(b"(B", b"(J") + b"^" + jis("太郎").replace(b"(B", b"(J"),
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    ),
    "Chinese, a letter whose second byte is a backslash": (
        "GB18030", "Wang^Cheng=王^誠".encode("gb18030"), "Wang^Cheng=王^誠",
    ),
    "UTF-8": ("ISO_IR 192", "Hong^Gildong=洪^吉洞=홍^길동".encode(), "Hong^Gildong=洪^吉洞=홍^길동"),
    "Latin 1": ("ISO_IR 100", "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
}  # fmt: skip

UNDECODABLE: dict[str, tuple[str | list[str] | None, bytes]] = {
    "no character set": (None, "홍^길동".encode("euc_kr")),
    "the wrong one": ("ISO_IR 192", "홍^길동".encode("euc_kr")),
    "one that nobody knows": ("KSC5601", "홍^길동".encode("euc_kr")),
    "escapes that were not announced": (None, b"Suzuki=" + jis("鈴木")),
    "letters outside KS X 1001": (["", "ISO 2022 IR 149"], b"\x1b$)C" + "똠방".encode("cp949")),
}


def series_named(characters: str | list[str] | None, name: bytes, folder: Path) -> CtSeries:
    """A series whose headers hold these very bytes."""
    padded = name + b" " * (len(name) % 2)
    datasets = small_datasets()
    for dataset in datasets:
        dataset.PatientName = dataset.StudyDescription = "X" * len(padded)
        if characters is None:
            del dataset.SpecificCharacterSet
        else:
            dataset.SpecificCharacterSet = characters
    with quietly():
        paths = save_all(datasets, folder)
        for path in paths:
            path.write_bytes(path.read_bytes().replace(b"X" * len(padded), padded))
        return load_series(paths)


def results(series: CtSeries) -> dict[str, bytes]:
    """Every kind of object we write."""
    labels = small_labels(series.volume.affine_lps, series.volume.shape, TISSUES)
    segmentation = build_seg(labels, series, result_identity())
    return {
        "seg": encode_seg(labels, series, result_identity()),
        "sr": encode_sr(full_report(), series, [segmentation], result_identity("sr")),
        "page": encode_page(np.zeros((4, 4, 3), np.uint8), series, 5, result_identity("page")),
    }


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
