"""The spool: where a series is put while it is analysed, and where result bytes become durable."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from inference.domain.errors import InferenceFailed
from orthanc_plugin.node.delivery_journal import ObjectUids, ResultFile


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFolder:
    """One job's folder while it runs; emptied afterwards whatever happens."""

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

    def open_work(self, key: str) -> WorkFolder:
        """A fresh, empty folder for a job."""
        work = WorkFolder(path=self._work / key)
        self.close_work(key)
        for path in (work.path, work.series_folder, work.out_folder):
            path.mkdir(mode=0o700)
        return work

    def close_work(self, key: str) -> None:
        """Forget the received pixels and anything half-written."""
        shutil.rmtree(self._work / key, ignore_errors=True)

    def clean_work(self) -> None:
        """Empty what a dead node left behind."""
        for path in self._work.iterdir():
            shutil.rmtree(path, ignore_errors=True)

    def publish(self, work: WorkFolder, key: str, files: Mapping[str, str]) -> list[ResultFile]:
        """Make the named results durable: from here on these bytes are the results of this key."""
        results = [
            _result(role, work.out_folder / Path(name).name) for role, name in sorted(files.items())
        ]
        for result in results:
            _sync_file(work.out_folder / result.file_name)
        _sync_folder(work.out_folder)
        target = self.result_folder(key)
        # Left by a crash before the journal said "computed": never sent, so it may go.
        shutil.rmtree(target, ignore_errors=True)
        work.out_folder.rename(target)
        _sync_folder(self._results)
        return results

    def result_folder(self, key: str) -> Path:
        """Where a job's results lie."""
        return self._results / key

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


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
