"""Whole studies: which series is taken, in whatever order files come, and what the operator is told."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest
from pydicom import Dataset, dcmread

import habitus
from inference.dicom.survey import survey_folder
from inference.domain.analysis_profile import load_profile
from inference.domain.series_choice import considered
from inference.first_measurable import choice_in
from tests.synthetic_series import chosen_series
from tests.synthetic_study import (
    AXIAL,
    CORONAL,
    SEVEN_PORTAL,
    capture,
    plain_series,
    save_study,
    study_of_seven,
)
from training.synthetic.demo_series import write_demo_series


def explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[int, dict[str, object]]:
    """What `habitus explain --json` says, by series number."""
    habitus.main(["explain", str(folder), "--json"])
    rows = json.loads(capsys.readouterr().out)["series"]
    return {row["number"]: row for row in rows}


def test_of_a_study_of_seven_the_portal_series_is_taken_and_the_rest_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_study(list(study_of_seven().values()), tmp_path / "study", Random(0))

    rows = explained(tmp_path / "study", capsys)

    assert {number: (row["outcome"], row["code"]) for number, row in rows.items()} == {
        1: ("refused", "scout"),
        2: ("outscored", "outscored-kernel"),
        3: ("outscored", "outscored-phase"),
        4: ("refused", "not-axial"),
        501: ("refused", "dose-page"),
        6: ("outscored", "outscored-phase"),
        SEVEN_PORTAL: ("chosen", ""),
    }
    assert all(row["why"] for row in rows.values())


def test_the_study_of_seven_shuffled_twenty_times_gives_the_same_choice(tmp_path: Path) -> None:
    series = list(study_of_seven().values())
    told = set()
    for seed in range(20):
        random = Random(seed)
        random.shuffle(series)
        folder = save_study(series, tmp_path / str(seed), random)
        told.add(json.dumps(_explained_text(folder)))

    assert len(told) == 1
    assert f'"number": {SEVEN_PORTAL}' in json.dumps(json.loads(told.pop())[0])


def _explained_text(folder: Path) -> list[dict[str, object]]:
    return [asdict(row) for row in considered(choice_in(survey_folder(folder), load_profile("l3")))]


GE = {
    1: plain_series(
        1, "Scout", slices=2, axes=CORONAL, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")
    ),
    2: plain_series(
        2, "ABD STD PV", kernel="STANDARD", image_type=("ORIGINAL", "PRIMARY", "AXIAL")
    ),
    3: plain_series(3, "CHEST LUNG", kernel="LUNG", slice_thickness_mm=1.25),
    4: plain_series(4, "ABD THIN PV", kernel="STANDARD", slice_thickness_mm=0.625),
    5: plain_series(
        5, "COR", axes=CORONAL, image_type=("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE")
    ),
    6: plain_series(
        6, "MIP AX", image_type=("DERIVED", "SECONDARY", "REFORMATTED", "MIP"), kernel="STANDARD"
    ),
    999: capture(999, "Dose Report", ("DERIVED", "SECONDARY", "OTHER", "SCREEN SAVE")),
}
PHILIPS = {
    101: plain_series(
        101, "Surview", slices=1, axes=CORONAL, image_type=("DERIVED", "SECONDARY", "REF_SURVIEW")
    ),
    202: plain_series(
        202, "복부 동맥기", kernel="B", image_type=("ORIGINAL", "PRIMARY", "AXIAL", "HELIX")
    ),
    2: plain_series(2, "복부 문맥기", kernel="B", image_type=("DERIVED", "PRIMARY", "AXIAL")),
    203: plain_series(203, "폐", kernel="L"),
}
PET = {
    1: plain_series(1, "PET WB", tags={"Modality": "PT"}),
    3: plain_series(3, "CT WB 5.0", slices=100, tags={"Exposure": "35"}, kernel="B19f"),
    2: plain_series(2, "CT Abd", tags={"Exposure": "160"}),
}
CANON = {
    1: plain_series(1, "HCT", image_type=("ORIGINAL", "PRIMARY"), kernel="FC08"),
    2: plain_series(2, "HCT", image_type=("ORIGINAL", "PRIMARY", "AXIAL"), kernel="FC52"),
    3: plain_series(3, "HCT", slices=8, image_type=("ORIGINAL", "PRIMARY", "AXIAL"), kernel="FC08"),
}
LATE = {
    # The first attempt broke off; the second is whole and newer.
    1: plain_series(1, "Abd 5.0", slices=14, axes=AXIAL, study_time="100000"),
    2: plain_series(2, "Abd 5.0", study_time="101000"),
    3: plain_series(3, "Abd 5.0", study_time="100500"),
}


@pytest.mark.parametrize(
    ("study", "expected"),
    [(GE, 2), (PHILIPS, 2), (PET, 2), (CANON, 1), (LATE, 2)],
    ids=["ge", "philips-korean", "pet", "canon", "late"],
)
def test_studies_as_makers_write_them_give_the_right_series(
    study: dict[int, list[Dataset]],
    expected: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_study(list(study.values()), tmp_path / "study", Random(1))

    rows = explained(tmp_path / "study", capsys)

    assert [number for number, row in rows.items() if row["outcome"] == "chosen"] == [expected]


def test_the_table_is_for_people_and_the_status_for_scripts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_study(list(study_of_seven().values()), tmp_path / "study", Random(0))
    only = save_study([study_of_seven()["scout"]], tmp_path / "scout", Random(0))

    status = habitus.main(["explain", str(tmp_path / "study")])
    table = capsys.readouterr().out

    assert status == 0
    assert "portalvenös" in table
    assert "outscored" in table
    assert habitus.main(["explain", str(only)]) == 3
    captured = capsys.readouterr()
    assert "refused scout" in captured.out
    assert "[no-suitable-series]" in captured.err
    assert habitus.main(["explain", str(tmp_path / "absent")]) == 4


@pytest.fixture(scope="module")
def two_fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest whose headers please more, and the lumbar region of the same patient."""
    folder = tmp_path_factory.mktemp("two")
    shape, spacing = (128, 128), (5.0, 3.2, 3.2)
    chest = {"series_number": 5, "series_description": "Abdomen portal"}
    lumbar = {"series_number": 6, "series_description": "AX"}
    for name, changes in (("chest", chest), ("l3", lumbar)):
        write_demo_series(
            folder / name, seed=11, field=name, shape_rc=shape, spacing_mm=spacing, changes=changes
        )
    return folder


def test_where_the_chosen_series_shows_no_l3_the_next_is_measured_and_that_is_said(
    two_fields: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    status = habitus.main(["run", str(two_fields), "--out", str(out), "--profile", "l3-small"])

    printed = capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    told = [(row["number"], row["outcome"], row["code"]) for row in report["series_choice"]]
    assert status == 0
    assert told == [(5, "failed", "no-l3"), (6, "chosen", "")]
    assert any("series 5" in flag and "no-l3" in flag for flag in report["flags"])
    assert "series 5 (45 images): failed [no-l3]" in printed
    assert dcmread(out / "seg-tissues.dcm").StudyInstanceUID


def test_a_series_with_broken_pixels_makes_way_and_a_stray_file_is_counted(
    two_fields: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    for path in two_fields.rglob("*.dcm"):
        copy = folder / f"{path.parent.name}-{path.name}"
        copy.parent.mkdir(exist_ok=True)
        content = path.read_bytes()
        copy.write_bytes(content[:-100] if path.parent.name == "chest" else content)
    (folder / "0-Hong^Gildong.dcm").write_bytes(b"\0" * 128 + b"DICM\xff")

    status = habitus.main(
        ["run", str(folder), "--out", str(tmp_path / "out"), "--profile", "l3-small"]
    )

    text = (tmp_path / "out" / "report.json").read_text()
    assert status == 0
    assert "unreadable-input" in text
    assert "1 of 86 files cannot be read (number 1 by name)" in text
    assert "Gildong" not in text


@pytest.fixture(scope="module")
def real_ct() -> Path:
    folder = Path(os.environ.get("HABITUS_REAL_CT", "")) / "real-ct"
    if not os.environ.get("HABITUS_REAL_CT") or not folder.is_dir():
        pytest.skip("HABITUS_REAL_CT names no folder with real-ct/")
    return folder


def test_a_real_examination_of_captures_has_no_candidate_and_a_directory_is_skipped(
    real_ct: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = real_ct / "philips_secondary_captures"

    rows = explained(folder, capsys)

    assert {number: row["code"] for number, row in rows.items()} == {401: "scout"}
    assert habitus.main(["explain", str(folder)]) == 3


def test_of_two_real_series_in_one_folder_the_whole_one_is_taken(
    real_ct: Path, tmp_path: Path
) -> None:
    for name in ("kits_liver_slab", "philips_secondary_captures"):
        for path in (real_ct / name).iterdir():
            (tmp_path / f"{name}-{path.name}").write_bytes(path.read_bytes())

    assert chosen_series(tmp_path).volume.shape[0] == 18
