"""What a backup is made of: a folder with a manifest that names every file by its SHA-256; written whole or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from inference.domain.errors import ConfigurationInvalid, HabitusError, UnreadableInput

FORMAT = 1
MANIFEST = "manifest.json"
DATA, IMAGES = "data", "images"
"""The two halves: of the node's data folder, of Orthanc's storage."""
JOURNAL = "journal.db"
SECRET = "site.secret"  # noqa: S105 # a file's name
INDEX = "index"
"""Orthanc's name for its SQLite file."""
_BLOCK_BYTES = 1 << 20

Tell = Callable[[str, int, int], None]
"""Progress: of what, how many are done, how many there are."""


@dataclass(kw_only=True)
class BackupFailed(HabitusError):
    """The disk or the system did not let us copy."""

    code: ClassVar[str] = "backup-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest:
    """What is in a backup, and of whom."""

    habitus: str
    """The version that made it."""
    schema: int
    """Of its journal."""
    began_at: str
    ended_at: str
    owner: str
    """The name of the user whom the data folder belongs to; empty where he has none."""
    has_images: bool
    files: Mapping[str, str]
    """SHA-256 by path inside the backup."""
    lost: tuple[str, ...] = field(default=())
    """What journal or index name and the disk did not hold: `spool/results/KEY/FILE`, or an image's path."""

    def of(self, half: str) -> dict[str, str]:
        """The files of one half, by their path below it."""
        return {
            name.partition("/")[2]: sha256
            for name, sha256 in self.files.items()
            if name.startswith(f"{half}/")
        }


def write_manifest(folder: Path, manifest: BackupManifest) -> None:
    """Last of all."""
    path = folder / MANIFEST
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **asdict(manifest)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> BackupManifest:
    """Raises UnreadableInput for what no backup of ours says."""
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise _foreign(f"no readable {MANIFEST} ({type(exc).__name__})") from exc
    if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
        raise _foreign(f"a {MANIFEST} of another format")
    if not _is_well_formed(told):
        raise _foreign(f"a {MANIFEST} whose fields are no backup's")
    for name in told["files"]:
        _require_inside(name)
    return BackupManifest(**{**told, "lost": tuple(told["lost"])})


def _is_well_formed(told: Mapping[str, Any]) -> bool:
    kinds = {
        **dict.fromkeys(("habitus", "began_at", "ended_at", "owner"), str),
        "schema": int,
        "has_images": bool,
        "files": dict,
        "lost": list,
    }
    return (
        told.keys() == kinds.keys()
        and all(type(told[name]) is kind for name, kind in kinds.items())
        and all(isinstance(one, str) for one in (*told["files"].values(), *told["lost"]))
        and f"{DATA}/{JOURNAL}" in told["files"]
        and (f"{IMAGES}/{INDEX}" in told["files"]) is told["has_images"]
    )


def _require_inside(name: str) -> None:
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or parts[0] not in (DATA, IMAGES) or ".." in parts or "\0" in name:
        raise UnreadableInput(
            found="a backup that names a file outside itself",
            wanted=f"files under {DATA} and {IMAGES}",
            advice="It is damaged, or somebody else's: take another backup.",
        )


def _foreign(what: str) -> UnreadableInput:
    return UnreadableInput(
        found=what,
        wanted="a folder that habitus backup wrote",
        advice="Name the folder that holds manifest.json; where it is the right one, take another backup.",
    )


def copy_file(source: Path, target: Path) -> str:
    """Copy for the owner alone, on the disk before this returns; the SHA-256. A link is no file of ours."""
    digest = hashlib.sha256()
    make_folder(target.parent)
    target.touch(mode=0o600)
    with (
        os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW), "rb") as taken,
        target.open("wb") as put,
    ):
        while block := taken.read(_BLOCK_BYTES):
            digest.update(block)
            put.write(block)
        put.flush()
        os.fsync(put.fileno())
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Of a file that we made."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path) -> None:
    """With those above it, each for the owner alone."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def sync_folders(folder: Path) -> None:
    """The names in it and in every folder below, on the disk."""
    for path in (folder, *(each for each in folder.rglob("*") if each.is_dir())):
        sync_folder(path)


def sync_folder(path: Path) -> None:
    """The names in it, on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """A folder beside the target that gone wrong leaves nothing of, and gone well takes its name."""
    draft = target.with_name(f".{target.name}.draft-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(mode=0o700)
    except OSError as exc:
        raise ConfigurationInvalid(
            found=f"{target.parent} that user {os.getuid()} may not write to ({exc.strerror})",
            wanted="a folder of that user, for the backup",
            advice=f"chown {os.getuid()} the folder, or run the command as its owner or as root.",
        ) from exc
    try:
        yield draft
        sync_folders(draft)
        draft.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def disk_failures_named(what: str) -> Iterator[None]:
    """Errors of the system as one of ours, without the name of a file."""
    try:
        yield
    except OSError as exc:
        raise BackupFailed(
            found=f"{what} that could not be copied ({exc.strerror or type(exc).__name__})",
            wanted="a disk with room, and the rights of the node's user",
            advice="Run it as the node's user or as root, and look at the disks; nothing was left half done.",
        ) from exc
