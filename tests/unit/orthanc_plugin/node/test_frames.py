"""Messages over pipes: whole, bounded, and never trusted further than JSON."""

import os
import struct
from collections.abc import Iterator

import pytest

from orthanc_plugin.node.frames import (
    MAX_FRAME_BYTES,
    FrameReader,
    FrameTimeout,
    PipeClosed,
    write_frame,
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_messages_come_out_as_they_went_in(pipe: tuple[int, int]) -> None:
    reader = FrameReader(pipe[0])
    write_frame(pipe[1], {"a": 1})
    write_frame(pipe[1], {"b": "ä"})

    assert [reader.read(1.0), reader.read(1.0)] == [{"a": 1}, {"b": "ä"}]


def test_half_a_message_is_kept_until_the_rest_comes(pipe: tuple[int, int]) -> None:
    reader = FrameReader(pipe[0])
    whole = struct.pack(">I", 8) + b'{"a": 1}'
    os.write(pipe[1], whole[:6])
    with pytest.raises(FrameTimeout):
        reader.read(0.01)
    os.write(pipe[1], whole[6:])

    assert reader.read(1.0) == {"a": 1}


def test_a_closed_pipe_is_told(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])

    with pytest.raises(PipeClosed):
        FrameReader(pipe[0]).read(1.0)


def test_writing_to_nobody_is_told(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])

    with pytest.raises(PipeClosed):
        write_frame(pipe[1], {"a": 1})


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack(">I", MAX_FRAME_BYTES + 1),
        struct.pack(">I", 3) + b"abc",
        struct.pack(">I", 2) + b"[]",
    ],
)
def test_a_peer_that_talks_nonsense_counts_as_gone(pipe: tuple[int, int], raw: bytes) -> None:
    os.write(pipe[1], raw)

    with pytest.raises(PipeClosed):
        FrameReader(pipe[0]).read(1.0)
