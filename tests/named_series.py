"""Synthetic series with a patient's name in every script, as scanners write it, and every kind of result made of them."""

from pathlib import Path

import numpy as np

from inference.dicom.ct_series import CtSeries
from inference.dicom.quiet import quietly
from inference.dicom.read_series import load_series
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


def series_named(
    characters: str | list[str] | None, name: bytes, folder: Path, seed: int = 0
) -> CtSeries:
    """A series whose headers hold these very bytes; another seed, another patient."""
    padded = name + b" " * (len(name) % 2)
    datasets = small_datasets(seed=seed)
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
    seg, sr, page = (
        result_identity(f"{kind} {series.series_uid}") for kind in ("seg", "sr", "page")
    )
    return {
        "seg": encode_seg(labels, series, seg),
        "sr": encode_sr(full_report(), series, [build_seg(labels, series, seg)], sr),
        "page": encode_page(np.zeros((4, 4, 3), np.uint8), series, 5, page),
    }
