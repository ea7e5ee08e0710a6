"""What is followed: changes of tasks and lines of their logs, written as the service writes them and told to a server.

Ours is told as every process of the service is: by the bus, of facts. Node's is told all that it has to show, on the
channels that it would choose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from bench.realtime.processes import PEER
from bench.servers import Server
from bench.stores import Stores
from db.database import Database, WriteTransaction
from db.handles import Event
from db.pages import EventPosition
from domain.ids import show_id
from domain.records import Batch, ConversationRecord, LogRecord, Ref, TaskRecord
from domain.writer import apply
from pubsub.bus import Bus
from pubsub.publisher import Outgoing, Publisher
from pubsub.topics import log_topic
from resolvers.instants import show_instant
from resolvers.pages import encode_event_cursor

ORIGIN = "bench"
START = datetime(2026, 1, 1, tzinfo=UTC)
LINE = "GET /api/items 200 in 12 ms; cache hit, 48 rows"

Tell = Callable[[WriteTransaction, Mapping[UUID, str]], Awaitable[None]]


@dataclass(slots=True)
class Source:
    """Tasks, each in a conversation of its own, and what happens to them."""

    database: Database
    tasks: list[UUID] = field(default_factory=list)
    conversations: list[UUID] = field(default_factory=list)
    _changes: int = 0

    async def fill(self, count: int) -> None:
        """Make the tasks."""
        for first in range(0, count, 500):
            numbers = range(first, min(first + 500, count))
            conversations = [ConversationRecord(ORIGIN, f"c{n}", START, START) for n in numbers]
            tasks = [self._record(n, "0") for n in numbers]
            async with self.database.write() as transaction:
                await apply(transaction, Batch(conversations=conversations, tasks=tasks), now=datetime.now(UTC))
        async with self.database.write() as transaction:
            rows = await transaction.connection.fetch(
                "SELECT id, conversation_id FROM tasks ORDER BY substr(external_id, 2)::int"
            )
        self.tasks = [row["id"] for row in rows]
        self.conversations = [row["conversation_id"] for row in rows]

    def _record(self, n: int, title: str) -> TaskRecord:
        conversation = Ref(ORIGIN, f"c{n}")
        return TaskRecord(ORIGIN, f"t{n}", "ENGINE", START, START, title=title, conversation=conversation)

    async def change(self, numbers: Sequence[int], tell: Tell | None = None) -> None:
        """Change tasks, in one transaction."""
        self._changes += 1
        title = f"Look into the build, take {self._changes}"
        async with self.database.write() as transaction:
            await apply(transaction, Batch(tasks=[self._record(n, title) for n in numbers]), now=datetime.now(UTC))
        if tell is not None:
            await tell(transaction, {self.tasks[n]: title for n in numbers})

    async def append(self, numbers: Sequence[int], tell: Tell | None = None, lines: int = 1) -> None:
        """Append lines to the log of each of these tasks, in one transaction."""
        now = datetime.now(UTC)
        records = [LogRecord(Ref(id=self.tasks[n]), now, "INFO", "STDOUT", LINE) for n in numbers for _ in range(lines)]
        async with self.database.write() as transaction:
            await apply(transaction, Batch(logs=records), now=now)
        if tell is not None:
            await tell(transaction, {})


@asynccontextmanager
async def told(server: Server, stores: Stores, source: Source) -> AsyncIterator[Tell]:
    """What tells a server of a committed transaction."""
    if server.kind.name != PEER:
        prefix = server.kind.environment["REDIS_PREFIX"]
        async with Bus(stores.redis_url, epoch=source.database.epoch, prefix=prefix, listen=False) as bus:

            async def publish(transaction: WriteTransaction, _: Mapping[UUID, str]) -> None:
                await bus.publish(transaction.emitted, transaction.log_heads)

            yield publish
    else:
        publisher = Publisher(stores.redis_url)
        publisher.start()

        async def send(transaction: WriteTransaction, titles: Mapping[UUID, str]) -> None:
            for event in transaction.emitted:
                for channel, message in _shown(source, event, titles):
                    publisher.put(Outgoing(channel, f"{channel}{event.seq}", orjson.dumps(message)))

        yield send
        await publisher.close()


def _shown(source: Source, event: Event, titles: Mapping[UUID, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The channels of an event, and what is to be shown of it."""
    facts, at = event.facts, show_instant(event.at)
    if event.topic == "tasks":
        key = UUID(facts["id"])
        task = {
            "id": show_id("task", key),
            "revision": facts["revision"],
            "status": facts["after"]["status"],
            "title": titles[key],
        }
        cursor = encode_event_cursor(EventPosition(source.database.epoch, "tasks", event.seq))
        shown = {"__typename": "TaskChanged", "cursor": cursor, "at": at, "task": task}
        yield "tasks", shown
        yield f"tasks:{show_id('conversation', UUID(facts['after']['conversation']))}", shown
    elif event.topic == "logs":
        key, first, last = UUID(facts["task"]), facts["first"], facts["last"]
        cursor = encode_event_cursor(EventPosition(source.database.epoch, log_topic(key), last))
        lines = [{"seq": seq, "text": LINE} for seq in range(first, last + 1)]
        shown = {"__typename": "LogLinesAppended", "cursor": cursor, "at": at, "taskId": show_id("task", key)}
        yield f"log:{show_id('task', key)}", {**shown, "lines": lines}
