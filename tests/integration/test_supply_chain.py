"""`make audit` and `make sbom`: what they say when nobody answers, when something is found, and when all is well."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CYCLONEDX = ROOT / ".venv-audit" / "bin" / "cyclonedx-py"
LISTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "requirements").glob("*.txt")
    if path.name != "audit-control.txt"
)
CONTROL = "*audit-control.txt) echo 'urllib3 1.26.4 PYSEC-2021-108'; exit 1"
"""What the real one says of the release that is there to be found."""
NOT_AUDITED = "NOTHING was audited"


def auditor(folder: Path, *cases: str) -> Path:
    """A stand-in for pip-audit: the last argument is the list."""
    script = folder / "pip-audit"
    lines = "\n".join(f"  {case};;" for case in cases)
    script.write_text(f'#!/bin/sh\nfor list; do :; done\ncase "$list" in\n{lines}\nesac\n')
    script.chmod(0o755)
    return script


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "-o", ".venv-audit/.done", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "silence",
    [
        "*) echo 'ConnectionError: pypi.org' >&2; exit 1",
        "*) echo 'No known vulnerabilities found'; exit 0",
        "*) exit 0",
    ],
    ids=["no service", "a service that knows nothing", "no word"],
)
def test_without_a_service_that_answers_it_says_that_nothing_was_audited(
    tmp_path: Path, silence: str
) -> None:
    told = make("audit", f"PIP_AUDIT={auditor(tmp_path, silence)}")

    assert told.returncode != 0
    assert NOT_AUDITED in told.stdout
    assert not any(name in told.stdout for name in LISTS)


def test_an_auditor_that_cannot_be_run_is_no_audit(tmp_path: Path) -> None:
    told = make("audit", f"PIP_AUDIT={tmp_path / 'absent'}")

    assert told.returncode != 0
    assert NOT_AUDITED in told.stdout


def test_with_a_service_every_list_is_audited(tmp_path: Path) -> None:
    told = make("audit", f"PIP_AUDIT={auditor(tmp_path, CONTROL, '*) exit 0')}")

    assert told.returncode == 0, told.stdout
    assert told.stdout.split() == LISTS
    assert len(LISTS) >= 6


def test_a_list_with_a_known_hole_fails_and_is_named(tmp_path: Path) -> None:
    hole = "*cpu.txt) echo 'numpy CVE-2099-1'; exit 1"
    told = make("audit", f"PIP_AUDIT={auditor(tmp_path, CONTROL, hole, '*) exit 0')}")

    assert told.returncode != 0
    assert "not wholly audited: requirements/cpu.txt\n" in told.stdout


@pytest.mark.skipif(not CYCLONEDX.exists(), reason="needs .venv-audit: make sbom brings it")
def test_the_bill_of_materials_names_every_locked_package(tmp_path: Path) -> None:
    told = make("sbom", f"SBOM={tmp_path}")
    assert told.returncode == 0, told.stderr

    for kind in ("cpu", "gpu", "gpu-cuda12"):
        bill = json.loads((tmp_path / f"node-{kind}.cdx.json").read_text())
        locked = {
            line.split("==")[0]
            for line in (ROOT / "requirements" / f"{kind}.txt").read_text().splitlines()
            if "==" in line and not line.startswith(("#", " "))
        }
        named = {part["name"] for part in bill["components"]}
        assert bill["bomFormat"] == "CycloneDX"
        assert len(locked) > 10
        assert {name.split("[")[0] for name in locked} <= named
        assert all(part.get("version") and part.get("purl") for part in bill["components"])
