"""How full the node's disks are, against two marks: the node asks before each job, Orthanc before each image it takes."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

LARGEST_HIGH_SHARE = 0.10
LARGEST_CRITICAL_SHARE = 0.04
"""Of a disk: on a small one the marks in megabytes would leave nothing to work with."""
ASK_AGAIN_S = 1.0
OUT_OF_RESOURCES = 0xA700
"""C-STORE: Refused, Out of Resources (PS3.4 B.2.3)."""
ACCEPTED = 0x0000
_MB = 1_000_000


class DiskLevel(IntEnum):
    """What the fullest of the disks allows."""

    OK = 0
    HIGH = 1
    """New jobs wait."""
    CRITICAL = 2
    """Images are refused, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskMarks:
    """Free space below which something has to wait."""

    high_free_mb: float = 10_000.0
    critical_free_mb: float = 2_000.0


def marks_of(table: Mapping[str, Any]) -> DiskMarks:
    """From [disk] of habitus.toml; what the node will refuse there counts as its default here."""
    default = DiskMarks()
    return DiskMarks(
        high_free_mb=_number(table.get("high_free_mb"), default.high_free_mb),
        critical_free_mb=_number(table.get("critical_free_mb"), default.critical_free_mb),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Of one disk."""

    free_bytes: int
    whole_bytes: int


def room_at(folder: Path) -> Room | None:
    """Of the disk that a folder lies on, for a user who is not root; None where it cannot be asked."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return Room(free_bytes=disk.f_bavail * disk.f_frsize, whole_bytes=disk.f_blocks * disk.f_frsize)


def level_of(folder: Path, marks: DiskMarks) -> DiskLevel:
    """Of the disk that a folder lies on; OK where it cannot be asked, for whoever writes there will learn it."""
    room = room_at(folder)
    if room is None:
        return DiskLevel.OK
    free, whole = room.free_bytes, room.whole_bytes
    if free < min(marks.critical_free_mb * _MB, LARGEST_CRITICAL_SHARE * whole):
        return DiskLevel.CRITICAL
    if free < min(marks.high_free_mb * _MB, LARGEST_HIGH_SHARE * whole):
        return DiskLevel.HIGH
    return DiskLevel.OK


class StoreGate:
    """Whether Orthanc takes an image; asks the disks once a second, not for each slice."""

    def __init__(
        self,
        folders: tuple[Path, ...],
        marks: DiskMarks,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = folders
        self._marks = marks
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at_s = float("-inf")
        self._is_open = True

    def status(self) -> int:
        """What C-STORE is answered before the image is read."""
        with self._lock:
            if self._clock() - self._asked_at_s >= ASK_AGAIN_S:
                self._asked_at_s = self._clock()
                self._look()
            return ACCEPTED if self._is_open else OUT_OF_RESOURCES

    def _look(self) -> None:
        levels = [level_of(folder, self._marks) for folder in self._folders]
        is_open = max(levels, default=DiskLevel.OK) is not DiskLevel.CRITICAL
        if is_open != self._is_open:
            self._is_open = is_open
            self._log(
                "habitus: images are taken again"
                if is_open
                else "habitus: a disk is all but full; C-STORE is refused with A700 until there is room"
            )


def _number(value: object, default: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value >= 0 else default  # type: ignore[arg-type, operator] # a number
