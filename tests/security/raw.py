"""Bytes by hand: what no client of HTTP or WebSocket would send."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

HOST = "Host: localhost"


@dataclass
class Wire:
    """A TCP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, as far as the other side takes it."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def head(self) -> bytes:
        """An answer up to the blank line."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """All that comes until the other side closes."""
        found = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(10):
                while piece := await self.reader.read(65536):
                    found += piece
        return found


@asynccontextmanager
async def wire(port: int, *, receive_buffer: int | None = None) -> AsyncIterator[Wire]:
    """A connection to a port of loopback; with a small buffer, one that soon takes no more unless it is read."""
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def talk(port: int, data: bytes) -> bytes:
    """All that is answered until the other side closes."""
    async with wire(port) as connection:
        await connection.send(data)
        return await connection.rest()


def request(
    *headers: str, body: bytes = b"", method: str = "POST", path: str = "/graphql", version: str = "HTTP/1.1"
) -> bytes:
    """A request of just these headers, `Connection: close` and, with a body, its length."""
    given = [*headers, "Connection: close", *([f"Content-Length: {len(body)}"] if body else [])]
    return "\r\n".join([f"{method} {path} {version}", *given, "", ""]).encode() + body


UPGRADE = (
    "GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
)


def upgrade(*headers: str) -> bytes:
    """A WebSocket's handshake, with more headers."""
    return (UPGRADE + "".join(f"{header}\r\n" for header in headers) + "\r\n").encode()


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, data: bytes = b"", *, final: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """A client's frame, masked with zeros."""
    head = bytes([final << 7 | reserved << 4 | opcode])
    if len(data) < 126:
        head += bytes([masked << 7 | len(data)])
    else:
        head += bytes([masked << 7 | 126]) + struct.pack(">H", len(data))
    return head + (bytes(4) if masked else b"") + data


def closing(answer: bytes) -> tuple[int, str]:
    """Code and reason of the close frame that an answer ends with."""
    place = answer.rfind(bytes([0x80 | CLOSE]))
    length = answer[place + 1]
    data = answer[place + 2 : place + 2 + length]
    return struct.unpack(">H", data[:2])[0], data[2:].decode()
