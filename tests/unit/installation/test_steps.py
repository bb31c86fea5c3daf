"""install, upgrade, roll-back and uninstall into another root: what is made, what is kept, what is told."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from installation import steps
from installation.in_use import in_use
from installation.places import (
    COMMAND,
    DATA,
    NODE_UNIT,
    ORTHANC_CONFIGURATION,
    PASSWORD,
    SETTINGS,
    SETTINGS_FOLDER,
    STORAGE,
    UNITS,
    Places,
)
from installation.release import Wanted
from installation.site_files import Site, peer_of
from installation.steps import Request, go_back, install, status, uninstall, upgrade
from orthanc_plugin.inside.configuration import read_configuration
from orthanc_plugin.node.settings_file import settings_of
from tests.unit.installation.small_tree import ROOT, small_environment, small_tree

DROP_INS = {
    UNITS / "orthanc.service.d" / "habitus.conf",
    UNITS / "orthanc.service.d" / "habitus-configuration.conf",
}
SITE_FILES = (SETTINGS, ORTHANC_CONFIGURATION, PASSWORD)


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return Request(
        places=Places(destdir=tmp_path / "root"),
        wanted=Wanted(source=small_tree(tmp_path / "tree"), environment=small_environment),
        site=Site(),
    )


def texts(request_: Request) -> dict[Path, str]:
    return {path: request_.places.here(path).read_text() for path in SITE_FILES}


def units(request_: Request) -> set[Path]:
    folder = request_.places.here(UNITS)
    return {
        Path("/") / path.relative_to(request_.places.destdir)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_secrets_are_closed_to_others_whatever_the_umask(request_: Request) -> None:
    before = os.umask(0)
    try:
        install(request_)
    finally:
        os.umask(before)

    here = request_.places.here
    assert {here(path).stat().st_mode & 0o777 for path in SITE_FILES} == {0o640}
    assert here(SETTINGS_FOLDER).stat().st_mode & 0o777 == 0o750
    assert {here(path).stat().st_mode & 0o777 for path in (DATA, STORAGE)} == {0o700}


def test_the_password_is_never_told(request_: Request, capsys: pytest.CaptureFixture[str]) -> None:
    install(request_)

    password = request_.places.here(PASSWORD).read_text().strip()
    said = capsys.readouterr().out
    assert len(password) >= 24
    assert password not in said
    assert str(PASSWORD) in said


def test_two_installations_have_two_passwords(request_: Request, tmp_path: Path) -> None:
    other = replace(request_, places=Places(destdir=tmp_path / "other"))
    install(request_)
    install(other)

    assert texts(request_)[PASSWORD] != texts(other)[PASSWORD]


def test_node_and_plugin_take_what_is_written(request_: Request) -> None:
    install(request_)
    written = texts(request_)

    settings = settings_of(written[SETTINGS], SETTINGS)
    orthanc = json.loads(written[ORTHANC_CONFIGURATION])

    assert settings.data_folder == DATA
    assert settings.engine.models_folder == Path("/opt/habitus/current/models")
    assert settings.orthanc.password_file == PASSWORD
    assert [destination.name for destination in settings.destinations] == ["pacs"]
    assert orthanc["RegisteredUsers"] == {"habitus": written[PASSWORD].strip()}
    assert orthanc["StorageDirectory"] == str(STORAGE)
    assert orthanc["Habitus"]["Settings"] == str(SETTINGS)
    assert orthanc["PythonScript"].startswith("/opt/habitus/current/")
    entry = ROOT / Path(orthanc["PythonScript"]).relative_to("/opt/habitus/current")
    assert entry.is_file()


def test_the_plugin_reads_the_written_life(request_: Request, tmp_path: Path) -> None:
    install(replace(request_, life="standalone"))
    orthanc = json.loads(texts(request_)[ORTHANC_CONFIGURATION])
    # Its two files are where the installed machine has them.
    orthanc["Habitus"]["Settings"] = str(request_.places.here(SETTINGS))
    orthanc["Habitus"]["Python"] = str(request_.places.here(PASSWORD))

    assert read_configuration(json.dumps(orthanc), ROOT).node == "standalone"


def test_addresses_that_are_given_are_written(
    request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(
        pacs=peer_of("ARCHIVE@10.0.0.8:11112", name="pacs", may_store=False),
        sender=peer_of("CT1@ct.example:104", name="scanner", may_store=True),
    )
    install(replace(request_, site=site))

    peers = json.loads(texts(request_)[ORTHANC_CONFIGURATION])["DicomModalities"]
    assert (peers["pacs"]["AET"], peers["pacs"]["Host"], peers["pacs"]["Port"]) == (
        "ARCHIVE",
        "10.0.0.8",
        11112,
    )
    assert (peers["scanner"]["Host"], peers["scanner"]["AllowStore"]) == ("ct.example", True)
    assert "address" not in capsys.readouterr().out

    other = replace(site, pacs=peer_of("OTHER@10.0.0.9:104", name="pacs", may_store=False))
    install(replace(request_, site=other))

    assert "OTHER" not in texts(request_)[ORTHANC_CONFIGURATION]
    assert f"kept      {ORTHANC_CONFIGURATION}" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["PACS", "PACS@host", "@host:104", "PACS@host:dicom", "PACS@:104"])
def test_half_an_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="AET@host:port"):
        peer_of(text, name="pacs", may_store=False)


def test_a_second_time_changes_nothing(
    request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    install(request_)
    request_.places.here(SETTINGS).write_text("# of the site\n")
    before, seen = texts(request_), units(request_)
    capsys.readouterr()

    install(request_)

    assert texts(request_) == before
    assert units(request_) == seen
    assert not re.search(r"^(made|unit|release)", capsys.readouterr().out, re.MULTILINE)


def test_units_of_each_life(request_: Request) -> None:
    install(request_)
    assert units(request_) == DROP_INS

    request_.places.here(ORTHANC_CONFIGURATION).unlink()
    install(replace(request_, life="standalone"))
    assert units(request_) == DROP_INS | {NODE_UNIT}

    request_.places.here(ORTHANC_CONFIGURATION).unlink()
    install(replace(request_, life="embedded"))
    assert units(request_) == DROP_INS


def test_another_life_than_orthancs_configuration_says_is_refused(request_: Request) -> None:
    install(request_)

    with pytest.raises(ConfigurationInvalid, match="LIFE=embedded"):
        install(replace(request_, life="standalone"))

    assert units(request_) == DROP_INS


def test_units_name_the_prefix(request_: Request) -> None:
    places = replace(request_.places, prefix=Path("/srv/habitus"))
    install(replace(request_, places=places, life="standalone"))

    unit = places.here(NODE_UNIT).read_text()
    orthanc = json.loads(places.here(ORTHANC_CONFIGURATION).read_text())
    models = tomllib.loads(places.here(SETTINGS).read_text())["engine"]["models_folder"]

    assert "/srv/habitus/current/.venv/bin/python" in unit
    assert "/opt/" not in unit
    assert orthanc["Habitus"]["Python"] == "/srv/habitus/current/.venv/bin/python"
    assert models == "/srv/habitus/current/models"


def test_an_installation_by_hand_is_not_put_aside(request_: Request) -> None:
    by_hand = request_.places.here(Path("/etc/orthanc/orthanc.json"))
    by_hand.parent.mkdir(parents=True)
    by_hand.write_text('{\n  "Habitus": {"Node": "embedded"}\n}\n')

    with pytest.raises(ConfigurationInvalid, match="taken over"):
        install(request_)

    assert not request_.places.here(UNITS).exists()


def test_an_upgrade_keeps_settings_data_and_the_former_release(
    request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    install(request_)
    here = request_.places.here
    here(SETTINGS).write_text("# of the site\n")
    here(DATA / "journal.db").write_text("jobs")
    own = here(request_.places.current / "models" / "ours")
    own.mkdir()
    (own / "manifest.json").write_text("{}")
    before, old = texts(request_), here(request_.places.current).resolve()

    upgrade(replace(request_, wanted=replace(request_.wanted, name="next")))

    assert here(request_.places.current).resolve().name == "next"
    assert old.is_dir()
    assert texts(request_) == before
    assert here(DATA / "journal.db").read_text() == "jobs"
    assert here(request_.places.current / "models" / "ours" / "manifest.json").is_file()
    assert "roll-back" in capsys.readouterr().out


def test_nothing_is_upgraded_where_nothing_is(request_: Request) -> None:
    with pytest.raises(ConfigurationInvalid, match="make install"):
        upgrade(request_)


def test_a_failed_upgrade_leaves_the_release_in_use(request_: Request) -> None:
    def fails(folder: Path, _: str, __: Path | None) -> None:
        raise ConfigurationInvalid(found="no network", wanted="one", advice="Wait.")

    install(request_)
    before = request_.places.here(request_.places.current).resolve()

    with pytest.raises(ConfigurationInvalid, match="no network"):
        upgrade(replace(request_, wanted=replace(request_.wanted, name="next", environment=fails)))

    assert request_.places.here(request_.places.current).resolve() == before


def test_only_a_change_of_release_stops_what_runs(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: list[str] = []

    @contextmanager
    def standstill(_: Places) -> Iterator[Sequence[str]]:
        stops.append(in_use(request_.places))
        yield ()

    monkeypatch.setattr(steps, "standstill", standstill)
    install(request_)
    install(request_)
    assert stops == []

    before = in_use(request_.places)
    upgrade(replace(request_, wanted=replace(request_.wanted, name="next")))
    go_back(request_)

    assert stops == [before, "next"]


def test_roll_back_takes_the_units_along(request_: Request) -> None:
    install(replace(request_, life="standalone"))
    shipped = request_.wanted.source / "orthanc_plugin" / "systemd" / "habitus-node.service"
    shipped.write_text(shipped.read_text() + "# newer\n")
    upgrade(request_)
    unit = request_.places.here(NODE_UNIT)
    assert "# newer" in unit.read_text()

    go_back(request_)

    assert "# newer" not in unit.read_text()


def test_uninstalling_keeps_what_is_the_sites(request_: Request) -> None:
    install(replace(request_, life="standalone"))
    here = request_.places.here
    own = here(UNITS / "orthanc.service.d" / "site.conf")
    own.write_text("[Service]\n")
    before = texts(request_)

    uninstall(request_, purge=False)

    assert texts(request_) == before
    assert here(DATA).is_dir()
    assert units(request_) == {UNITS / "orthanc.service.d" / "site.conf"}
    assert not here(request_.places.prefix).exists()
    assert not here(COMMAND).is_symlink()


def test_a_purge_leaves_nothing(request_: Request) -> None:
    install(request_)

    uninstall(request_, purge=True)

    left = [path for path in request_.places.destdir.rglob("*") if not path.is_dir()]
    assert left == []
    assert not request_.places.here(DATA).exists()


def test_files_of_somebody_else_are_left_alone(request_: Request) -> None:
    command = request_.places.here(COMMAND)
    command.parent.mkdir(parents=True)
    command.write_text("theirs")

    with pytest.raises(ConfigurationInvalid, match="not ours"):
        install(request_)
    uninstall(request_, purge=False)

    assert command.read_text() == "theirs"


def test_status_tells_whether_something_is_in_use(
    request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(request_) == 1

    install(request_)
    capsys.readouterr()

    assert status(request_) == 0
    assert "in use; cpu" in capsys.readouterr().out
