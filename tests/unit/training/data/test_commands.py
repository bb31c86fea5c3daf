"""The commands as somebody types them."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from inference.domain.errors import ConfigurationInvalid
from tests.unit.training.data.tiny import (
    FLARE22,
    PLAIN_TABLE,
    ct,
    labels,
    save,
    write_flare22,
    write_plain,
)
from training.__main__ import main
from training.data.layouts.registry import LAYOUTS
from training.data.splits import read_split

ROOT = Path(__file__).parents[4]


def test_every_layout_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "layouts"]) == 0

    told = capsys.readouterr().out
    assert all(re.search(f"^{name}$", told, re.MULTILINE) for name in LAYOUTS)
    assert "1 liver" in told


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "--help"])

    assert "python -m training data split" in capsys.readouterr().out


def test_good_data_ends_with_status_0_and_the_guess_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(write_flare22(tmp_path))]) == 0

    told = capsys.readouterr()
    assert "3 cases: 0 errors, 0 warnings" in told.out
    assert "layout flare22 (guessed)" in told.err
    assert "3/3" in told.err


def test_wrong_data_ends_with_status_1_and_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write_flare22(tmp_path)
    (place / "labels/FLARE22_Tr_0001.nii.gz").unlink()
    save(labels(FLARE22)[:-1], place / "labels/FLARE22_Tr_0002.nii.gz")
    table = tmp_path / "problems.csv"

    assert main(["data", "check", str(place), "--layout", "flare22", "--csv", str(table)]) == 1

    told = capsys.readouterr().out
    assert "an image without a label" in told
    assert "13 × 30 × 40 voxels" in told
    assert "2 cases: 2 errors, 0 warnings" in told
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["kind"], row["case"][-1]) for row in rows] == [("error", "1"), ("error", "2")]


def test_paths_are_shown_only_where_somebody_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write_flare22(tmp_path)
    image = place / "images/FLARE22_Tr_0002_0000.nii.gz"
    image.write_bytes(b"no image")

    main(["data", "check", str(place)])
    assert str(tmp_path) not in capsys.readouterr().out
    main(["data", "check", str(place), "--show-paths"])
    assert f"FLARE22_Tr_0002: {image}" in capsys.readouterr().out


def test_a_split_is_written_and_checked_against_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write_plain(
        tmp_path / "ours", PLAIN_TABLE, [f"P{n}_{k}" for n in range(4) for k in "ab"]
    )
    path = tmp_path / "split.json"

    assert (
        main(["data", "split", str(place), "--folds", "2", "--seed", "5", "--out", str(path)]) == 0
    )
    assert "8 cases" not in capsys.readouterr().err
    assert [len(names) for names in read_split(path).parts.values()] == [4, 4]
    assert main(["data", "check", str(place), "--split", str(path)]) == 0

    # The same split for data in which two of these cases turn out to be one person's.
    (place / "labels.toml").write_text(PLAIN_TABLE.replace("^([A-Z][0-9]+)_", "^(P)"))
    assert main(["data", "check", str(place), "--split", str(path)]) == 1
    assert "one patient in 2 parts" in capsys.readouterr().out


def test_a_split_of_data_with_lone_labels_is_not_made(tmp_path: Path) -> None:
    place = write_flare22(tmp_path)
    (place / "images/FLARE22_Tr_0001_0000.nii.gz").unlink()

    status = main(["data", "split", str(place), "--out", str(tmp_path / "split.json")])

    assert status == 1
    assert not (tmp_path / "split.json").exists()


def test_the_report_is_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    place = write_flare22(tmp_path, 9)
    small = labels(FLARE22)
    small[9:][small[9:] == FLARE22["liver"]] = 0
    save(small, place / "labels/FLARE22_Tr_0002.nii.gz")
    page = tmp_path / "out/report.html"

    assert main(["data", "report", str(place), "--out", str(page)]) == 0

    html = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert html.count("<svg") == 3
    assert html.count("data:image/png;base64,") == 1
    assert "FLARE22_Tr_0002" in html
    assert "9 cases of 9 patients" in html
    assert "Synthetic" not in html


def test_the_report_draws_what_is_wrong_and_ends_with_status_1(tmp_path: Path) -> None:
    place = write_flare22(tmp_path)
    broken = ct(2).astype(np.float32)
    broken[0, 0, 0] = np.nan
    save(broken, place / "images/FLARE22_Tr_0002_0000.nii.gz")
    save(labels(FLARE22)[:-1], place / "labels/FLARE22_Tr_0003.nii.gz")
    (place / "images/FLARE22_Tr_0001_0000.nii.gz").write_bytes(b"no image")
    page = tmp_path / "report.html"

    assert main(["data", "report", str(place), "--out", str(page)]) == 1

    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 2
    assert "1 voxels that are no number" in html


def test_a_name_with_markup_in_it_stays_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = "<script>[red]x"
    place = write_plain(tmp_path, PLAIN_TABLE.replace('patient = "^([A-Z][0-9]+)_"', ""), [case])
    (place / f"masks/{case}_seg.nii.gz").unlink()
    page = tmp_path / "report.html"

    assert main(["data", "report", str(place), "--out", str(page)]) == 1
    assert main(["data", "check", str(place)]) == 1

    assert "<script>" not in page.read_text(encoding="utf-8")
    assert case in capsys.readouterr().out


def test_an_interrupt_ends_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.data.checks.examine_all", interrupted)

    assert main(["data", "check", str(write_flare22(tmp_path))]) == 130
    assert "stopped" in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_real_interrupt_ends_workers_too(workers: str, tmp_path: Path) -> None:
    (tmp_path / "synthetic.toml").write_text(
        "cases = 500\nspacing_mm = [24.0, 12.0, 12.0]\nrows_columns = [36, 44]\n"
    )
    command = [
        sys.executable,
        "-m",
        "training",
        "data",
        "check",
        str(tmp_path),
        "--workers",
        workers,
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        process_group=0,
        # A background job of a shell ignores SIGINT, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stderr is not None
        assert "guessed" in process.stderr.readline()
        time.sleep(2.0)
        # To all of them, as a terminal does.
        os.killpg(process.pid, signal.SIGINT)
        told, complained = process.communicate(timeout=120)

    assert process.returncode == 130
    assert complained.strip().endswith("stopped")
    assert "Traceback" not in complained
    assert told == ""


@pytest.mark.parametrize("layout", ["flare23", ""])
def test_what_cannot_be_told_ends_with_status_2(layout: str, tmp_path: Path) -> None:
    options = ["--layout", layout] if layout else []

    assert main(["data", "check", str(tmp_path), *options]) == ConfigurationInvalid.exit_status
