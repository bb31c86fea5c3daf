"""The spool: where a series is put while it is analysed, and where result bytes become durable."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from inference.domain.errors import InferenceFailed
from orthanc_plugin.node.delivery_journal import ObjectUids, ResultFile

MANIFEST = "published.json"
"""Beside the results: what was published, so that the bytes outlive even the journal's memory of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFolder:
    """One try's folder while it runs; emptied afterwards whatever happens."""

    path: Path

    @property
    def series_folder(self) -> Path:
        """The received files."""
        return self.path / "series"

    @property
    def out_folder(self) -> Path:
        """What the engine writes."""
        return self.path / "out"

    def put_instance(self, number: int, content: bytes) -> None:
        """Write one received file."""
        (self.series_folder / f"{number:05d}.dcm").write_bytes(content)


class Spool:
    """Folders below the data folder, for the node's user only."""

    def __init__(self, folder: Path) -> None:
        self._work = folder / "work"
        self._results = folder / "results"
        for path in (folder, self._work, self._results):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open_work(self, key: str, fence: int) -> WorkFolder:
        """A fresh, empty folder for one try of a job; a worker that lost the job keeps its own."""
        work = WorkFolder(path=self._work / f"{key}-{fence}")
        self.close_work(key, fence)
        for path in (work.path, work.series_folder, work.out_folder):
            path.mkdir(mode=0o700)
        return work

    def close_work(self, key: str, fence: int) -> None:
        """Forget the received pixels and anything half-written."""
        shutil.rmtree(self._work / f"{key}-{fence}", ignore_errors=True)

    def clean_work(self) -> None:
        """Empty what a dead node left behind."""
        for path in self._work.iterdir():
            shutil.rmtree(path, ignore_errors=True)

    def publish(
        self,
        work: WorkFolder,
        key: str,
        files: Mapping[str, str],
        encodings: Sequence[str] = (),
    ) -> list[ResultFile]:
        """Make the named results durable; where whole ones of this key and these encodings are, those stay."""
        results = [
            _result(role, work.out_folder / Path(name).name) for role, name in sorted(files.items())
        ]
        manifest = {"encodings": list(encodings), "results": [asdict(each) for each in results]}
        (work.out_folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        for name in (MANIFEST, *(result.file_name for result in results)):
            _sync_file(work.out_folder / name)
        _sync_folder(work.out_folder)
        # Left by a crash before the journal said so, or by a worker that lost the job meanwhile.
        if (earlier := self.published(key, encodings)) is not None:
            return earlier
        target = self.result_folder(key)
        shutil.rmtree(target, ignore_errors=True)
        # Refused where another worker has just put its own there.
        with suppress(OSError):
            work.out_folder.rename(target)
        _sync_folder(self._results)
        if (published := self.published(key, encodings)) is None:
            raise InferenceFailed(
                found="results that could not be put into the spool",
                wanted="a folder that can be written",
                advice="Check the disk of data_folder, then requeue the job.",
            )
        return published

    def published(self, key: str, encodings: Sequence[str] = ()) -> list[ResultFile] | None:
        """The whole, unchanged results of a key in these encodings; None where there are none."""
        folder = self.result_folder(key)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if manifest["encodings"] != list(encodings):
                return None
            results = [_from_manifest(row) for row in manifest["results"]]
            is_whole = all(
                _sha256(folder / Path(each.file_name).name) == each.sha256 for each in results
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return results if is_whole else None

    def result_folder(self, key: str) -> Path:
        """Where a job's results lie."""
        return self._results / key

    def remove_results(self, key: str, file_names: Sequence[str]) -> None:
        """For good, the manifest first: what is left is no whole result any more."""
        for name in (MANIFEST, *file_names):
            (self.result_folder(key) / Path(name).name).unlink(missing_ok=True)

    def read_result(self, key: str, file_name: str, sha256: str) -> bytes:
        """The published bytes; raises InferenceFailed when they are not what was published."""
        path = self.result_folder(key) / file_name
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InferenceFailed(
                found="a spooled result that is missing or changed",
                wanted="the bytes that were published",
                advice="Requeue the job; check the disk.",
            )
        return content


def _result(role: str, path: Path) -> ResultFile:
    if not path.is_file() or path.is_symlink():
        raise InferenceFailed(
            found=f"no file for role {role}",
            wanted="the file the engine named",
            advice="Requeue the job; check the disk.",
        )
    content = path.read_bytes()
    return ResultFile(
        role=role,
        file_name=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        uids=_uids(path) if path.suffix == ".dcm" else None,
    )


def _uids(path: Path) -> ObjectUids:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        return ObjectUids(
            study_uid=str(header.StudyInstanceUID),
            series_uid=str(header.SeriesInstanceUID),
            sop_uid=str(header.SOPInstanceUID),
            sop_class_uid=str(header.SOPClassUID),
        )
    except (InvalidDicomError, AttributeError, OSError) as exc:
        raise InferenceFailed(
            found=f"{type(exc).__name__} in a result",
            wanted="a complete DICOM object",
            advice="Requeue the job; check the disk.",
        ) from exc


def _from_manifest(row: dict[str, Any]) -> ResultFile:
    uids = row["uids"]
    return ResultFile(**{**row, "uids": None if uids is None else ObjectUids(**uids)})


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
