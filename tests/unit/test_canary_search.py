"""The search for canaries finds one wherever it is put: else it would find a node clean that is not."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.canary.images import TEXT_VRS, Canaries
from tests.canary.traces import (
    Trace,
    answer_texts,
    file_names,
    file_texts,
    journal_cells,
    log_lines,
    watched,
)

ORTHANC_LINE = "W1121 18:26:00.123456 MAIN OrthancPlugins.cpp:12] "


def found(canaries: Canaries, traces: list[Trace]) -> list[tuple[str, str]]:
    return [(where, place) for where, text in traces for place in canaries.found_in(text)]


@pytest.mark.parametrize("vr", sorted(TEXT_VRS))
def test_a_value_is_found_within_other_text_and_its_neighbour_is_not(vr: str) -> None:
    canaries = Canaries()
    value, neighbour = canaries.text(vr, "here"), canaries.text(vr, "there")

    for text in (value, f'{{"detail": "{value}"}}', f"odd value {value}, not 3", f"a/{value}/b"):
        assert canaries.found_in(text) == {"here"}
    assert canaries.found_in(neighbour) == {"there"}
    assert canaries.found_in("0" * 20 + "9f1917000000e4") == set()


def test_a_date_is_found_as_programs_print_it() -> None:
    canaries = Canaries()
    value = canaries.text("DA", "PatientBirthDate")

    assert canaries.found_in(f"born {value[:4]}-{value[4:6]}-{value[6:]}") == {"PatientBirthDate"}


def test_a_line_of_a_log_is_told_apart_by_who_wrote_it(tmp_path: Path) -> None:
    canaries = Canaries()
    name = canaries.text("PN", "PatientName")
    log = tmp_path / "log"
    log.write_text(
        f'{{"event": "{name}"}}\nTraceback: {name}\n{ORTHANC_LINE}habitus: {name}\n'
        f"{ORTHANC_LINE}Orthanc says {name}\n"
    )
    ours, orthancs = log_lines(log)

    assert len(found(canaries, ours)) == 3
    assert len(found(canaries, orthancs)) == 1


def test_a_cell_of_a_journal_a_name_of_a_file_and_its_bytes_are_searched(tmp_path: Path) -> None:
    canaries = Canaries()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
        journal.execute("CREATE TABLE jobs (key TEXT, detail TEXT)")
        journal.execute("INSERT INTO jobs VALUES ('a', ?)", (canaries.text("LO", "deep"),))
        journal.commit()
    (tmp_path / "spool" / canaries.text("SH", "named")).mkdir(parents=True)

    assert found(canaries, list(journal_cells(tmp_path / "journal.db"))) == [
        ("jobs.detail", "deep")
    ]
    assert found(canaries, list(file_names(tmp_path))) == [("name of a file", "named")]
    assert found(canaries, list(file_texts(tmp_path, frozenset()))) == [("journal.db", "deep")]
    assert found(canaries, list(file_texts(tmp_path, frozenset({"journal.db"})))) == []


def test_an_answer_is_searched_with_its_headers() -> None:
    canaries = Canaries()
    answer = requests.Response()
    answer.request = requests.Request("GET", "http://127.0.0.1/habitus/jobs").prepare()
    answer.headers["X-Habitus-Fault"] = canaries.text("LO", "header")
    answer._content = canaries.text("UI", "body").encode()

    assert found(canaries, list(answer_texts(answer))) == [
        ("/habitus/jobs", "body"),
        ("/habitus/jobs", "header"),
    ]


def test_a_process_is_searched_with_those_it_starts(tmp_path: Path) -> None:
    canaries = Canaries()
    opened = tmp_path / canaries.text("LO", "open file")
    child = (
        "import sys, time; file = open(sys.argv[1], 'w'); print('up', flush=True); time.sleep(30)"
    )
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    process = subprocess.Popen(
        [sys.executable, "-c", parent, child, str(opened), canaries.text("PN", "argument")],
        env={"SERIES": canaries.text("LO", "environment")},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process, watched(process.pid) as watch:
        process.stdout.readline()
        watch.look()
        (child_pid,) = watch.pids - {process.pid}
        subprocess.run(["kill", str(process.pid), str(child_pid)], check=True)

    places = {place for _, place in found(canaries, list(watch.seen))}
    assert places == {"open file", "argument", "environment"}
    assert ("fd", str(opened)) in watch.seen
