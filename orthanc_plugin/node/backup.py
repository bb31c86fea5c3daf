"""Takes a backup while the node works: the journal, the results that it names, the site's secret, wishes, and images."""

import pwd
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.node.backup_folder import (
    DATA,
    IMAGES,
    INDEX,
    JOURNAL,
    SECRET,
    BackupManifest,
    Tell,
    copy_file,
    disk_failures_named,
    draft_of,
    sha256_of,
    write_manifest,
)
from orthanc_plugin.node.journal_database import require_intact
from orthanc_plugin.node.journal_schema import MIGRATIONS
from orthanc_plugin.node.settings import Settings
from orthanc_plugin.node.spool import MANIFEST as PUBLISHED
from orthanc_plugin.node.sqlite_copy import copy_database

ROUNDS = 5
"""Copies of a database until every file that it names was there. What is not there by then is lost."""

Named = Mapping[str, str]
"""Files by their path below the folder they come from; what is known of the content (a hash, a size) or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Half:
    """A database, and how the files that it names are found and known again."""

    database: Path
    copied_as: str
    files_folder: Path
    copied_to: str
    named_in: Callable[[sqlite3.Connection], Named]
    fits: Callable[[Path, str, str], bool]
    """Whether a copy, with its SHA-256, is what the database knows of it."""
    of_whom: str


def take_backup(
    out: Path, settings: Settings, version: str, tell: Tell, images: Path | None = None
) -> BackupManifest:
    """Raises ConfigurationInvalid before anything is written, BackupFailed where a disk fails."""
    out = out.absolute()
    _require_ready(out, settings, images)
    began = _now()
    with disk_failures_named("data folder or images"), draft_of(out) as draft:
        files, lost = _copy_half(draft, _journal_half(settings), tell)
        for name in _small_files(settings):
            files |= _copied_if_there(settings.data_folder / name, draft, f"{DATA}/{name}")
        if images is not None:
            # After the journal: its cursor must not point behind the last change that the index knows.
            of_images, lost_images = _copy_half(draft, _images_half(images), tell)
            files, lost = files | of_images, [*lost, *lost_images]
        manifest = BackupManifest(
            habitus=version,
            schema=_schema_of(draft / DATA / JOURNAL),
            began_at=began,
            ended_at=_now(),
            owner=_owner(settings.data_folder),
            has_images=images is not None,
            files=files,
            lost=tuple(lost),
        )
        write_manifest(draft, manifest)
    return manifest


def _require_ready(out: Path, settings: Settings, images: Path | None) -> None:
    if out.exists() or not out.parent.is_dir():
        raise ConfigurationInvalid(
            found=f"{out}, which is there already" if out.exists() else f"no folder {out.parent}",
            wanted="a new name in a folder that exists",
            advice='Such as "$(date +%F)" on the disk of your backups.',
        )
    for folder in (settings.data_folder, *([images] if images else [])):
        if out.resolve().is_relative_to(folder.resolve()):
            raise ConfigurationInvalid(
                found="a backup inside the folder that it is of",
                wanted="another disk, better another machine",
                advice="Name a folder elsewhere.",
            )
    if not settings.journal_path.is_file():
        raise ConfigurationInvalid(
            found="no journal in data_folder",
            wanted="that of a node",
            advice="Look at data_folder in habitus.toml; a node that never ran has nothing to keep.",
        )
    if images is not None and not (images / INDEX).is_file():
        raise ConfigurationInvalid(
            found=f"no file {INDEX} under --images",
            wanted="the folder of Orthanc's StorageDirectory, with its SQLite index",
            advice="Name that folder; an Orthanc with another database is backed up by that database's means.",
        )


def _copy_half(draft: Path, half: _Half, tell: Tell) -> tuple[dict[str, str], list[str]]:
    """The database first, then what it names.

    A file is on the disk before a database names it (the spool is fsynced before the journal, Orthanc writes an
    attachment before its row), so a copy never names what is still to come. What it names may be deleted before we get
    there; then the database, which by now or soon says so, is copied anew. So the copy that stays names what we have.
    """
    kept: dict[str, str] = {}
    known: Named = {}
    missing: list[str] = []
    for _ in range(ROUNDS):
        known = _names_of_copy(draft, half)
        missing = []
        for number, (name, content) in enumerate(known.items()):
            tell(half.copied_to, number, len(known))
            if name in kept:
                continue
            if (sha256 := _copied(half, draft, name, content)) is None:
                missing.append(name)
            else:
                kept[name] = sha256
        if not missing:
            break
    for name in kept.keys() - known.keys():
        (draft / half.copied_to / name).unlink()
    tell(half.copied_to, len(known), len(known))
    files = {f"{half.copied_to}/{name}": kept[name] for name in known if name in kept}
    return files | {half.copied_as: sha256_of(draft / half.copied_as)}, missing


def _names_of_copy(draft: Path, half: _Half) -> Named:
    copy = draft / half.copied_as
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    copy.unlink(missing_ok=True)
    copy_database(half.database, copy, half.of_whom)
    with closing(sqlite3.connect(copy)) as connection:
        return half.named_in(connection)


def _copied(half: _Half, draft: Path, name: str, content: str) -> str | None:
    target = draft / half.copied_to / name
    try:
        sha256 = copy_file(half.files_folder / name, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)
        return None
    if half.fits(target, sha256, content):
        return sha256
    target.unlink()
    return None


def _journal_half(settings: Settings) -> _Half:
    results = settings.spool_folder / "results"
    return _Half(
        database=settings.journal_path,
        copied_as=f"{DATA}/{JOURNAL}",
        files_folder=results,
        copied_to=f"{DATA}/{results.relative_to(settings.data_folder).as_posix()}",
        named_in=lambda journal: _results_named(journal, results),
        fits=lambda _, sha256, known: known in ("", sha256),
        of_whom="the node",
    )


def _results_named(journal: sqlite3.Connection, results: Path) -> Named:
    """Results that the spool has not let go of, with what was published beside them."""
    require_intact(journal)
    columns = {row[1] for row in journal.execute("PRAGMA table_info(jobs)")}
    # A journal that no node of this version has opened yet.
    is_spooled = "j.spooled" if "spooled" in columns else "1"
    rows = journal.execute(
        f"SELECT r.key, r.file_name, r.sha256, {is_spooled} FROM results r JOIN jobs j USING (key)"  # noqa: S608 # a column of ours
        f" WHERE {is_spooled} = 1 OR r.sop_uid IS NULL ORDER BY r.key, r.file_name"
    ).fetchall()
    named = {f"{key}/{Path(name).name}": sha256 for key, name, sha256, _ in rows}
    whole = {f"{key}/{PUBLISHED}": "" for key, _, _, spooled in rows if spooled}
    # Without it a result is still known by the journal's own hash.
    return named | {name: "" for name in whole if (results / name).is_file()}


def _images_half(storage: Path) -> _Half:
    return _Half(
        database=storage / INDEX,
        copied_as=f"{IMAGES}/{INDEX}",
        files_folder=storage,
        copied_to=IMAGES,
        named_in=_attachments_named,
        fits=lambda copy, _, known: str(copy.stat().st_size) == known,
        of_whom="Orthanc",
    )


def _attachments_named(index: sqlite3.Connection) -> Named:
    rows = index.execute("SELECT uuid, compressedSize FROM AttachedFiles ORDER BY uuid").fetchall()
    # Where Orthanc puts them: folders by the first two pairs of digits.
    return {f"{uuid[:2]}/{uuid[2:4]}/{Path(uuid).name}": str(size) for uuid, size in rows}


def _small_files(settings: Settings) -> list[str]:
    """The secret, without which every study that comes again would be one of a corrected patient; wishes not yet done."""
    wishes = settings.commands_folder
    waiting = [path.name for path in wishes.iterdir()] if wishes.is_dir() else []
    return [SECRET, *(f"{wishes.name}/{name}" for name in waiting if name.endswith(".json"))]


def _copied_if_there(source: Path, draft: Path, name: str) -> dict[str, str]:
    try:
        return {name: copy_file(source, draft / name)}
    except FileNotFoundError:
        # A wish that was done meanwhile.
        (draft / name).unlink(missing_ok=True)
        return {}


def _schema_of(journal: Path) -> int:
    with closing(sqlite3.connect(journal)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise ConfigurationInvalid(
            found=f"a journal of schema version {version}",
            wanted=f"version {len(MIGRATIONS)} or older",
            advice="It was written by a newer Habitus: take the backup with that one.",
        )
    return int(version)


def _owner(folder: Path) -> str:
    try:
        return pwd.getpwuid(folder.stat().st_uid).pw_name
    except KeyError:
        return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
