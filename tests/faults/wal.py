"""Damage to the newest part of an SQLite write-ahead log (https://www.sqlite.org/fileformat2.html, section 4)."""

import os
import struct
from pathlib import Path

HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
TAIL_BYTES = 20_000
"""A few frames of 4 KiB: a disk that lied about what it had written lies about the newest."""


def live_bytes(wal: Path) -> int:
    """Up to the end of the newest frame; what lies behind is left from before the last checkpoint."""
    content = wal.read_bytes() if wal.is_file() else b""
    if len(content) < HEADER_BYTES:
        return 0
    (page_bytes,) = struct.unpack(">I", content[8:12])
    salts, end = content[16:24], HEADER_BYTES
    while content[end + 8 : end + 16] == salts:
        end += FRAME_HEADER_BYTES + page_bytes
    return min(end, len(content)) if end > HEADER_BYTES else 0


def cut(wal: Path, share: float) -> bool:
    """The end of the log is gone; False where there is none."""
    size = live_bytes(wal)
    if size:
        os.truncate(wal, _place(size, share))
    return size > 0


def flip(wal: Path, share: float) -> bool:
    """One bit near the end of the log is the other way round; False where there is none."""
    size = live_bytes(wal)
    if size:
        place = _place(size, share)
        with wal.open("r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 0x10]))
    return size > 0


def _place(size: int, share: float) -> int:
    return size - 1 - int(share * (min(size, TAIL_BYTES) - 1))
