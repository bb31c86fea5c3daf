"""Logs: what cannot get into them."""

import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from orthanc_plugin.node.logs import (
    StudyPseudonyms,
    configure_logs,
    logger,
    site_secret,
    where,
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    hooks = sys.excepthook, threading.excepthook
    text = io.StringIO()
    configure_logs(text)
    yield text
    sys.excepthook, threading.excepthook = hooks
    structlog.reset_defaults()


def line(stream: io.StringIO) -> dict[str, Any]:
    return dict(json.loads(stream.getvalue().splitlines()[-1]))


def test_an_allowed_value_is_logged(stream: io.StringIO) -> None:
    logger().info("job-done", job="a" * 32, count=3)

    assert line(stream)["event"] == "job-done"
    assert line(stream)["count"] == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"PatientName": "Canary"},
        {"accession": "123"},
        {"reason": "Canary, Melchior"},
        {"reason": "Canary^Melchior"},
        {"reason": "a sentence with words"},
        {"study": "1.2.840.113619.2.55"},
        {"reason": ["Canary"]},
        {"reason": None},
        {"reason": "x" * 121},
    ],
)
def test_anything_else_is_dropped_and_counted(
    stream: io.StringIO, fields: dict[str, object]
) -> None:
    logger().info("event", **fields)

    assert line(stream)["dropped"] == 1
    assert not set(line(stream)) & set(fields)


def test_free_text_as_event_is_dropped(stream: io.StringIO) -> None:
    logger().info("read file of Canary^Melchior")

    assert line(stream)["event"] == "unnamed"
    assert "Canary" not in stream.getvalue()


def test_an_uncaught_error_tells_type_and_place_only(stream: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("bad value Canary^Melchior")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

    assert line(stream)["error_type"] == "ValueError"
    assert "test_logs.py" in line(stream)["where"]
    assert "Canary" not in stream.getvalue()


def test_the_place_of_an_error_is_file_and_line() -> None:
    try:
        raise ValueError("Canary")
    except ValueError as error:
        place = where(error)

    assert place.startswith("test_logs.py:")
    assert "Canary" not in place


def test_a_pseudonym_needs_the_site_secret() -> None:
    ours, theirs = StudyPseudonyms(b"ours"), StudyPseudonyms(b"theirs")

    assert ours.of("1.2.3") == ours.of("1.2.3")
    assert ours.of("1.2.3") != theirs.of("1.2.3")
    assert ours.of("1.2.3") != ours.of("1.2.4")


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "site.secret"

    first, second = site_secret(path), site_secret(path)

    assert first == second
    assert len(first) == 32
    assert path.stat().st_mode & 0o077 == 0


def test_a_secret_that_a_crash_left_empty_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "site.secret"
    path.touch()

    assert len(site_secret(path)) == 32
    assert site_secret(path) == site_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
