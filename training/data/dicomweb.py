"""CT series and their Segmentations from any archive that speaks DICOMweb, as files for the layout dicom."""

import ipaddress
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from requests.adapters import HTTPAdapter

from inference.dicom.header_values import text
from inference.dicom.quiet import quietly
from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from training.data.examine import Progress
from training.data.layouts.dicom_seg import hashed

TIMEOUT_S = 120.0
PAGE = 500
MOST_INSTANCES = 10_000
"""Of one series; an archive that answers with more is not believed."""
AS_STORED = (("application/dicom", "*"),)
"""Without it an archive decodes what it holds compressed (PS3.18 8.7.3.5.2)."""
UID = re.compile(r"[0-9]+(\.[0-9]+)+")
LARGEST_LIST_BYTES = 5_000_000

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Where, and who asks; secrets lie in files, never on the command line."""

    url: str
    user: str | None = None
    password_file: Path | None = None
    token_file: Path | None = None
    ca_file: Path | None = None


@dataclass(slots=True, kw_only=True)
class Fetched:
    """What came."""

    studies: int = 0
    files: int = 0
    missing: list[str] = field(default_factory=list)
    """By the line that asked: identities are not repeated."""


class _WithTimeout(HTTPAdapter):
    """The client library knows no time limit of its own."""

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # type: ignore[override]
        how["timeout"] = how.get("timeout") or TIMEOUT_S
        return super().send(request, **how)


def lines_of(path: Path) -> list[str]:
    """What is asked for, one a line; raises ConfigurationInvalid."""
    try:
        if path.stat().st_size > LARGEST_LIST_BYTES:
            raise ValueError("too large")
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as problem:
        raise ConfigurationInvalid(
            found=f"a list that cannot be read ({path.name})",
            wanted="a text file with one UID or ID a line",
            advice="Check the path.",
        ) from problem
    return [line for line in lines if line and not line.startswith("#")]


@quietly()
def fetch(
    archive: Archive,
    wanted: Sequence[str],
    out: Path,
    *,
    by_patient: bool = False,
    progress: Progress | None = None,
) -> Fetched:
    """What is there already is not asked for again, so that a stopped call goes on; raises HabitusError."""
    client = _client(archive)
    fetched = Fetched()
    for number, line in enumerate(wanted, start=1):
        with _translated():
            studies = _studies_of(client, line) if by_patient else [_checked_uid(line, number)]
            new = [_fetch_study(client, study, out) for study in studies]
        if any(count is not None for count in new):
            fetched.studies += sum(count is not None for count in new)
            fetched.files += sum(count or 0 for count in new)
        else:
            fetched.missing.append(f"line {number}: no CT with a Segmentation")
        if progress is not None:
            progress(number, len(wanted), f"line {number}")
    return fetched


def _client(archive: Archive) -> DICOMwebClient:
    # What it logs quotes addresses, and with them what was asked for.
    logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL + 1)
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _WithTimeout())
    if archive.ca_file is not None:
        session.verify = str(archive.ca_file)
    secret_file = archive.password_file or archive.token_file
    if (archive.user is None) != (archive.password_file is None):
        raise _unusable("a user without a password file, or the reverse", "both, or neither")
    if secret_file is not None:
        _require_privacy(archive.url)
        secret = _secret(secret_file)
        if archive.user is not None:
            session.auth = (archive.user.encode(), secret.encode())  # type: ignore[assignment]
        else:
            session.headers["Authorization"] = f"Bearer {secret}"
    try:
        return DICOMwebClient(archive.url.rstrip("/"), session=session)
    except ValueError as problem:
        raise _unusable("an address that is none", "https://host/path") from problem


def _require_privacy(url: str) -> None:
    """A password goes over TLS, or stays on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not _is_loopback(host):
        raise _unusable("a password for an address without TLS", "https://")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as problem:
        raise _unusable("a secret that cannot be read", "a text file") from problem


def _unusable(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        found=found, wanted=wanted, advice="See python -m training data fetch --help."
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except requests.HTTPError as problem:
        status = problem.response.status_code if problem.response is not None else 0
        if status in (401, 403):
            raise _unusable(f"an archive that refuses us (HTTP {status})", "a login") from None
        raise _failed(f"HTTP {status} from the archive") from None
    except requests.RequestException as problem:
        # Its text may quote the address, and with it a patient's ID.
        raise _failed(f"no answer of the archive ({type(problem).__name__})") from None
    except (InvalidDicomError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise _failed(f"an answer that is no DICOMweb ({type(problem).__name__})") from None


def _failed(found: str) -> UnreadableInput:
    return UnreadableInput(
        found=found,
        wanted="studies by QIDO-RS and WADO-RS (PS3.18)",
        advice="Call again: files that came are kept.",
    )


def _checked_uid(line: str, number: int) -> str:
    if len(line) > 64 or UID.fullmatch(line) is None:
        raise _unusable(f"line {number}, which is no UID", "Study Instance UIDs, one a line")
    return line


def _studies_of(client: DICOMwebClient, patient_id: str) -> list[str]:
    if any(sign in patient_id for sign in "*?\\"):
        raise _unusable("a Patient ID with a wildcard in it", "whole IDs, one a line")
    rows = _pages(
        lambda **page: client.search_for_studies(
            search_filters={"PatientID": patient_id}, fields=["PatientID"], **page
        ),
        "StudyInstanceUID",
    )
    strangers = [row for row in rows if text(row, "PatientID") != patient_id]
    if strangers:
        # Some archives leave out a filter that they do not support, and answer with everything.
        raise _failed("an archive that answers with other patients than the one asked for")
    return [text(row, "StudyInstanceUID") for row in rows]


def _pages(search: Callable[..., list[Json]], keyword: str) -> list[Dataset]:
    """All rows; ends where a page brings nothing new, since some archives know no pages."""
    found: dict[str, Dataset] = {}
    while len(found) <= MOST_INSTANCES:
        page = [Dataset.from_json(row) for row in search(limit=PAGE, offset=len(found))]
        before = len(found)
        found |= {uid: row for row in page if (uid := text(row, keyword))}
        if len(found) == before or len(page) < PAGE:
            return list(found.values())
    raise _failed(f"more than {MOST_INSTANCES} rows")


def _fetch_study(client: DICOMwebClient, study: str, out: Path) -> int | None:
    """New files: every Segmentation, and the CT series that they refer to; None where there is none."""
    rows = _pages(
        lambda **page: client.search_for_series(study, fields=["Modality"], **page),
        "SeriesInstanceUID",
    )
    series = {text(row, "SeriesInstanceUID"): text(row, "Modality") for row in rows}
    new, referred = 0, set[str]()
    for uid in (uid for uid, modality in series.items() if modality == "SEG"):
        for path, is_new in _fetch_series(client, study, uid, out):
            new += is_new
            referred |= _referred_series(path)
    images = [uid for uid, modality in series.items() if modality == "CT" and uid in referred]
    for uid in images:
        new += sum(is_new for _, is_new in _fetch_series(client, study, uid, out))
    return new if images else None


def _referred_series(path: Path) -> set[str]:
    header = dcmread(path, stop_before_pixels=True, specific_tags=["ReferencedSeriesSequence"])
    return {
        text(item, "SeriesInstanceUID") for item in header.get("ReferencedSeriesSequence") or []
    }


def _fetch_series(
    client: DICOMwebClient, study: str, series: str, out: Path
) -> Iterator[tuple[Path, bool]]:
    """Every file, and whether it is new; names are hashes: what an archive answers makes no path."""
    folder = out / f"study-{hashed(study)}" / f"series-{hashed(series)}"
    rows = _pages(
        lambda **page: client.search_for_instances(study, series, **page), "SOPInstanceUID"
    )
    for row in rows:
        uid = text(row, "SOPInstanceUID")
        path = folder / f"{hashed(uid)}.dcm"
        if path.is_file():
            yield path, False
            continue
        instance = client.retrieve_instance(study, series, uid, media_types=AS_STORED)
        if text(instance, "SOPInstanceUID") != uid:
            raise _failed("another image than the one asked for")
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        instance.save_as(part, enforce_file_format=True)
        part.replace(path)
        yield path, True
