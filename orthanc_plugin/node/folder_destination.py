"""Delivery into a folder: a file is there whole or not at all, under names made of UIDs only."""

import hashlib
import os
import re
from pathlib import Path
from typing import ClassVar

from inference.domain.errors import DeliveryFailed
from orthanc_plugin.node.delivery_journal import ObjectUids

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


class FolderNotWritable(DeliveryFailed):
    """The folder is away (an unmounted share), full, or not ours to write to."""

    code: ClassVar[str] = "folder-not-writable"


def put_file(folder: Path, uids: ObjectUids, content: bytes) -> None:
    """Write an object to study/series/object.dcm, durably; what is there under this name is replaced."""
    target = file_in(folder, uids)
    # A share that is not mounted is an empty place on the local disk: never made by us.
    if not folder.is_dir():
        raise _not_writable("no such folder")
    try:
        rights = folder.stat().st_mode & 0o777
        for path in (target.parent.parent, target.parent):
            if not path.is_dir():
                path.mkdir()
                # The node's own umask would shut out whoever is to read here.
                path.chmod(rights)
        part = target.parent / f".{target.name}.part"
        with part.open("wb") as file:
            os.fchmod(file.fileno(), rights & 0o666)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        for path in (target.parent, target.parent.parent, folder):
            _sync_folder(path)
    except OSError as exc:
        raise _not_writable(type(exc).__name__) from exc


def holds_file(folder: Path, uids: ObjectUids, sha256: str) -> bool:
    """Whether the folder has exactly these bytes."""
    path = file_in(folder, uids)
    try:
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError as exc:
        raise _not_writable(type(exc).__name__) from exc


def file_in(folder: Path, uids: ObjectUids) -> Path:
    """Where an object goes."""
    study, series, sop = (_name(uid) for uid in (uids.study_uid, uids.series_uid, uids.sop_uid))
    return folder / study / series / f"{sop}.dcm"


def _name(uid: str) -> str:
    """A UID as it is; what only claims to be one (its sender chose it) as a hash, so that it leads nowhere else."""
    if len(uid) <= 64 and _UID.fullmatch(uid):
        return uid
    return f"not-a-uid-{hashlib.sha256(uid.encode()).hexdigest()[:32]}"


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_writable(found: str) -> FolderNotWritable:
    return FolderNotWritable(
        found=f"{found} at a destination folder",
        wanted="a folder that can be written to",
        advice="Is the share mounted, does it have space, and may the node's user write there?",
    )
