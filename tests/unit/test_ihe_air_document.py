"""docs/ihe-air.md names code and tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_file_it_names_exists() -> None:
    text = (ROOT / "docs" / "ihe-air.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:inference|orthanc_plugin|tests)/[\w/]+\.py)`", text))

    assert len(named) > 8
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_every_row_says_whether_it_is_met() -> None:
    text = (ROOT / "docs" / "ihe-air.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if re.match(r"\| \d+ \|", line)]

    assert len(rows) == 20
    assert {row[5].strip() for row in rows} == {"met", "partly", "not met", "not used", "not ours"}
