"""What a node leaves where others can read it: logs, journal, names of files, answers, command lines."""

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

ORTHANCS_OWN = re.compile(r"^[EWIT]\d{4} [\d:.]+ (?:\S+ )?\S+\.(?:cpp|h|c):\d+\] ")
"""How Orthanc begins a line of its log."""
SAMPLED_EVERY_S = 0.25
Trace = tuple[str, str]
"""Where, and what stood there."""


def log_lines(path: Path) -> tuple[list[Trace], list[Trace]]:
    """Ours (the plugin's, the node's, the engine child's and what their libraries print), and those of Orthanc itself."""
    ours: list[Trace] = []
    orthancs: list[Trace] = []
    for line in path.read_text(errors="replace").splitlines():
        is_orthancs = ORTHANCS_OWN.match(line) and "habitus" not in line.lower()
        (orthancs if is_orthancs else ours).append(("log", line))
    return ours, orthancs


def journal_cells(path: Path) -> Iterator[Trace]:
    """Every value of every table, by table and column; then the schema."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as journal:
        tables = journal.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            rows = journal.execute(f"SELECT * FROM {table}")
            columns = [each[0] for each in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    yield f"{table}.{column}", str(value)
        for row in journal.execute("SELECT sql FROM sqlite_master"):
            yield "schema", str(row[0])


def file_names(folder: Path) -> Iterator[Trace]:
    """Of everything below a folder."""
    for path in folder.rglob("*"):
        yield "name of a file", str(path.relative_to(folder))


def file_texts(folder: Path, besides: frozenset[str]) -> Iterator[Trace]:
    """Bytes of everything below a folder, except below those of its entries."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).parts[0] not in besides:
            yield path.name, path.read_bytes().decode("latin-1")


def answer_texts(answer: requests.Response) -> Iterator[Trace]:
    """Headers and body."""
    path = str(answer.request.path_url)
    yield path, answer.text
    yield path, str(answer.headers)


@dataclass(slots=True)
class ProcessWatch:
    """Looks again and again at all that a process started: command lines, environments, names, open files."""

    root_pid: int
    seen: set[Trace] = field(default_factory=set)
    pids: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Once."""
        parents = dict(_parents())
        for pid in parents:
            if self._is_below(pid, parents):
                self.pids.add(pid)
                self.seen.update(_of_process(Path(f"/proc/{pid}")))

    def _is_below(self, pid: int, parents: dict[int, int]) -> bool:
        while pid and pid != self.root_pid:
            pid = parents.get(pid, 0)
        return pid == self.root_pid


@contextmanager
def watched(root_pid: int) -> Iterator[ProcessWatch]:
    """While this lasts, and once more at its end."""
    watch, is_over = ProcessWatch(root_pid=root_pid), threading.Event()

    def watch_on() -> None:
        while not is_over.wait(SAMPLED_EVERY_S):
            watch.look()

    thread = threading.Thread(target=watch_on, daemon=True)
    thread.start()
    try:
        yield watch
        watch.look()
    finally:
        is_over.set()
        thread.join()


def _parents() -> Iterator[tuple[int, int]]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                # The name before it may hold spaces and parentheses (proc(5)).
                stat = (path / "stat").read_text().rpartition(")")[2]
            except OSError:
                continue
            yield int(path.name), int(stat.split()[1])


def _of_process(folder: Path) -> Iterator[Trace]:
    for name in ("cmdline", "environ", "comm"):
        try:
            yield name, (folder / name).read_bytes().decode("latin-1")
        except OSError:
            continue
    for kind in ("fd", "task"):
        try:
            entries: list[Any] = list((folder / kind).iterdir())
        except OSError:
            continue
        for entry in entries:
            try:
                found = entry.readlink() if kind == "fd" else (entry / "comm").read_text()
            except OSError:
                continue
            yield kind, str(found)
