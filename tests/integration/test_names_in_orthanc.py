"""Names of every script as a real Orthanc tells them: of a result what it tells of the CT, over DICOMweb, REST and the file."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from inference.dicom.ct_series import CtSeries
from tests.named_series import DECODABLE, UNDECODABLE, results, series_named
from tests.orthanc_process import OrthancProcess, orthanc, private_network, why_not

DICOMWEB_LIBRARY = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
WHY_NOT = why_not() or ("" if DICOMWEB_LIBRARY.exists() else "needs orthanc-dicomweb")
pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

PATIENT_NAME = "00100010"
MISREAD_BY_ORTHANC = "Japanese, half-width katakana first"
"""Orthanc knows one character set per object: of ISO 2022 IR 13 with IR 87 it shows the kanji of the CT as ASCII; from 1.12 on
it answers QIDO for every series of the study from what it made of the first."""
GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A study in Orthanc: its CT and what was made of it."""

    series: CtSeries
    contents: Mapping[str, bytes]
    """By kind: one slice of the CT ("ct"), "seg", "sr", "page"."""
    ids: Mapping[str, str]
    """Orthanc's own, by the same kinds."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    """An Orthanc with DICOMweb; no node is started."""
    folder = tmp_path_factory.mktemp("names")
    with private_network(), orthanc(folder, node="standalone") as process:
        process.kill()
        configuration = json.loads(process.files.configuration.read_text())
        configuration["Plugins"].append(str(DICOMWEB_LIBRARY))
        configuration["DicomWeb"] = {"Enable": True, "Root": "/dicom-web/"}
        process.files.configuration.write_text(json.dumps(configuration))
        process.start()
        yield process


def stored(server: OrthancProcess, case: str, folder: Path) -> Stored:
    cases = [*DECODABLE, *UNDECODABLE]
    characters, name = {**UNDECODABLE, **{key: row[:2] for key, row in DECODABLE.items()}}[case]
    series = series_named(characters, name, folder, seed=500 + cases.index(case))
    contents = {"ct": min(folder.iterdir()).read_bytes(), **results(series)}
    ids = {}
    for kind, content in contents.items():
        answer = server.session.post(f"{server.url}/instances", data=content, timeout=20)
        answer.raise_for_status()
        ids[kind] = answer.json()["ID"]
    return Stored(series=series, contents=contents, ids=ids)


def dicomweb(server: OrthancProcess, path: str) -> list[dict[str, Any]]:
    answer = server.session.get(
        f"{server.url}/dicom-web/{path}", headers={"Accept": "application/dicom+json"}, timeout=20
    )
    answer.raise_for_status()
    # RFC 8259: JSON between systems is UTF-8.
    return list(json.loads(answer.content.decode("utf-8")))


def names(server: OrthancProcess, study: Stored) -> dict[tuple[str, str], Any]:
    """The name by kind of object and by the way it was asked for."""
    told: dict[tuple[str, str], Any] = {}
    for kind, content in study.contents.items():
        header = dcmread(BytesIO(content), specific_tags=["SeriesInstanceUID", "SOPInstanceUID"])
        series_path = f"studies/{study.series.study_uid}/series/{header.SeriesInstanceUID}"
        (metadata,) = dicomweb(server, f"{series_path}/metadata")
        (found_series,) = dicomweb(
            server,
            f"series?SeriesInstanceUID={header.SeriesInstanceUID}&includefield={PATIENT_NAME}",
        )
        (found_instance,) = dicomweb(
            server, f"instances?SOPInstanceUID={header.SOPInstanceUID}&includefield={PATIENT_NAME}"
        )
        told[kind, "metadata"] = metadata[PATIENT_NAME]
        told[kind, "QIDO series"] = found_series[PATIENT_NAME]
        told[kind, "QIDO instances"] = found_instance[PATIENT_NAME]
        tags = server.get(f"/instances/{study.ids[kind]}/tags")
        told[kind, "REST"] = tags["0010,0010"]["Value"]
    (found_study,) = dicomweb(server, f"studies?StudyInstanceUID={study.series.study_uid}")
    told["study", "QIDO studies"] = found_study[PATIENT_NAME]
    return told


def person_name(decoded: str) -> dict[str, Any]:
    """PS3.18 F.2.2: the groups by their names, those that are not there left out."""
    groups = dict(zip(GROUPS, decoded.split("="), strict=False))
    return {"vr": "PN", "Value": [{name: value for name, value in groups.items() if value}]}


@pytest.mark.parametrize("case", DECODABLE)
def test_a_result_has_the_name_of_its_ct_in_every_answer(
    case: str, server: OrthancProcess, tmp_path: Path
) -> None:
    decoded = DECODABLE[case][2]

    told = names(server, stored(server, case, tmp_path))

    for (kind, way), name in told.items():
        if case == MISREAD_BY_ORTHANC:
            misread = kind in ("ct", "study") or (
                way.startswith("QIDO") and name == told["ct", way]
            )
            if misread:
                continue
        assert name == (decoded if way == "REST" else person_name(decoded)), (kind, way)


@pytest.mark.parametrize("case", UNDECODABLE)
def test_a_name_that_nobody_can_decode_is_told_alike_of_result_and_ct(
    case: str, server: OrthancProcess, tmp_path: Path
) -> None:
    told = names(server, stored(server, case, tmp_path))

    for (kind, way), name in told.items():
        assert name == told.get(("ct", way), name), (kind, way)


@pytest.mark.parametrize("case", [*DECODABLE, *UNDECODABLE])
def test_all_objects_lie_under_one_patient_and_study_and_come_back_unchanged(
    case: str, server: OrthancProcess, tmp_path: Path
) -> None:
    study = stored(server, case, tmp_path)

    parents = {
        (server.get(f"/instances/{one}/patient")["ID"], server.get(f"/instances/{one}/study")["ID"])
        for one in study.ids.values()
    }
    files = {
        kind: server.session.get(f"{server.url}/instances/{one}/file", timeout=20).content
        for kind, one in study.ids.items()
    }

    assert len(parents) == 1
    assert files == study.contents
