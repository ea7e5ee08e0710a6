"""A process of its own that holds many sockets and counts what comes, so that the server is what is measured.

It is told what to do by lines of JSON on stdin and answers each by one on stdout. One epoll loop and one buffer: a
message costs it a few microseconds, and it says how much of a core it took.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import select
import socket
import statistics
import struct
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

NEXT = b'"type":"next"'
AT = b'"at":"'
AT_SIZE = 24  # 2026-01-01T00:00:00.000Z
ALIVE_S = 5.0  # how often each socket says that it lives, by both ways in which servers ask
HOPE_S = 60.0  # how long to wait for what should come


def masked(text: str) -> bytes:
    """A text frame of a client; the mask is zero."""
    payload = text.encode()
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, size)
    return head + bytes(4) + payload


PONGS = b"\x8a\x80" + bytes(4) + masked('{"type":"pong"}')


@dataclass(slots=True)
class Phase:
    """What was counted since the last command."""

    wanted: int
    marker: bytes
    is_timed: bool
    count: int = 0
    messages: int = 0
    sample: Any = None  # the payload of one message
    latencies: array[float] = field(default_factory=lambda: array("d"))


class Sockets:
    """All sockets of this process."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._rests: dict[int, bytes] = {}  # the ends of messages that were cut
        self._buffer = bytearray(1 << 18)
        self._instants: dict[bytes, float] = {}
        self._told_at = 0.0

    def connect(self, port: int, token: str, query: str, variables: list[dict[str, Any]]) -> dict[str, Any]:
        """Open a socket for each set of variables; returns when each has its first message."""
        started = time.monotonic()
        hello = json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        for some in variables:
            subscribe = {"id": "1", "type": "subscribe", "payload": {"query": query, "variables": some}}
            opened = _shake_hands(port)
            opened.sendall(masked(hello))
            assert b"connection_ack" in (answer := opened.recv(4096)), answer
            opened.sendall(masked(json.dumps(subscribe)))
            self._sockets[opened.fileno()] = opened
            self._poll.register(opened.fileno(), select.EPOLLIN)
            self._live()
        found = self.expect(len(variables), NEXT.decode(), is_timed=False)
        return {**found, "took_s": time.monotonic() - started}

    def expect(self, wanted: int, marker: str, *, is_timed: bool) -> dict[str, Any]:
        """Count the marker until it came so often; `is_timed`: and take the time of each message."""
        phase = Phase(wanted, marker.encode(), is_timed)
        started, spent = time.monotonic(), time.process_time()
        while phase.count < wanted:
            for number, _ in self._poll.poll(0.5):
                self._take(number, phase)
            if time.monotonic() - started > HOPE_S:
                raise TimeoutError(f"{phase.count} of {wanted} came")
            self._live()
        ended, took_s = time.time(), time.monotonic() - started
        found: dict[str, Any] = {
            "count": phase.count,
            "messages": phase.messages,
            "sample": phase.sample,
            "ended_at": ended,
            "cpu": (time.process_time() - spent) / took_s,
        }
        if is_timed:
            ranked = statistics.quantiles(phase.latencies, n=100)
            found |= {"p50_ms": ranked[49] * 1000, "p99_ms": ranked[98] * 1000, "worst_ms": max(phase.latencies) * 1000}
        return found

    def _live(self) -> None:
        now = time.monotonic()
        if now - self._told_at > ALIVE_S:
            self._told_at = now
            for each in self._sockets.values():
                each.send(PONGS)

    def _take(self, number: int, phase: Phase) -> None:
        buffer = self._buffer
        size = self._sockets[number].recv_into(buffer)
        if not size:
            raise ConnectionError(f"the server has closed a socket; last it said {bytes(buffer[:200])!r}")
        rest = self._rests.pop(number, b"")
        data: bytes | bytearray = buffer
        if rest:
            data = rest + buffer[:size]
            size = len(data)
        if phase.sample is None:
            phase.sample = _payload(bytes(data[:size]))
        phase.messages += data.count(NEXT, 0, size)
        phase.count += data.count(phase.marker, 0, size)
        if phase.is_timed:
            self._time(data, size, phase.latencies)
        if data[size - 1] != 0x7D:  # not the end of a message, and so perhaps within a marker
            tail = bytes(data[max(data.rfind(b",", 0, size), data.rfind(b"{", 0, size)) + 1 : size])
            found = NEXT in tail or phase.marker in tail or (AT in tail and len(tail) >= len(AT) + AT_SIZE)
            self._rests[number] = tail[1:] if found else tail  # none is counted twice

    def _time(self, data: bytes | bytearray, size: int, latencies: array[float]) -> None:
        now, place = time.time(), 0
        while (place := data.find(AT, place, size)) >= 0:
            place += len(AT)
            if place + AT_SIZE > size:
                return
            text = bytes(data[place : place + AT_SIZE])
            at = self._instants.get(text)
            if at is None:
                at = self._instants[text] = datetime.fromisoformat(text.decode()).timestamp()
            latencies.append(now - at)

    def close(self) -> dict[str, Any]:
        """Close all of them."""
        for number, each in self._sockets.items():
            self._poll.unregister(number)
            each.close()
        self._sockets.clear()
        self._rests.clear()
        return {}


def _payload(data: bytes) -> Any:
    """The payload of the first message that is whole."""
    begin = data.rfind(b"{", 0, max(0, data.find(NEXT)))
    try:
        message, _ = json.JSONDecoder().raw_decode(data[begin:].decode(errors="replace")) if begin >= 0 else ({}, 0)
    except ValueError:
        return None
    return message.get("payload")


def _shake_hands(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    key = base64.b64encode(os.urandom(16)).decode()
    made.sendall(
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += made.recv(1)
    assert b" 101 " in answer.split(b"\r\n", 1)[0], answer
    return made


def main() -> None:
    """Do as told until stdin ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    sockets = Sockets()
    for line in sys.stdin:
        words = json.loads(line)
        commands: dict[str, Callable[..., dict[str, Any]]] = {
            "connect": sockets.connect,
            "expect": sockets.expect,
            "close": sockets.close,
        }
        print(json.dumps(commands[words.pop("do")](**words)), flush=True)


if __name__ == "__main__":
    main()
