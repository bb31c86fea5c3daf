"""The units that are shipped: what systemd says of them, and that the node takes the command line in them."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from orthanc_plugin.inside.configuration import read_configuration
from orthanc_plugin.node.settings_file import settings_of

ROOT = Path(__file__).parents[3]
SYSTEMD = ROOT / "orthanc_plugin" / "systemd"
UNIT = SYSTEMD / "habitus-node.service"
DROP_INS = SYSTEMD / "drop-ins"
GUIDE = ROOT / "docs" / "two-lives.md"
INSTALLED = "/opt/habitus/current/.venv/bin/python"
ORTHANC = "[Service]\nUser=orthanc\nExecStart=/bin/true\n"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


def analyzed(folder: Path, unit: str, drop_ins: Mapping[str, str], *question: str) -> str:
    """What systemd-analyze says of a unit with its drop-ins; the program it starts is this interpreter."""
    name = "unit-of-a-test.service"
    (folder / f"{name}.d").mkdir()
    (folder / name).write_text(unit.replace(INSTALLED, sys.executable))
    for file, text in drop_ins.items():
        (folder / f"{name}.d" / file).write_text(text)
    asked = subprocess.run(
        ["systemd-analyze", "--no-pager", *question, str(folder / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{asked.stdout}{asked.stderr}{'' if asked.returncode == 0 else asked.returncode}"


def drop_ins(*names: str) -> dict[str, str]:
    return {name: (DROP_INS / name).read_text() for name in names}


@needs_systemd
@pytest.mark.parametrize(
    ("unit", "names"),
    [
        (UNIT.read_text(), ()),
        (UNIT.read_text(), ("credentials.conf", "gpu.conf", "folders.conf")),
        (ORTHANC, ("orthanc.conf", "orthanc-configuration.conf")),
    ],
    ids=["node", "node with drop-ins", "orthanc with drop-in"],
)
def test_systemd_finds_nothing_wrong(tmp_path: Path, unit: str, names: tuple[str, ...]) -> None:
    said = analyzed(tmp_path, unit, drop_ins(*names), "verify", "--man=no", "--recursive-errors=no")

    assert said == ""


@needs_systemd
def test_a_misspelt_key_would_be_found(tmp_path: Path) -> None:
    said = analyzed(
        tmp_path,
        UNIT.read_text().replace("OOMPolicy=", "OomPolicy="),
        {},
        *("verify", "--man=no", "--recursive-errors=no"),
    )

    assert "OomPolicy" in said


@needs_systemd
def test_the_unit_is_as_little_exposed_as_the_guide_says(tmp_path: Path) -> None:
    said = analyzed(tmp_path, UNIT.read_text(), {}, "security", "--offline=true")

    found = re.search(r"exposure level for .*: (\d+\.\d+)", said)
    told = re.search(r"gives it (\d+\.\d+) of 10", GUIDE.read_text())
    assert found is not None
    assert told is not None
    # Versions of systemd weigh a little differently.
    assert abs(float(found.group(1)) - float(told.group(1))) <= 0.5


def test_the_node_takes_the_command_line_of_the_unit(tmp_path: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    interpreter, *arguments = shlex.split(line)
    missing = tmp_path / "habitus.toml"

    ended = subprocess.run(
        [sys.executable, *arguments[:-1], str(missing)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert interpreter == INSTALLED
    assert ended.returncode == 2
    assert "no readable settings file habitus.toml" in ended.stderr


def test_the_data_folder_of_the_guide_is_the_one_that_both_units_make() -> None:
    (settings,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    made = {
        f"/var/lib/{name}"
        for file in (UNIT, DROP_INS / "orthanc.conf")
        for name in re.findall(r"^StateDirectory=(.*)$", file.read_text(), re.MULTILINE)
    }

    read = settings_of(settings, Path("/etc/habitus/habitus.toml"))

    assert {str(read.data_folder)} == made


def test_the_plugin_takes_the_configuration_of_the_guide(tmp_path: Path) -> None:
    (orthanc,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "habitus.toml").write_text('data_folder = "node"\n')
    here = orthanc.replace("/etc/habitus", str(tmp_path)).replace(INSTALLED, sys.executable)

    read = read_configuration(here, ROOT)

    assert read.node == "embedded"
    assert read.admission.is_authenticated
