"""Where operators' wishes wait for the node: one small file each, whole on disk before the answer is given."""

import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthanc_plugin.inside.exchange import Refused

MOST_WAITING = 500
"""Wishes; a node that is away so long needs an administrator, not more of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandBox:
    """A folder inside the node's data folder. The node may be away, or a unit of its own: files reach it either way."""

    folder: Path

    def put(self, kind: str, actor: str, fields: dict[str, Any]) -> str:
        """Leave a wish; its id. Raises Refused where it cannot be left."""
        number = uuid.uuid4().hex
        wish = {"id": number, "kind": kind, "actor": actor, "at": time.time(), **fields}
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if sum(1 for _ in self.folder.iterdir()) >= MOST_WAITING:
                raise _node_away(f"{MOST_WAITING} commands that wait")
            self._write(f"{time.time_ns():020d}-{number}.json", json.dumps(wish).encode())
        except OSError as exc:
            raise _node_away("a data folder that takes no command") from exc
        return number

    def _write(self, name: str, content: bytes) -> None:
        draft = self.folder / f".{name}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.folder / name)
        directory = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _node_away(found: str) -> Refused:
    return Refused(
        503,
        "node-away",
        found=found,
        wanted="a node at work",
        advice="See /habitus/status and the node's log.",
    )
