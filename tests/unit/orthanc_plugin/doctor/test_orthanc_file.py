"""Orthanc's configuration file: what loses images or lets strangers in, and that ours does neither."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.doctor.finding import Level
from orthanc_plugin.doctor.orthanc_file import orthanc_file, read_orthanc_configuration
from orthanc_plugin.node.orthanc_config import OrthancOptions, Peer, configuration_of

SECRET = "canary-secret"


def own(folder: Path) -> dict[str, Any]:
    """What Habitus itself writes."""
    options = OrthancOptions(
        storage_folder=folder,
        settings_path=folder / "habitus.toml",
        node_python=Path(sys.executable),
        peers=(Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=104),),
    )
    return configuration_of(options, SECRET)


def levels(whole: dict[str, Any], folder: Path) -> dict[str, Level]:
    found = list(orthanc_file(whole, folder / "habitus.toml"))
    assert SECRET not in str(found)
    return {each.subject: each.level for each in found if each.level is not Level.OK}


def test_in_what_habitus_writes_only_the_missing_tls_is_noted(tmp_path: Path) -> None:
    assert levels(own(tmp_path), tmp_path) == {"DicomTlsEnabled": Level.NOTE}


def test_orthancs_own_defaults_let_strangers_store_and_start_no_plugin(tmp_path: Path) -> None:
    ill = {subject for subject, level in levels({}, tmp_path).items() if level is Level.FAIL}

    assert ill == {
        "DicomAlwaysAllowStore",
        "AuthenticationEnabled",
        "PythonScript",
        "section Habitus",
    }


@pytest.mark.parametrize(
    ("change", "subject", "level"),
    [
        ({"OverwriteInstances": True}, "OverwriteInstances", Level.FAIL),
        ({"MaximumStorageSize": 1000}, "MaximumStorageSize", Level.NOTE),
        ({"MaximumPatientCount": 10}, "MaximumPatientCount", Level.NOTE),
        ({"DicomAlwaysAllowStore": True}, "DicomAlwaysAllowStore", Level.FAIL),
        ({"AuthenticationEnabled": False}, "AuthenticationEnabled", Level.FAIL),
        ({"RegisteredUsers": {"orthanc": "orthanc"}}, "RegisteredUsers", Level.FAIL),
        ({"StorageCompression": True}, "StorageCompression", Level.NOTE),
        ({"JobsHistorySize": 10}, "JobsHistorySize", Level.NOTE),
        ({"PythonScript": "/elsewhere.py"}, "PythonScript", Level.FAIL),
        ({"RemoteAccessAllowed": True}, "RemoteAccessAllowed", Level.NOTE),
        ({"SslEnabled": True}, "SslEnabled", Level.NOTE),
        ({"DicomModalities": {"old": ["A" * 17, "h", 104]}}, "modality old", Level.FAIL),
    ],
)
def test_each_setting_that_matters_is_found(
    tmp_path: Path, change: dict[str, Any], subject: str, level: Level
) -> None:
    assert levels(own(tmp_path) | change, tmp_path)[subject] is level


def test_another_settings_file_or_interpreter_than_the_plugins_is_found(tmp_path: Path) -> None:
    whole = own(tmp_path)
    whole["Habitus"] |= {"Settings": str(tmp_path / "old.toml"), "Python": "/no/python"}

    found = levels(whole, tmp_path)

    assert {"Habitus.Settings", "Habitus.Python"} <= found.keys()


def test_comments_are_read_over_and_texts_that_look_like_them_are_not(tmp_path: Path) -> None:
    path = tmp_path / "orthanc.json"
    path.write_text(
        '{ // "Name": 1\n "Url": "http://x/*y*/", /* "Name": 2,\n */ "Name": "a\\"//b" }'
    )

    assert read_orthanc_configuration(path) == {"Url": "http://x/*y*/", "Name": 'a"//b'}


def test_the_files_of_a_folder_are_joined(tmp_path: Path) -> None:
    for name, table in (("a", {"Name": "x"}), ("b", {"DicomPort": 104})):
        (tmp_path / f"{name}.json").write_text(json.dumps(table))

    assert read_orthanc_configuration(tmp_path) == {"Name": "x", "DicomPort": 104}


@pytest.mark.parametrize("text", ["{", "[]", '{"RegisteredUsers": {"a": "canary-secret"'])
def test_a_file_that_is_none_is_refused_without_its_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "orthanc.json").write_text(text)

    with pytest.raises(ConfigurationInvalid) as error:
        read_orthanc_configuration(tmp_path / "orthanc.json")

    assert SECRET not in str(error.value)
