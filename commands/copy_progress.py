"""How far a long copy has come, on one line of a terminal, or a line now and then in a log."""

import time
from types import TracebackType
from typing import TextIO

ON_TERMINAL_S, IN_LOG_S = 0.2, 10.0


class CopyProgress:
    """Called with what is copied, how many files are done, and how many there are."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._every_s = ON_TERMINAL_S if self._is_terminal else IN_LOG_S
        self._said_s = time.monotonic()
        self._is_line_open = False

    def __call__(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self._said_s < self._every_s:
            return
        self._said_s = time.monotonic()
        end = "\r" if self._is_terminal else "\n"
        self._is_line_open = self._is_terminal
        self._stream.write(f"{what}: {done} of {total} files{end}")
        self._stream.flush()

    def __enter__(self) -> "CopyProgress":
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._is_line_open:
            self._stream.write("\n")
