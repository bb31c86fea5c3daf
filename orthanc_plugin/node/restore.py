"""Puts a backup onto an empty machine: checked byte by byte, in place whole or not at all, the journal last."""

import os
import pwd
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from orthanc_plugin.node.backup_folder import (
    DATA,
    IMAGES,
    INDEX,
    JOURNAL,
    BackupManifest,
    Tell,
    copy_file,
    disk_failures_named,
    read_manifest,
    sync_folder,
    sync_folders,
)
from orthanc_plugin.node.data_folder_lock import LOCK, lock_data_folder
from orthanc_plugin.node.journal import FIRST_RUN
from orthanc_plugin.node.journal_database import require_intact
from orthanc_plugin.node.journal_schema import MIGRATIONS
from orthanc_plugin.node.settings import Settings

DRAFT = ".restoring"
MAY_BE_THERE = frozenset({LOCK, "kernels", "built", "lost+found"})
"""In a folder that counts as empty: nothing of any study."""


def restore_backup(
    backup: Path, settings: Settings, tell: Tell, images: Path | None = None
) -> BackupManifest:
    """Raises ConfigurationInvalid for a target that is in use, UnreadableInput for a backup that is not whole."""
    manifest = read_manifest(backup)
    _require_known(manifest, images)
    with disk_failures_named("a backup"), lock_data_folder(settings.data_folder):
        _require_empty(settings.data_folder, MAY_BE_THERE, "data_folder")
        if images is not None:
            _require_empty(images, MAY_BE_THERE, "--images")
        with ExitStack() as drafts:
            data = drafts.enter_context(_draft_in(settings.data_folder))
            _fill(data, backup, manifest, DATA, tell)
            _begin_new_runs(data / JOURNAL, manifest)
            if images is not None:
                of_images = drafts.enter_context(_draft_in(images))
                _fill(of_images, backup, manifest, IMAGES, tell)
                _put(of_images, images, INDEX, manifest)
            _put(data, settings.data_folder, JOURNAL, manifest)
    return manifest


def _require_known(manifest: BackupManifest, images: Path | None) -> None:
    if manifest.schema > len(MIGRATIONS):
        raise UnreadableInput(
            found=f"a backup with a journal of schema version {manifest.schema}",
            wanted=f"version {len(MIGRATIONS)} or older",
            advice=f"It was taken by Habitus {manifest.habitus}: restore it with that one or a newer one.",
        )
    if images is not None and not manifest.has_images:
        raise ConfigurationInvalid(
            found="--images, and a backup without images",
            wanted="one that was taken with --images",
            advice="Leave --images out, and send the images of open jobs again.",
        )


def _require_empty(folder: Path, may_be_there: frozenset[str], called: str) -> None:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names - may_be_there:
        raise ConfigurationInvalid(
            found=f"a {called} that is not empty",
            wanted="an empty folder: nothing is ever overwritten",
            advice="Stop Orthanc and the node, and move what is there aside (do not delete it before all is well).",
        )


@contextmanager
def _draft_in(folder: Path) -> Iterator[Path]:
    """On the disk of the target, so that all can be put in its place at once."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / DRAFT
    draft.mkdir(mode=0o700)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(draft: Path, backup: Path, manifest: BackupManifest, half: str, tell: Tell) -> None:
    files = manifest.of(half)
    source = backup / half
    for number, (name, sha256) in enumerate(files.items()):
        tell(half, number, len(files))
        if not _is_own(source, name) or copy_file(source / name, draft / name) != sha256:
            raise UnreadableInput(
                found=f"a backup in which a file is missing or changed ({half}/{name:.100})",
                wanted="every file as it was written",
                advice="Take an older backup or another copy of this one; nothing was restored.",
            )
    tell(half, len(files), len(files))


def _is_own(source: Path, name: str) -> bool:
    """A file of the backup itself, not reached through a link."""
    path = source / name
    return path.is_file() and path.resolve() == source.resolve() / name


def _begin_new_runs(path: Path, manifest: BackupManifest) -> None:
    """What was submitted after the backup is forgotten, and its results may be at the PACS: a job that is submitted from now
    on must not get the key, and so the UIDs, of one of those."""
    with closing(sqlite3.connect(path, isolation_level=None)) as journal:
        require_intact(journal)
        (version,) = journal.execute("PRAGMA user_version").fetchone()
        if version != manifest.schema:
            raise UnreadableInput(
                found=f"a journal of schema version {version}",
                wanted=f"version {manifest.schema}, as the manifest says",
                advice="Take another backup: this one was changed.",
            )
        journal.execute(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)", (FIRST_RUN, str(int(time.time())))
        )


def _put(draft: Path, target: Path, last: str, manifest: BackupManifest) -> None:
    """Each name at once, the database after all that it names."""
    _give_to_owner(draft, target, manifest.owner)
    sync_folders(draft)
    for path in sorted(draft.iterdir(), key=lambda path: path.name == last):
        path.rename(target / path.name)
    sync_folder(target)


def _give_to_owner(draft: Path, target: Path, name: str) -> None:
    """As root: to whoever has the target already, else to the user of that name, where there is one here."""
    if os.geteuid() != 0:
        return
    there = target.stat()
    uid, gid = there.st_uid, there.st_gid
    if uid == 0 and name:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return
        uid, gid = entry.pw_uid, entry.pw_gid
        os.chown(target, uid, gid)
    for path in (draft, *draft.rglob("*")):
        os.chown(path, uid, gid)
    if (lock := target / LOCK).exists():
        os.chown(lock, uid, gid)
