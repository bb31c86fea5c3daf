"""Patients' names in OHIF, told by results alone: no image of the scanner's is there to help."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

pytest.importorskip("playwright", reason="needs playwright: make test-ohif brings it")

from tests.named_series import DECODABLE, jis, korean, results, series_named
from tests.viewer.conftest import NEEDS_OHIF, TAKES_MINUTES
from tests.viewer.kept_demo import KeptDemo
from tests.viewer.ohif_page import OhifPage
from viewer.links import deep_link

pytestmark = [NEEDS_OHIF, TAKES_MINUTES]
FIRST_SEED = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """As the scanner writes it, and as OHIF 3.13 shows it: the first of the three groups only."""

    characters: str | list[str]
    written: bytes
    shown: str


NAMES = {
    "Korean, ISO 2022 IR 149": Name(
        characters=["", "ISO 2022 IR 149"],
        written=korean("홍") + b"^" + korean("길동"),
        shown="홍, 길동",
    ),
    "Korean, UTF-8": Name(
        characters="ISO_IR 192", written="김^철수=金^哲秀".encode(), shown="김, 철수"
    ),
    "Japanese, ISO 2022 IR 87": Name(
        characters=["", "ISO 2022 IR 87"],
        written=jis("山田") + b"^" + jis("太郎"),
        shown="山田, 太郎",
    ),
    "Japanese, UTF-8": Name(
        characters="ISO_IR 192", written="鈴木^秀夫=すずき^ひでお".encode(), shown="鈴木, 秀夫"
    ),
    "Korean, three groups": Name(
        characters=DECODABLE["Korean, three groups"][0],
        written=DECODABLE["Korean, three groups"][1],
        shown="Hong, Gildong",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResults:
    """SEG, SR and picture page of one patient at the PACS."""

    patient_id: str
    page_link: str


def stored(demo: KeptDemo, case: str, folder: Path) -> StoredResults:
    name = NAMES[case]
    seed = FIRST_SEED + list(NAMES).index(case)
    series = series_named(name.characters, name.written, folder, seed=seed)
    contents = results(series)
    for content in contents.values():
        demo.give(content)
    page = dcmread(BytesIO(contents["page"]), stop_before_pixels=True)
    return StoredResults(
        patient_id=str(page.PatientID),
        page_link=deep_link(demo.ohif, page.StudyInstanceUID, page.SeriesInstanceUID),
    )


def test_the_study_list_shows_names_of_every_script(
    demo: KeptDemo, ohif: OhifPage, tmp_path: Path
) -> None:
    patients = {case: stored(demo, case, tmp_path / str(n)) for n, case in enumerate(NAMES)}

    ohif.open(demo.ohif)
    shown = {case: ohif.listed_name(one.patient_id) for case, one in patients.items()}

    assert shown == {case: name.shown for case, name in NAMES.items()}


@pytest.mark.parametrize("case", ["Korean, ISO 2022 IR 149", "Japanese, ISO 2022 IR 87"])
def test_a_result_is_shown_under_its_patients_name(
    case: str, demo: KeptDemo, ohif: OhifPage, tmp_path: Path
) -> None:
    patient = stored(demo, case, tmp_path)

    ohif.open(patient.page_link)
    ohif.click("Patient")

    ohif.wait_for_text(NAMES[case].shown)
    ohif.wait_for_text(patient.patient_id)
