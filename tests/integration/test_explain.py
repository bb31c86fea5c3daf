"""`habitus explain` says what `habitus run` would do, as far as headers tell: the same series, refusals and exit status."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID

import habitus
from inference.dicom.quiet import quietly
from tests.synthetic_study import plain_series, save_study

Outcome = tuple[int, str]
"""Exit status and the coded reason."""


def soft(number: int = 2, **more: Any) -> list[Dataset]:
    return plain_series(number, "Abdomen 5.0 B30f", slices=40, step_mm=5.0, **more)


def with_uid_of(other: list[Dataset], images: list[Dataset]) -> list[Dataset]:
    for image in images:
        image.SeriesInstanceUID = other[0].SeriesInstanceUID
    return images


def another_uid(image: Dataset) -> UID:
    return UID(f"{image.SOPInstanceUID[:60]}.9")


def copies_of(images: list[Dataset]) -> list[Dataset]:
    """The same images under other UIDs, as an archive that was merged twice holds them."""
    copies = []
    for image in images:
        copy = Dataset()
        copy.update(image)
        copy.file_meta = Dataset()  # type: ignore[assignment]
        copy.file_meta.update(image.file_meta)
        copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = another_uid(image)
        copies.append(copy)
    return copies


def brighter(images: list[Dataset]) -> list[Dataset]:
    for image in images:
        image.PixelData = b"\x01" * len(image.PixelData)
    return images


def two_under_one_uid() -> list[list[Dataset]]:
    first = soft()
    return [first, with_uid_of(first, brighter(soft(3, kernel="B60f")))]


def two_patients() -> list[list[Dataset]]:
    return [soft(seed=7), soft(3, seed=7, patient_id="another")]


def a_gap() -> list[list[Dataset]]:
    images = soft()
    return [images[:15] + images[18:]]


def few() -> list[list[Dataset]]:
    return [soft()[:6]]


def no_ct() -> list[list[Dataset]]:
    return [soft(tags={"Modality": "MR"})]


def no_patient_id() -> list[list[Dataset]]:
    return [soft(tags={"PatientID": ""})]


def explain(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    """Status, JSON and the error line."""
    capsys.readouterr()
    status = habitus.main(["explain", str(folder), "--profile", "l3-small", "--json"])
    printed = capsys.readouterr()
    return status, json.loads(printed.out), printed.err


def outcomes(told: dict[str, Any]) -> dict[int, tuple[str, str]]:
    return {row["number"]: (row["outcome"], row["code"]) for row in told["series"]}


@pytest.mark.parametrize(
    ("study", "code"),
    [
        (two_under_one_uid, "duplicate-position"),
        (two_patients, "several-patients"),
        (a_gap, "slice-gap"),
        (few, "too-few-slices"),
        (no_ct, "no-suitable-series"),
        (no_patient_id, "empty-patient-id"),
    ],
)
def test_what_run_refuses_by_its_headers_explain_refuses_with_the_same_words(
    study: Callable[[], list[list[Dataset]]],
    code: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = save_study(study(), tmp_path / "study", Random(0))

    ran = habitus.main(
        ["run", str(folder), "--out", str(tmp_path / "out"), "--profile", "l3-small"]
    )
    said_by_run = capsys.readouterr().err
    explained, told, said = explain(folder, capsys)

    assert (ran, explained) == (3, 3)
    assert f"[{code}]" in said_by_run
    assert f"[{code}]" in said
    assert told["refusal"]["code"] == code
    assert told["refusal"]["message"] in said
    assert not [number for number, (outcome, _) in outcomes(told).items() if outcome == "chosen"]


def test_the_table_of_a_refused_study_calls_no_series_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_study(two_patients(), tmp_path / "study", Random(0))

    status = habitus.main(["explain", str(folder)])

    printed = capsys.readouterr()
    assert status == 3
    assert "chosen" not in printed.out
    assert printed.out.count("several-") >= 2
    assert "[several-patients]" in printed.err


def test_the_words_of_another_reconstruction_at_the_same_place_name_what_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = soft()
    study = [first, with_uid_of(first, soft(kernel="B60f", first_instance_number=200))]
    for image in study[1]:
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = another_uid(image)
    folder = save_study(study, tmp_path / "study", Random(0))

    status, told, _ = explain(folder, capsys)

    assert (status, outcomes(told)) == (3, {2: ("failed", "duplicate-position")})
    assert "differ in ConvolutionKernel" in told["refusal"]["message"]


def test_copies_are_a_caution_for_only_pixels_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = soft()
    folder = save_study([images, copies_of(images)[:5]], tmp_path / "study", Random(0))

    status, told, _ = explain(folder, capsys)
    habitus.main(["explain", str(folder)])

    assert (status, outcomes(told), told["refusal"]) == (0, {2: ("chosen", "")}, None)
    assert ": 5; habitus run leaves them out" in told["cautions"][0]
    assert f"! {told['cautions'][0]}" in capsys.readouterr().out


def test_a_series_that_its_headers_forbid_makes_way_for_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inverted = soft(3, tags={"PhotometricInterpretation": "MONOCHROME1"})
    folder = save_study([soft(4, kernel="B60f"), inverted], tmp_path / "study", Random(0))

    status, told, _ = explain(folder, capsys)

    assert (status, told["cautions"]) == (0, [])
    assert outcomes(told) == {3: ("failed", "pixel-format"), 4: ("chosen", "")}


def test_where_all_that_may_be_tried_fail_the_error_is_of_the_best_and_names_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = soft(3)
    folder = save_study(
        [gap[:15] + gap[18:], soft(4, tags={"PatientID": ""}, kernel="B60f")],
        tmp_path / "study",
        Random(0),
    )
    for path in folder.iterdir():
        image = dcmread(path)
        image.PatientID = ""
        image.save_as(path)

    status, told, said = explain(folder, capsys)

    assert status == 3
    assert {outcome for outcome, _ in outcomes(told).values()} == {"failed"}
    assert "The next best 1 failed too: empty-patient-id" in said


@pytest.mark.parametrize(
    ("folder", "status"), [("absent", 4), ("empty", 4), ("text", 4), ("damaged", 4)]
)
def test_unreadable_input_has_the_status_that_run_gives(
    folder: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty", "text"):
        (tmp_path / name).mkdir()
    (tmp_path / "text" / "readme.txt").write_text("no image")
    save_study([soft()], tmp_path / "damaged", Random(0))
    (tmp_path / "damaged" / "zz.dcm").write_bytes(b"\0" * 128 + b"DICM\xff")
    out = ["--out", str(tmp_path / "out"), "--profile", "l3-small"]

    assert habitus.main(["run", str(tmp_path / folder), *out]) == status
    said_by_run = capsys.readouterr().err
    assert habitus.main(["explain", str(tmp_path / folder)]) == status
    assert capsys.readouterr().err == said_by_run


SMALL = ("--field", "l3", "--pixels", "64", "--pixel-mm", "6.4", "--slice-mm", "10", "--seed", "4")


def test_synth_makes_a_study_of_two_series_to_try_it_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study"
    habitus.main(["synth", str(study / "soft"), *SMALL])
    lung = ("--series-number", "3", "--kernel", "B60f", "--description", "Lung 5.0")
    habitus.main(["synth", str(study / "lung"), *SMALL, *lung])

    status, told, _ = explain(study, capsys)

    images = [dcmread(path, stop_before_pixels=True) for path in study.rglob("*.dcm")]
    assert len({image.StudyInstanceUID for image in images}) == 1
    assert {(image.SeriesNumber, image.ConvolutionKernel) for image in images} == {
        (2, "B30f"),
        (3, "B60f"),
    }
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert status == 0
    assert outcomes(told) == {2: ("chosen", ""), 3: ("outscored", "outscored-kernel")}
    assert {row["facts"]["description"] for row in told["series"]} == {"Synthetic l3", "Lung 5.0"}


@pytest.mark.parametrize("kernel", ["", "B30f\\B60f", "a kernel of more than 16", "B30\n"])
def test_synth_refuses_texts_that_no_header_holds(
    kernel: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        habitus.main(["synth", str(tmp_path / "ct"), "--kernel", kernel])

    assert "wanted 1 to 16 letters" in capsys.readouterr().err


def test_no_header_and_no_file_name_steers_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with quietly():
        images = soft()
        for image in images:
            image.SeriesDescription = "\x1b[31mred\x1b]0;title\x07"
        save_study([images], tmp_path / "study", Random(1))
        (tmp_path / "study" / "bad\x1b[31m\n.dcm").write_bytes(b"\0" * 128 + b"DICM\xff")

    habitus.main(["explain", str(tmp_path / "study")])

    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "cannot be read" in shown
    assert "red" in shown
    habitus.main(["explain", str(tmp_path / "study"), "--json"])
    assert json.loads(capsys.readouterr().out)["unreadable_files"] == 1
