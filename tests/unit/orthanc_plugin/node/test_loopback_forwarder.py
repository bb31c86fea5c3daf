"""The forwarder: bytes pass both ways, and a missing far side closes the near one."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from orthanc_plugin.node.loopback_forwarder import port_pair, serve_inside, serve_outside


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


NEAR, FAR = _free_port(), _free_port()


async def _echo_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(2 * await reader.read())
    await writer.drain()
    writer.close()


async def _between_halves(folder: Path, talk: Callable[[], Awaitable[bytes]]) -> bytes:
    pairs = [(NEAR, FAR)]
    halves = [asyncio.create_task(serve(folder, pairs)) for serve in (serve_inside, serve_outside)]
    try:
        return await asyncio.wait_for(talk(), 5.0)
    finally:
        for half in halves:
            half.cancel()
        await asyncio.gather(*halves, return_exceptions=True)


async def _connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", NEAR)
        except ConnectionError:
            await asyncio.sleep(0.02)


async def _ask(question: bytes) -> bytes:
    reader, writer = await _connect()
    writer.write(question)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def test_bytes_pass_both_ways(tmp_path: Path) -> None:
    async def talk() -> bytes:
        server = await asyncio.start_server(_echo_twice, "127.0.0.1", FAR)
        async with server:
            return await _ask(b"slice" * 100_000)

    assert asyncio.run(_between_halves(tmp_path, talk)) == b"slice" * 200_000


def test_without_a_far_side_the_near_one_is_closed(tmp_path: Path) -> None:
    async def talk() -> bytes:
        try:
            return await _ask(b"anybody?")
        except ConnectionError:
            return b""

    assert asyncio.run(_between_halves(tmp_path, talk)) == b""


@pytest.mark.parametrize(("text", "pair"), [("8042", (8042, 8042)), ("18042:8042", (18042, 8042))])
def test_ports_are_named_outside_first(text: str, pair: tuple[int, int]) -> None:
    assert port_pair(text) == pair
