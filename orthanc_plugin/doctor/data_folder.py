"""The node's own folder: where it lies, who may read it, how full it is, its journal, and the node that holds it."""

import json
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthanc_plugin.doctor.finding import Finding, ill, noted, well
from orthanc_plugin.inside.disk_space import DiskLevel, DiskMarks, level_of
from orthanc_plugin.inside.journal_reader import JournalReader
from orthanc_plugin.inside.readiness import SILENT_AFTER_S
from orthanc_plugin.node.journal_schema import MIGRATIONS
from orthanc_plugin.node.settings import Settings

SUBJECT = "data folder"
JOURNAL = "journal"
NODE = "node"
NETWORK_FILE_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "fuse.sshfs",
    }
)
MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})
MOUNTS = Path("/proc/self/mountinfo")
LOCKS = Path("/proc/locks")
PROCESSES = Path("/proc/self/ns/pid")
FIRST_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO of the kernel: the same on every machine."""
CLOCK_SLACK_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What the kernel tells of file systems and locks."""

    mounts: Path = MOUNTS
    locks: Path = LOCKS
    processes: Path = PROCESSES

    def shows_every_process(self) -> bool:
        """Not in a container, which sees neither others' processes nor the locks they hold (pid_namespaces(7))."""
        return self.processes.readlink().name == FIRST_NAMESPACE


def data_folder(settings: Settings, kernel: Kernel = Kernel()) -> Iterator[Finding]:
    """Everything in and around it."""
    folder = settings.data_folder
    if not folder.is_dir():
        yield _not_made_yet(folder)
        return
    yield _rights(folder)
    yield from place(SUBJECT, folder, kernel)
    yield room(SUBJECT, folder, settings.disk.marks)
    if not settings.journal_path.is_file():
        yield noted(JOURNAL, "none yet", "The node makes it at its first start.")
        return
    intact = _journal(settings.journal_path)
    yield intact
    if intact.is_well:
        yield from _node(settings, kernel)


def place(subject: str, folder: Path, kernel: Kernel = Kernel()) -> Iterator[Finding]:
    """What kind of file system it is on; nothing where the kernel does not say."""
    kind = file_system(folder, kernel)
    if kind in NETWORK_FILE_SYSTEMS:
        yield ill(
            f"{subject}: disk",
            found=f"a folder on {kind}, which is another machine's",
            wanted="a local disk: SQLite's locks do not hold across a network",
            advice="Name a folder on a local disk in habitus.toml, and move what is there while the node is stopped.",
        )
    elif kind in MEMORY_FILE_SYSTEMS:
        yield ill(
            f"{subject}: disk",
            found=f"a folder on {kind}, which is gone after a restart of the machine",
            wanted="a local disk",
            advice="Name a folder on a local disk in habitus.toml, and move what is there while the node is stopped.",
        )
    elif kind:
        yield well(f"{subject}: disk", kind)


def file_system(folder: Path, kernel: Kernel = Kernel()) -> str:
    """Its kind, from the mount that lies deepest above it; empty where the kernel does not say."""
    try:
        lines = kernel.mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    real, deepest, kind = folder.resolve(), -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        # proc(5): the fifth field is the mount point, with blanks as \040.
        point = Path(before.split()[4].replace("\\040", " "))
        if real.is_relative_to(point) and len(point.parts) >= deepest:
            deepest, kind = len(point.parts), after.split()[0]
    return kind


def room(subject: str, folder: Path, marks: DiskMarks) -> Finding:
    """Free space against the marks of [disk]."""
    level = level_of(folder, marks)
    disk = os.statvfs(folder)
    free_gb, whole_gb = (blocks * disk.f_frsize / 1e9 for blocks in (disk.f_bavail, disk.f_blocks))
    text = f"{free_gb:.1f} of {whole_gb:.0f} GB free"
    if level is DiskLevel.OK:
        return well(f"{subject}: room", text)
    what = "new jobs wait" if level is DiskLevel.HIGH else "new jobs wait and C-STORE is refused"
    return ill(
        f"{subject}: room",
        found=f"{text}: {what}",
        wanted=f"more than {marks.high_free_mb / 1000:.1f} GB free, or a tenth of the disk",
        advice="Make room; or lower the marks of [disk], [spool] keep_days and [retention] studies_days in habitus.toml.",
    )


def _not_made_yet(folder: Path) -> Finding:
    above = next(each for each in folder.parents if each.is_dir())
    if os.access(above, os.W_OK | os.X_OK):
        return noted(SUBJECT, f"{folder} is not there yet", "The node makes it at its first start.")
    return ill(
        SUBJECT,
        found=f"no {folder}, and no right to make it",
        wanted="a folder that belongs to the node's user",
        advice=f"install -d -m 700 -o USER {folder}, with the user that runs the node.",
    )


def _rights(folder: Path) -> Finding:
    held = folder.stat()
    mode = stat.S_IMODE(held.st_mode)
    if mode & 0o077:
        return ill(
            SUBJECT,
            found=f"{folder} open to others (mode {mode:03o}); results in it name patients",
            wanted="mode 700",
            advice=f"chmod 700 {folder}",
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return ill(
            SUBJECT,
            found=f"{folder} that belongs to user {held.st_uid}; you are {os.geteuid()} and may not write there",
            wanted="a folder of the user that runs the node",
            advice="Run doctor as the node's user; else chown -R it to that user.",
        )
    strangers = [each.name for each in folder.iterdir() if each.lstat().st_uid != held.st_uid]
    if strangers:
        return ill(
            SUBJECT,
            found=f"{len(strangers)} entries of another user than the folder's ({strangers[0]:.40})",
            wanted="all of it to belong to the node's user",
            advice=f"The node ran as two users: chown -R {held.st_uid} {folder}",
        )
    return well(SUBJECT, f"{folder}, mode 700, user {held.st_uid}")


def _journal(path: Path) -> Finding:
    """Read whole once; nothing is migrated."""
    newest = len(MIGRATIONS)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5.0)) as journal:
            (version,) = journal.execute("PRAGMA user_version").fetchone()
            (verdict,) = journal.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        verdict, version = getattr(error, "sqlite_errorname", "unreadable"), newest
    if verdict != "ok":
        return ill(
            JOURNAL,
            found=f"a damaged journal.db ({str(verdict).splitlines()[0]:.60})",
            wanted="the file as SQLite wrote it",
            advice="Stop the node, check the disk, put journal.db, journal.db-wal and journal.db-shm aside (do not delete"
            " them) and start again: studies still in Orthanc are taken anew, published results are used again.",
        )
    if version > newest:
        return ill(
            JOURNAL,
            found=f"schema version {version}",
            wanted=f"version {newest} or older",
            advice="It was written by a newer Habitus: run that one.",
        )
    if version < newest:
        return noted(
            JOURNAL,
            f"intact, schema version {version}; this Habitus has {newest}",
            "The node brings it up at its next start; copy journal.db before, for older versions cannot read it then.",
        )
    return well(JOURNAL, f"intact, schema version {version}")


def _node(settings: Settings, kernel: Kernel) -> Iterator[Finding]:
    reader = JournalReader(settings.journal_path)
    try:
        seen = _fact(reader, "alive_at")
        facts = {name: _fact(reader, name) or {} for name in ("engine", "settings")}
        counts = reader.counts(time.time())
    except sqlite3.Error:
        # Of an older schema; it says so itself.
        return
    pid = holder_pid(settings.data_folder / "node.lock", kernel)
    age_s = None if seen is None else time.time() - seen
    if (
        pid is None
        and age_s is not None
        and 0 <= age_s <= SILENT_AFTER_S
        and not kernel.shows_every_process()
    ):
        yield noted(
            NODE,
            f"last sign of life {age_s:.0f} s ago, of a process that cannot be seen from here",
            "In a container of its own that is as it should be; else it has just ended: start it, and read its log.",
        )
        return
    yield _life(pid, age_s)
    if pid is None:
        return
    if facts["engine"].get("state") in ("unusable", "lost"):
        yield ill(
            "engine",
            found=f"{facts['engine']['state']}: {facts['engine'].get('detail') or facts['engine'].get('reason')}",
            wanted="loaded models",
            advice="It is tried again every few seconds; the findings on models and providers may say more.",
        )
    if facts["settings"].get("state") == "refused":
        yield ill(
            "settings in force",
            found=f"a new habitus.toml that was refused ({facts['settings'].get('problem')})",
            wanted="the file on disk to be the one in force",
            advice="Mend the file; the node reads it again by itself.",
        )
    if waiting := facts["settings"].get("needs_restart"):
        yield noted("settings in force", f"changed: {', '.join(waiting)}", "Restart the node.")
    if dead := counts["jobs"].get("dead"):
        yield noted("jobs", f"{dead} dead", "/habitus/ says why of each; Requeue has it again.")


def _life(pid: int | None, age_s: float | None) -> Finding:
    if age_s is not None and age_s < -CLOCK_SLACK_S:
        return ill(
            NODE,
            found=f"a journal from {-age_s:.0f} s in the future",
            wanted="a clock that does not go back",
            advice="Set this machine's clock, by NTP (timedatectl set-ntp true).",
        )
    ago = "never" if age_s is None else f"{max(0.0, age_s):.0f} s ago"
    if pid is None:
        return ill(
            NODE,
            found=f"no node that holds the data folder (last sign of life: {ago})",
            wanted="one",
            advice="Start Orthanc (embedded) or systemctl start habitus-node (standalone), then read its log.",
        )
    if age_s is None or age_s > SILENT_AFTER_S:
        return ill(
            NODE,
            found=f"process {pid} without a sign of life (last: {ago})",
            wanted=f"one every {SILENT_AFTER_S:.0f} s",
            advice="Just after a start, wait a minute; else read its log, and restart it.",
        )
    return well(NODE, f"process {pid}, last sign of life {ago}")


def holder_pid(lock: Path, kernel: Kernel = Kernel()) -> int | None:
    """Who holds a flock; asked of the kernel, since a try of our own could turn a starting node away."""
    try:
        inode = lock.stat().st_ino
        lines = kernel.locks.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        # proc(5): number, class, mode, access, process, device:inode …; waiting ones have an arrow after the number.
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4])
    return None


def _fact(reader: JournalReader, name: str) -> Any:
    return json.loads(reader.fact(name) or "null")
