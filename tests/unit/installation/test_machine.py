"""systemd, by a program of that name which writes down what it is asked."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from installation import machine
from installation.machine import NODE, ORTHANC, active_units, has_systemd, standstill
from installation.places import Places

HERE = Places()
Asked = Callable[[], list[str]]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Both units run; what was asked of systemd but whether they do."""
    said = tmp_path / "asked"
    said.touch()
    (tmp_path / "systemctl").write_text(
        f'#!/bin/sh\n[ "$1" = is-active ] && exit 0\necho "$*" >>"{said}"\n'
    )
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(machine, "SYSTEMD_RUNS", tmp_path)
    return lambda: said.read_text().splitlines()


def test_the_node_stops_first_and_starts_last(asked: Asked) -> None:
    with standstill(HERE) as units:
        assert asked() == [f"stop {NODE}", f"stop {ORTHANC}"]

    assert list(units) == [ORTHANC, NODE]
    assert asked()[2:] == [f"start {ORTHANC}", f"start {NODE}"]


def test_what_ran_runs_again_after_a_failure(asked: Asked) -> None:
    with pytest.raises(ConfigurationInvalid), standstill(HERE):
        raise ConfigurationInvalid(found="no space", wanted="some", advice="Make some.")

    assert asked()[2:] == [f"start {ORTHANC}", f"start {NODE}"]


def test_what_did_not_run_is_not_started(asked: Asked, tmp_path: Path) -> None:
    script = tmp_path / "systemctl"
    script.write_text(
        script.read_text().replace("&& exit 0", f'&& {{ [ "$3" = {NODE} ]; exit $?; }}')
    )

    with standstill(HERE):
        pass

    assert asked() == [f"stop {NODE}", f"start {NODE}"]


def test_a_package_for_another_machine_stops_nothing_here(asked: Asked, tmp_path: Path) -> None:
    staged = Places(destdir=tmp_path)

    with standstill(staged):
        pass

    assert not has_systemd(staged)
    assert active_units(staged) == []
    assert asked() == []


def test_what_systemd_says_is_told(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho Unit is masked >&2\nexit 5\n")

    with pytest.raises(ConfigurationInvalid, match="ended with 5: Unit is masked"):
        machine.systemctl("start", ORTHANC)
