"""The node's folder as the doctor sees it: file system, rights, room, journal, the node that holds it."""

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from orthanc_plugin.doctor import data_folder as doctor
from orthanc_plugin.doctor.data_folder import Kernel
from orthanc_plugin.doctor.finding import Finding, Level
from orthanc_plugin.node.data_folder_lock import lock_data_folder
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.journal_schema import MIGRATIONS
from orthanc_plugin.node.self_report import ALIVE_FACT
from orthanc_plugin.node.settings import DiskSettings, EngineSettings, Settings

MOUNT = "36 35 98:0 / {point} rw,noatime master:1 - {kind} /dev/root rw"
NO_MARKS = DiskSettings(high_free_mb=0, critical_free_mb=0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "node"
    folder.mkdir(mode=0o700)
    return Settings(
        data_folder=folder, engine=EngineSettings(models_folder=tmp_path), disk=NO_MARKS
    )


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """Whose disk is a local one, whatever the tests run on."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNT.format(point="/", kind="ext4"))
    return Kernel(mounts=mounts)


def seen(settings: Settings, kernel: Kernel) -> dict[str, Finding]:
    return {each.subject: each for each in doctor.data_folder(settings, kernel)}


def alive(settings: Settings, age_s: float, facts: Mapping[str, object] | None = None) -> None:
    """A node's own words in the journal."""
    with closing(Journal(settings.journal_path)) as journal:
        journal.set_fact(ALIVE_FACT, json.dumps(journal.clock() - age_s))
        for name, value in (facts or {}).items():
            journal.set_fact(name, json.dumps(value))


def test_before_the_first_start_nothing_is_wrong(settings: Settings, kernel: Kernel) -> None:
    assert all(each.is_well for each in seen(settings, kernel).values())


def test_a_folder_that_is_not_there_is_made_by_the_node(settings: Settings, kernel: Kernel) -> None:
    settings.data_folder.rmdir()

    assert [each.level for each in seen(settings, kernel).values()] == [Level.NOTE]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "tmpfs"])
def test_a_disk_of_another_machine_or_of_memory_is_a_finding(
    settings: Settings, kernel: Kernel, kind: str
) -> None:
    lines = [
        MOUNT.format(point="/", kind="ext4"),
        MOUNT.format(point=settings.data_folder, kind=kind),
        MOUNT.format(point=settings.data_folder.parent, kind="ext4"),
    ]
    kernel.mounts.write_text("\n".join(lines))

    assert not seen(settings, kernel)["data folder: disk"].is_well


def test_a_mount_beside_it_is_none_of_its_own(settings: Settings, kernel: Kernel) -> None:
    beside = MOUNT.format(point=str(settings.data_folder)[:-1], kind="nfs")
    kernel.mounts.write_text("\n".join([MOUNT.format(point="/", kind="xfs"), beside]))

    assert seen(settings, kernel)["data folder: disk"].text == "xfs"


def test_a_folder_that_others_may_read_is_a_finding(settings: Settings, kernel: Kernel) -> None:
    settings.data_folder.chmod(0o755)

    found = seen(settings, kernel)["data folder"]

    assert not found.is_well
    assert found.advice == f"chmod 700 {settings.data_folder}"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_files_of_a_second_user_are_a_finding(settings: Settings, kernel: Kernel) -> None:
    (settings.data_folder / "site.secret").touch()
    os.chown(settings.data_folder / "site.secret", 4711, 4711)

    assert "site.secret" in seen(settings, kernel)["data folder"].text


def test_a_disk_below_its_marks_is_a_finding(settings: Settings, kernel: Kernel) -> None:
    full = replace(settings, disk=DiskSettings(high_free_mb=1e12, critical_free_mb=0))

    room = doctor.room("here", full.data_folder, full.disk.marks)
    disk = os.statvfs(full.data_folder)

    # The mark in megabytes is held down to a tenth of the disk.
    assert room.is_well == (disk.f_bavail >= 0.1 * disk.f_blocks)


def _damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)


def _cut_off(path: Path) -> None:
    path.write_bytes(b"not a database, whatever its name says")


@pytest.mark.parametrize("damage", [_damaged, _cut_off])
def test_a_damaged_journal_is_a_finding_and_stays_as_it_is(
    settings: Settings, kernel: Kernel, damage: Callable[[Path], None]
) -> None:
    Journal(settings.journal_path).close()
    damage(settings.journal_path)
    before = settings.journal_path.read_bytes()

    found = seen(settings, kernel)["journal"]

    assert not found.is_well
    assert "journal.db-wal" in found.advice
    assert settings.journal_path.read_bytes() == before


@pytest.mark.parametrize(("step", "level"), [(1, Level.FAIL), (0, Level.OK), (-1, Level.NOTE)])
def test_a_journal_of_another_version_is_told_and_not_migrated(
    settings: Settings, kernel: Kernel, step: int, level: Level
) -> None:
    Journal(settings.journal_path).close()
    version = len(MIGRATIONS) + step
    with closing(sqlite3.connect(settings.journal_path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")

    found = seen(settings, kernel)["journal"]

    assert found.level is level
    with closing(sqlite3.connect(settings.journal_path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)


def test_a_node_that_holds_the_folder_and_lives_is_well(settings: Settings, kernel: Kernel) -> None:
    alive(settings, 2.0)
    with lock_data_folder(settings.data_folder):
        found = seen(settings, kernel)["node"]

    assert found.is_well
    assert f"process {os.getpid()}" in found.text


@pytest.mark.parametrize(
    ("age_s", "is_held", "word"),
    [
        (600.0, False, "no node that holds"),
        (600.0, True, "without a sign of life"),
        (-600.0, True, "in the future"),
    ],
)
def test_a_node_that_is_gone_hangs_or_comes_from_the_future_is_a_finding(
    settings: Settings, kernel: Kernel, age_s: float, is_held: bool, word: str
) -> None:
    alive(settings, age_s)
    with lock_data_folder(settings.data_folder) if is_held else nullcontext():
        found = seen(settings, kernel)["node"]

    assert not found.is_well
    assert word in found.text


@pytest.mark.parametrize(
    ("namespace", "level"), [("pid:[4026531836]", Level.FAIL), ("pid:[4026532209]", Level.NOTE)]
)
def test_only_in_a_container_may_a_node_be_alive_unseen(
    settings: Settings, kernel: Kernel, tmp_path: Path, namespace: str, level: Level
) -> None:
    alive(settings, 2.0)
    (tmp_path / "pid").symlink_to(namespace)

    found = seen(settings, replace(kernel, processes=tmp_path / "pid"))["node"]

    assert found.level is level
    assert "last sign of life" in found.text


def test_a_node_of_another_container_that_is_silent_is_gone(
    settings: Settings, kernel: Kernel, tmp_path: Path
) -> None:
    alive(settings, 600.0)
    (tmp_path / "pid").symlink_to("pid:[4026532209]")

    found = seen(settings, replace(kernel, processes=tmp_path / "pid"))["node"]

    assert "no node that holds" in found.text


def test_only_a_flock_of_the_very_file_names_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "node.lock"
    lock.touch()
    inode = lock.stat().st_ino
    lines = [
        f"1: POSIX  ADVISORY  WRITE 11 00:1b:{inode} 0 EOF",
        f"2: FLOCK  ADVISORY  WRITE 12 00:1b:{inode + 1} 0 EOF",
        f"2: -> FLOCK  ADVISORY  WRITE 13 00:1b:{inode} 0 EOF",
        f"3: FLOCK  ADVISORY  WRITE 14 00:1b:{inode} 0 EOF",
    ]
    kernel = Kernel(locks=tmp_path / "locks")
    kernel.locks.write_text("\n".join(lines[:3]))
    nobody = doctor.holder_pid(lock, kernel)
    kernel.locks.write_text("\n".join(lines))

    assert nobody is None
    assert doctor.holder_pid(lock, kernel) == 14


def test_what_the_node_says_of_itself_is_repeated(settings: Settings, kernel: Kernel) -> None:
    engine = {"state": "unusable", "reason": "model-unusable", "detail": "found no model"}
    refused = {
        "state": "refused",
        "problem": "in habitus.toml, line 7",
        "needs_restart": ["intake"],
    }
    alive(settings, 1.0, {"engine": engine, "settings": refused})
    with lock_data_folder(settings.data_folder):
        found = list(doctor.data_folder(settings, kernel))

    told = {(each.subject, each.level): each.text for each in found}
    assert "found no model" in told["engine", Level.FAIL]
    assert "line 7" in told["settings in force", Level.FAIL]
    assert "intake" in told["settings in force", Level.NOTE]
