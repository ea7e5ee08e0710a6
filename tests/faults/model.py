"""The model: writers that change tasks, and clients that record every (topic, seq) and what they came to believe.

A client comes back after every cut, to any process, with the cursor of the last event that it has seen. What it must
have seen in the end is known: 1 … n of the topic, without a hole or a double, and the revisions of the database.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.typing import Subprotocol

from db.database import Database, WriteTransaction
from db.errors import StatementTimeout
from db.outage import is_outage
from domain.records import Batch, TaskRecord
from domain.writer import apply
from pubsub.bus import Bus

FOLLOW = """
subscription Follow($after: EventCursor) {
  taskChanged(after: $after) {
    __typename
    ... on LiveEvent { cursor at }
    ... on TaskChanged { task { id revision } }
  }
}
"""
START = datetime(2026, 1, 1, tzinfo=UTC)


def seq_of(cursor: str) -> int:
    """The seq in a cursor: opaque to everybody else."""
    return int(json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[3])


@dataclass
class Client:
    """One follower of all tasks."""

    urls: Callable[[], Sequence[str]]
    token: str
    chance: random.Random
    cursor: str | None = None
    last: int = 0
    delivered: int = 0
    lost: int = 0
    doubled: int = 0
    expired: int = 0
    connections: int = 0
    served: Counter[str] = field(default_factory=Counter)  # events by the process that delivered them
    revisions: dict[str, int] = field(default_factory=dict)
    # Seconds, of events that were written while it was reading: what it missed by itself is no latency of the server.
    latencies: array[float] = field(default_factory=lambda: array("f"))
    longest_silence_s: float = 0.0
    receive_buffer: int | None = None  # bytes; a small one makes a reader that stops felt at once
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    socket: ClientConnection | None = None
    _url: str = ""
    _heard_at: float = 0.0
    _reads: asyncio.Event = field(default_factory=asyncio.Event)
    _reads_since: float = 0.0

    async def run(self) -> None:
        """Follow for ever."""
        self.resume()
        while True:
            try:
                self._url = self.chance.choice(list(self.urls()))
                await self._follow(self._url)
            except (OSError, TimeoutError, EOFError, WebSocketException, InvalidHandshake):
                await asyncio.sleep(self.chance.uniform(0.01, 0.1))
            finally:
                self.socket = None

    def cut(self) -> None:
        """Drop the connection without a word."""
        if self.socket is not None:
            self.socket.transport.abort()

    def pause(self) -> None:
        """Read nothing from the next message on."""
        self._reads.clear()

    def resume(self) -> None:
        """Read again."""
        self._reads_since = time.time()
        self._reads.set()

    async def _follow(self, url: str) -> None:
        options: dict[str, Any] = {"open_timeout": 3, "close_timeout": 0.2, "compression": None}
        if self.receive_buffer is not None:
            options["sock"] = await _narrow_socket(url, self.receive_buffer)
        async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], **options) as connection:
            await connection.send(
                json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {self.token}"}})
            )
            async with asyncio.timeout(5):
                assert json.loads(await connection.recv())["type"] == "connection_ack"
            payload = {"query": FOLLOW, "variables": {"after": self.cursor}}
            await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            self.socket, self.connections = connection, self.connections + 1
            while True:
                if not self._reads.is_set():
                    connection.transport.pause_reading()
                    await self._reads.wait()
                    connection.transport.resume_reading()
                message = json.loads(await connection.recv())
                if message["type"] == "ping":
                    await connection.send('{"type":"pong"}')
                elif message["type"] == "next":
                    assert "errors" not in message["payload"], message
                    self.take(message["payload"]["data"]["taskChanged"])
                else:
                    raise AssertionError(message)

    def take(self, event: dict[str, Any]) -> None:
        """Record an event."""
        seq, now = seq_of(event["cursor"]), time.time()
        kind = event["__typename"]
        if kind == "CursorExpired":
            self.expired += 1
        elif kind == "Checkpoint":
            if self.cursor is None:
                self.last = seq
            self.lost += max(0, seq - self.last)  # nothing is filtered: each place was an event's
            self.is_ready.set()
        else:
            self.delivered += 1
            self.served[self._url] += 1
            if seq <= self.last:
                self.doubled += 1
            self.lost += max(0, seq - self.last - 1)
            if self._heard_at:
                self.longest_silence_s = max(self.longest_silence_s, now - self._heard_at)
            self._heard_at = now
            at = datetime.fromisoformat(event["at"]).timestamp()
            if at >= self._reads_since:
                self.latencies.append(now - at)
            task = event["task"]
            self.revisions[task["id"]] = max(self.revisions.get(task["id"], 0), task["revision"])
        self.last = max(self.last, seq)
        self.cursor = event["cursor"]


async def _narrow_socket(url: str, receive_buffer: int) -> socket.socket:
    """A connected socket that takes little before its reader does."""
    address = urlsplit(url)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, (address.hostname, address.port))
    return made


@dataclass
class Writers:
    """Change tasks until they are told to stop; each transaction changes `size` of them."""

    database: Database
    bus: Bus
    task_count: int = 50
    size: int = 3
    rate: float = 1_000.0  # events a second, in all
    count: int = 4
    hold_s: Callable[[], float] = lambda: 0.0  # how long a transaction stays open behind its events
    publish: Callable[[WriteTransaction], Awaitable[None]] | None = None
    written: int = 0
    held: int = 0  # transactions that stayed open
    failed: int = 0  # transactions that an outage ended, or that waited too long behind one
    _stopping: bool = False

    async def start(self) -> None:
        """Make the tasks."""
        for first in range(0, self.task_count, 500):
            await self._write([self._record(n, "0") for n in range(first, min(first + 500, self.task_count))])

    async def change(self, n: int) -> None:
        """Change one task, in a transaction of its own."""
        await self._write([self._record(n % self.task_count, f"change {n}")])

    def _record(self, n: int, title: str) -> TaskRecord:
        return TaskRecord("model", f"t{n}", "ENGINE", START, START, title=title)

    async def _write(self, records: list[TaskRecord]) -> None:
        async with self.database.write() as transaction:
            await apply(transaction, Batch(tasks=records), now=datetime.now(UTC))
            hold_s = self.hold_s()
            if hold_s:
                await transaction.finish()
                self.held += 1
                await asyncio.sleep(hold_s)
        self.written += len(transaction.emitted)
        if self.publish is not None:
            await self.publish(transaction)
        else:
            await self.bus.publish(transaction.emitted, transaction.log_heads)

    async def _work(self, number: int) -> None:
        chance = random.Random(number)
        n = 0
        due = time.monotonic()
        while not self._stopping:
            n += 1
            due += self.size * self.count / self.rate  # what was written too late is made up for
            records = [self._record(task, f"{number}.{n}") for task in chance.sample(range(self.task_count), self.size)]
            try:
                await self._write(records)
            except Exception as error:
                # A transaction that took too long, or one of an unknown end: what was written will be counted.
                if not (is_outage(error) or isinstance(error, StatementTimeout)):
                    raise
                self.failed += 1
                await asyncio.sleep(0.1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Write while the block runs."""
        self._stopping = False
        tasks = [asyncio.create_task(self._work(number)) for number in range(self.count)]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)


async def truth(database: Database) -> tuple[int, dict[str, int]]:
    """The newest seq, and the revision of every task."""
    async with database.write() as transaction:
        seq = await transaction.connection.fetchval("SELECT seq FROM topics WHERE name = 'tasks'")
        rows = await transaction.connection.fetch("SELECT id, revision FROM tasks")
    return int(seq), {f"task_{row['id'].hex}": row["revision"] for row in rows}


async def settle(clients: Sequence[Client], database: Database, timeout_s: float = 15) -> None:
    """Wait until every client has come to the end, and hold it to the model."""
    seq, revisions = await truth(database)
    deadline = time.monotonic() + timeout_s
    while any(client.last < seq for client in clients) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    for client in clients:
        assert client.last == seq, f"at {client.last} of {seq}"
        assert (client.lost, client.doubled, client.expired) == (0, 0, 0)
        assert client.revisions.items() <= revisions.items()


@asynccontextmanager
async def clients_of(
    urls: Callable[[], Sequence[str]], token: str, count: int = 3, seed: int = 1
) -> AsyncIterator[list[Client]]:
    """Clients that follow from now on."""
    clients = [Client(urls, token, random.Random(seed * 100 + n)) for n in range(count)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        async with asyncio.timeout(15):
            for client in clients:
                await client.is_ready.wait()
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
