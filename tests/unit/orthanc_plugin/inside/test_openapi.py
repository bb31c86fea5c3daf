"""The API's description against the routes themselves; schemathesis compares the answers in the integration tests."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from orthanc_plugin.inside import wishes
from orthanc_plugin.inside.journal_reader import MOST_JOBS, JobFilter
from orthanc_plugin.inside.query import JOB_STATES
from tests.unit.orthanc_plugin.inside.route_scene import PLUGIN, Control, routes_of

DESCRIPTION: dict[str, Any] = json.loads((PLUGIN / "openapi.json").read_text())
EXAMPLES = {"{key}": "0" * 32, "{name}": "l3", "{file}": "page.js"}


def described(path: str) -> str:
    """An address that the path of the description stands for."""
    for name, example in EXAMPLES.items():
        path = path.replace(name, example)
    return path


def test_every_route_is_described_with_its_methods_and_role(tmp_path: Path) -> None:
    table = routes_of(tmp_path, Control()).table()
    by_pattern: dict[str, dict[str, str]] = {pattern: {} for pattern in table}
    for path, operations in DESCRIPTION["paths"].items():
        patterns = [p for p in table if re.fullmatch(p, described(path))]
        # /habitus/{file} is one of a pattern with alternatives; nothing else may be ambiguous.
        assert len(patterns) == 1, path
        by_pattern[patterns[0]] |= {m.upper(): each["x-role"] for m, each in operations.items()}

    assert by_pattern == {
        pattern: {method: role.name.lower() for method, (role, _) in methods.items()}
        for pattern, methods in table.items()
    }


@pytest.mark.parametrize("path", DESCRIPTION["paths"])
def test_what_changes_something_asks_for_json_and_the_header(path: str) -> None:
    operation = DESCRIPTION["paths"][path].get("post")
    if operation is None:
        return
    headers = {p["name"]: p["required"] for p in operation["parameters"] if p["in"] == "header"}

    assert headers == {"X-Requested-With": True}
    assert list(operation["requestBody"]["content"]) == ["application/json"]
    assert (
        operation["requestBody"]["content"]["application/json"]["schema"]["additionalProperties"]
        is False
    )
    assert {"400", "413", "415", "503"} <= operation["responses"].keys()


def test_limits_are_those_of_the_code() -> None:
    jobs = {
        p["name"]: p["schema"] for p in DESCRIPTION["paths"]["/habitus/jobs"]["get"]["parameters"]
    }
    size = DESCRIPTION["paths"]["/habitus/jobs/{key}/body-size"]["post"]["requestBody"]["content"][
        "application/json"
    ]["schema"]["properties"]

    level = DESCRIPTION["paths"]["/habitus/jobs/{key}/level"]["post"]["requestBody"]["content"][
        "application/json"
    ]["schema"]["properties"]

    number, z_mm = level["instance_number"], level["z_mm"]
    assert level["sop_instance_uid"]["pattern"] == f"^{wishes.UID.pattern}$"
    assert (number["minimum"], number["maximum"]) == wishes.INSTANCE_NUMBER_LIMITS
    assert (z_mm["minimum"], z_mm["maximum"]) == wishes.Z_LIMITS_MM
    assert jobs["state"]["enum"] == list(JOB_STATES)
    assert (jobs["limit"]["maximum"], jobs["limit"]["default"]) == (MOST_JOBS, JobFilter().limit)
    assert (size["height_m"]["minimum"], size["height_m"]["maximum"]) == wishes.HEIGHT_LIMITS_M
    assert (size["weight_kg"]["minimum"], size["weight_kg"]["maximum"]) == wishes.WEIGHT_LIMITS_KG
