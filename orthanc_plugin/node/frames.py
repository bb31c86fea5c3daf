"""Length-prefixed JSON messages over pipes: the only language between the worker and its engine child."""

import json
import os
import select
import struct
import time
from typing import Any

MAX_FRAME_BYTES = 1 << 20
"""A message holds names and numbers only; anything larger is a broken peer."""

Message = dict[str, Any]

_LENGTH = struct.Struct(">I")


class PipeClosed(Exception):
    """The other end is gone (a normal way for either process to end)."""


class FrameTimeout(Exception):
    """No whole message arrived in time."""


def write_frame(descriptor: int, message: Message) -> None:
    """Write one message; raises PipeClosed when nobody reads."""
    body = json.dumps(message).encode()
    data = memoryview(_LENGTH.pack(len(body)) + body)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError as exc:
        raise PipeClosed from exc


class FrameReader:
    """Reads messages from a descriptor and keeps what arrived of an unfinished one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = b""

    def read(self, timeout_s: float | None = None) -> Message:
        """The next message; raises FrameTimeout or PipeClosed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (message := self._take()) is None:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            readable, _, _ = select.select([self._descriptor], [], [], left_s)
            if not readable:
                raise FrameTimeout
            chunk = os.read(self._descriptor, 1 << 16)
            if not chunk:
                raise PipeClosed
            self._buffer += chunk
        return message

    def _take(self) -> Message | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > MAX_FRAME_BYTES:
            raise PipeClosed
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body, self._buffer = self._buffer[_LENGTH.size : end], self._buffer[end:]
        try:
            message = json.loads(body)
        except ValueError as exc:
            raise PipeClosed from exc
        if not isinstance(message, dict):
            raise PipeClosed
        return message
