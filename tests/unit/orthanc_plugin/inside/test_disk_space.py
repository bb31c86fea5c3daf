"""Disks that fill: what still goes, and that small disks are not taken for full ones."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from orthanc_plugin.inside.disk_space import (
    ACCEPTED,
    ASK_AGAIN_S,
    OUT_OF_RESOURCES,
    DiskLevel,
    DiskMarks,
    StoreGate,
    level_of,
    marks_of,
)
from tests.fakes import Clock

MARKS = DiskMarks(high_free_mb=100.0, critical_free_mb=20.0)


@dataclass
class Disk:
    """In place of os.statvfs."""

    whole_mb: int = 10_000
    free_mb: int = 5_000
    asked: list[Path] = field(default_factory=list)

    def __call__(self, folder: Path) -> SimpleNamespace:
        self.asked.append(folder)
        return SimpleNamespace(f_frsize=1_000_000, f_blocks=self.whole_mb, f_bavail=self.free_mb)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "statvfs", disk)
    return disk


@pytest.mark.parametrize(
    ("whole_mb", "free_mb", "level"),
    [
        (10_000, 100, DiskLevel.OK),
        (10_000, 99, DiskLevel.HIGH),
        (10_000, 20, DiskLevel.HIGH),
        (10_000, 19, DiskLevel.CRITICAL),
        # A tenth and a twenty-fifth of a small disk.
        (100, 10, DiskLevel.OK),
        (100, 9, DiskLevel.HIGH),
        (100, 3, DiskLevel.CRITICAL),
    ],
)
def test_the_level_follows_the_free_space(
    disk: Disk, tmp_path: Path, whole_mb: int, free_mb: int, level: DiskLevel
) -> None:
    disk.whole_mb, disk.free_mb = whole_mb, free_mb

    assert level_of(tmp_path, MARKS) is level


def test_marks_of_zero_hold_up_nothing(disk: Disk, tmp_path: Path) -> None:
    disk.free_mb = 0

    assert level_of(tmp_path, DiskMarks(high_free_mb=0, critical_free_mb=0)) is DiskLevel.OK


def test_a_folder_that_is_not_there_holds_up_nothing(tmp_path: Path) -> None:
    assert level_of(tmp_path / "absent", MARKS) is DiskLevel.OK


def test_images_are_refused_while_the_fullest_disk_is_all_but_full_and_taken_again(
    disk: Disk, tmp_path: Path
) -> None:
    clock, log = Clock(), list[str]()
    gate = StoreGate((tmp_path, tmp_path), MARKS, log.append, clock)
    seen = []
    for free_mb in (5_000, 19, 19, 50):
        disk.free_mb = free_mb
        seen.append(gate.status())
        clock.pass_s(ASK_AGAIN_S)

    assert seen == [ACCEPTED, OUT_OF_RESOURCES, OUT_OF_RESOURCES, ACCEPTED]
    assert len(log) == 2


def test_the_disks_are_not_asked_for_each_slice(disk: Disk, tmp_path: Path) -> None:
    gate = StoreGate((tmp_path,), MARKS, lambda _: None, Clock())
    for _ in range(300):
        gate.status()

    assert len(disk.asked) == 1


@pytest.mark.parametrize("value", ["many", True, -1, None, [1]])
def test_a_mark_that_the_node_refuses_counts_as_its_default_here(value: object) -> None:
    assert marks_of({"high_free_mb": value, "critical_free_mb": 3}) == DiskMarks(
        critical_free_mb=3.0
    )
