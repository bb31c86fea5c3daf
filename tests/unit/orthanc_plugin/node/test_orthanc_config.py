"""Orthanc's configuration as we write it: closed by default, and kept private."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.node.orthanc_config import (
    ENTRY,
    OrthancOptions,
    Peer,
    configuration_of,
    environment_of,
    write_configuration,
)

SCANNER = Peer(name="scanner", ae_title="CT1", host="10.0.0.7", port=104, may_store=True)
PACS = Peer(name="pacs", ae_title="PACS", host="10.0.0.8", port=104)


@pytest.fixture
def options(tmp_path: Path) -> OrthancOptions:
    return OrthancOptions(
        storage_folder=tmp_path / "storage",
        settings_path=tmp_path / "habitus.toml",
        node_python=Path("/venv/bin/python"),
        peers=(SCANNER, PACS),
    )


def test_nobody_enters_without_a_password(options: OrthancOptions) -> None:
    written = configuration_of(options, "secret")

    assert written["AuthenticationEnabled"] is True
    assert written["RegisteredUsers"] == {"habitus": "secret"}
    assert written["RemoteAccessAllowed"] is False
    assert written["ExecuteLuaEnabled"] is False


def test_only_named_senders_may_store(options: OrthancOptions) -> None:
    written = configuration_of(options, "secret")

    assert written["DicomAlwaysAllowStore"] is False
    assert written["DicomCheckCalledAet"] is True
    allowed = {name: peer["AllowStore"] for name, peer in written["DicomModalities"].items()}
    assert allowed == {"scanner": True, "pacs": False}


def test_plugins_are_single_libraries(options: OrthancOptions) -> None:
    plugins = configuration_of(options, "secret")["Plugins"]

    assert [Path(plugin).suffix for plugin in plugins] == [".so"]


def test_the_script_is_the_entry_alone_in_its_folder() -> None:
    neighbours = [p.name for p in ENTRY.parent.iterdir() if p.name != "__pycache__"]

    assert neighbours == [ENTRY.name]


def test_the_password_is_made_once_and_kept(options: OrthancOptions, tmp_path: Path) -> None:
    first = write_configuration(options, tmp_path / "etc").password.read_text()
    second = write_configuration(options, tmp_path / "etc").password.read_text()

    assert first == second
    assert len(first.strip()) >= 24


def test_two_sites_have_two_passwords(options: OrthancOptions, tmp_path: Path) -> None:
    one = write_configuration(options, tmp_path / "one").password.read_text()
    two = write_configuration(options, tmp_path / "two").password.read_text()

    assert one != two


def test_what_is_written_is_for_the_owner_alone(options: OrthancOptions, tmp_path: Path) -> None:
    files = write_configuration(options, tmp_path / "etc")

    assert files.configuration.stat().st_mode & 0o077 == 0
    assert files.password.stat().st_mode & 0o077 == 0
    assert options.storage_folder.stat().st_mode & 0o077 == 0
    written = json.loads(files.configuration.read_text())
    assert written["RegisteredUsers"]["habitus"] == files.password.read_text().strip()


@pytest.mark.parametrize("title", ["", "  ", "SEVENTEEN_LETTERS", "A\\B"])
def test_an_impossible_ae_title_is_refused(options: OrthancOptions, title: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="AE title"):
        configuration_of(replace(options, ae_title=title), "secret")


def test_orthanc_is_started_without_nagle_and_with_few_arenas() -> None:
    assert environment_of({"PATH": "/bin"}) == {
        "PATH": "/bin",
        "TCP_NODELAY": "1",
        "MALLOC_ARENA_MAX": "2",
    }
