"""The whole examination over a fake Orthanc: each thing that is wrong, one at a time, and nothing secret in the report."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import habitus
from orthanc_plugin.doctor.examination import Installation, findings
from orthanc_plugin.doctor.finding import Finding
from tests.fake_orthanc_http import PASSWORD, STATUS, SYSTEM, USER, fake_orthanc

SETTINGS = """
data_folder = "node"
[disk]
high_free_mb = 0
critical_free_mb = 0
[orthanc]
url = "{url}"
user = "{user}"
password_file = "password"
[engine]
models_folder = "models"
analyser = "theirs"
[[destinations]]
name = "pacs"
[[destinations]]
name = "web"
kind = "dicomweb"
[[destinations]]
name = "mate"
kind = "peer"
[[destinations]]
name = "share"
kind = "folder"
target = "share"
"""


def answers() -> dict[str, Any]:
    """Of an Orthanc with which everything is right."""
    return {
        "/system": SYSTEM,
        "/habitus/status": STATUS,
        "/plugins": ["dicom-web", "python"],
        "/tools/now": time.strftime("%Y%m%dT%H%M%S", time.gmtime()).encode(),
        "/modalities": ["pacs"],
        "/modalities/pacs/configuration": {"AET": "PACS", "Host": "10.0.0.1", "Port": 104},
        "/modalities/pacs/echo": {},
        "/dicom-web/servers": ["web"],
        "/dicom-web/servers/web/get": [],
        "/peers": ["mate"],
        "/peers/mate/system": SYSTEM,
    }


@contextmanager
def installation(folder: Path, changes: dict[str, Any]) -> Iterator[Installation]:
    """Whose Orthanc answers differently in places."""
    with fake_orthanc(answers() | changes) as url:
        (folder / "habitus.toml").write_text(SETTINGS.format(url=url, user=USER))
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o600)
        (folder / "share").mkdir()
        yield Installation(settings_path=folder / "habitus.toml")


def ill(folder: Path, changes: dict[str, Any]) -> list[Finding]:
    with installation(folder, changes) as one:
        found = list(findings(one))
    assert PASSWORD not in str(found)
    # Whatever the machine of the tests has.
    return [each for each in found if not each.is_well and "torch" not in each.subject]


def test_where_everything_is_right_nothing_is_found(tmp_path: Path) -> None:
    assert ill(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("changes", "subject", "word"),
    [
        ({"/system": SYSTEM | {"Version": "1.9.7"}}, "orthanc", "1.9.7"),
        ({"/system": SYSTEM | {"OverwriteInstances": True}}, "OverwriteInstances", "sent again"),
        ({"/system": SYSTEM | {"DicomAet": "A" * 17}}, "our AE title", "of 17 characters"),
        ({"/habitus/status": 404}, "plugin", "the Python plugin without ours"),
        ({"/habitus/status": 404, "/plugins": []}, "plugin", "no Python plugin"),
        ({"/habitus/status": 403}, "plugin", "without a role"),
        (
            {"/habitus/status": {"node": {"supervised": True, "running": False, "starts": 9}}},
            "plugin",
            "9 starts",
        ),
        ({"/tools/now": b"20200101T000000"}, "clock", "behind"),
        ({"/modalities": []}, "modality pacs", "DicomModalities"),
        ({"/modalities/pacs/echo": 500}, "modality pacs", "C-ECHO from 'PACS' at 10.0.0.1:104"),
        (
            {"/modalities/pacs/configuration": {"AET": "P\\Q"}},
            "modality pacs: AE title",
            "not allowed",
        ),
        ({"/dicom-web/servers": 404}, "dicomweb web", "without the DICOMweb plugin"),
        ({"/dicom-web/servers": []}, "dicomweb web", "DicomWeb.Servers"),
        ({"/dicom-web/servers/web/get": 500}, "dicomweb web", "QIDO-RS"),
        ({"/peers": []}, "peer mate", "OrthancPeers"),
        ({"/peers/mate/system": 500}, "peer mate", "no good answer"),
    ],
)
def test_each_fault_is_found_and_no_other(
    tmp_path: Path, changes: dict[str, Any], subject: str, word: str
) -> None:
    (only,) = ill(tmp_path, changes)

    assert only.subject == subject
    assert word in only.text
    assert only.advice


def test_a_folder_that_is_away_is_found(tmp_path: Path) -> None:
    with installation(tmp_path, {}) as one:
        (tmp_path / "share").rmdir()
        found = [each for each in findings(one) if each.subject == "folder share"]

    assert [each.is_well for each in found] == [False]


def test_a_password_file_that_others_may_read_or_that_is_not_there_is_found(
    tmp_path: Path,
) -> None:
    with installation(tmp_path, {}) as one:
        (tmp_path / "password").chmod(0o644)
        open_to_all = {each.subject for each in findings(one) if not each.is_well}
        (tmp_path / "password").unlink()
        gone = {each.text for each in findings(one) if each.subject == "orthanc"}

    assert "secret password" in open_to_all
    assert "no readable password" in str(gone)


def test_a_login_of_orthancs_file_is_used_where_the_settings_have_none(tmp_path: Path) -> None:
    with installation(tmp_path, {}) as one:
        path = one.settings_path
        assert path is not None
        kept = [line for line in path.read_text().splitlines() if "password_file" not in line]
        path.write_text("\n".join(kept))
        without = {each.text for each in findings(one) if each.subject == "orthanc"}
        file = {"RegisteredUsers": {USER: PASSWORD}, "Habitus": {"Roles": {USER: "admin"}}}
        (tmp_path / "orthanc.json").write_text(json.dumps(file))
        found = list(
            findings(Installation(settings_path=path, orthanc_path=tmp_path / "orthanc.json"))
        )

    assert "no user in [orthanc]" in str(without)
    assert [each.is_well for each in found if each.subject == "orthanc"] == [True]
    assert PASSWORD not in str(found)


def test_a_mistake_in_the_settings_is_told_with_its_line_and_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "habitus.toml").write_text(
        'data_folder = "node"\n[engine]\nmodels_folder = "m"\nprofil = "l3"\n'
    )

    status = habitus.main(["doctor", "--settings", str(tmp_path / "habitus.toml"), "--json"])
    told = json.loads(capsys.readouterr().out)
    (settings,) = [each for each in told["findings"] if each["subject"] == "settings"]

    assert (status, told["well"]) == (1, False)
    assert "line 4" in settings["text"]
