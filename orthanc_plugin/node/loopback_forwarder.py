"""Brings a port of a private network namespace to 127.0.0.1 outside it, through a unix socket in the file system.

Orthanc before 1.12.10 binds every address; in a namespace of its own it is reachable by nobody, and by this on
loopback only. A unix socket with a path is not bound to a network namespace, so one half runs on either side:

    ip netns exec NAME python -m orthanc_plugin.node.loopback_forwarder inside FOLDER 8042 4242
    python -m orthanc_plugin.node.loopback_forwarder outside FOLDER 8042 4242

`HERE:THERE` maps port HERE outside to THERE inside. Access to the folder is access to the ports.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 1 << 18

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


def port_pair(text: str) -> tuple[int, int]:
    """Port outside and port inside, from "8042" or "18042:8042"."""
    here, _, there = text.partition(":")
    return int(here), int(there or here)


async def serve_inside(folder: Path, pairs: list[tuple[int, int]]) -> None:
    """Within the namespace: accept on unix sockets, connect to loopback ports."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    servers = []
    for _, there in pairs:
        path = _socket_path(folder, there)
        path.unlink(missing_ok=True)
        connect = _tcp_connector(there)
        servers.append(await asyncio.start_unix_server(_forward_to(connect), path))
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def serve_outside(folder: Path, pairs: list[tuple[int, int]]) -> None:
    """In the machine's own network: accept on loopback ports, connect to the unix sockets."""
    servers = []
    for here, there in pairs:
        connect = _unix_connector(_socket_path(folder, there))
        servers.append(await asyncio.start_server(_forward_to(connect), LOOPBACK, here))
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> int:
    """Parse the command line and forward until killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("side", choices=("inside", "outside"))
    parser.add_argument("folder", type=Path, help="where the unix sockets are")
    parser.add_argument("ports", type=port_pair, nargs="+", metavar="HERE[:THERE]")
    arguments = parser.parse_args()
    os.umask(0o077)
    serve = serve_inside if arguments.side == "inside" else serve_outside
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.folder, arguments.ports))
    return 0


def _socket_path(folder: Path, port: int) -> Path:
    return folder / f"{port}.socket"


def _tcp_connector(port: int) -> Connect:
    async def connect() -> Streams:
        return await asyncio.open_connection(LOOPBACK, port)

    return connect


def _unix_connector(path: Path) -> Connect:
    async def connect() -> Streams:
        return await asyncio.open_unix_connection(path)

    return connect


def _forward_to(
    connect: Connect,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await connect()
        except OSError:
            # Nobody listens yet: the caller sees a closed connection, as it would without us.
            writer.close()
            return
        for end in (writer, far_writer):
            _send_at_once(end)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        for end in (writer, far_writer):
            end.close()

    return forward


def _send_at_once(writer: asyncio.StreamWriter) -> None:
    """Without TCP_NODELAY each C-STORE answer waits 40 ms for a delayed ACK."""
    end = writer.get_extra_info("socket")
    if end is not None and end.family == socket.AF_INET:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction until its end; then only that direction is closed."""
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except ConnectionError:
        writer.close()


if __name__ == "__main__":
    sys.exit(main())
