"""Fan-out: many sockets that follow one topic, a topic each, or a filter each; how fast, how late, and at what cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.realtime.processes import Counting
from bench.realtime.source import Source, Tell
from bench.servers import Server, cpu_s
from bench.stores import Stores
from domain.ids import show_id

CHANGES = """subscription Changes($filter: TaskEventFilter) {
  taskChanged(filter: $filter) {
    __typename ... on LiveEvent { cursor at } ... on TaskChanged { task { id revision status title } }
  }
}"""
LOG = """subscription Log($taskId: ID!) {
  taskLog(taskId: $taskId) {
    __typename ... on LiveEvent { cursor at } ... on LogLinesAppended { taskId lines { seq text } }
  }
}"""
MESSAGE = '"type":"next"'
LOG_LINE = '"seq":'


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    sockets: int
    burst_events: int  # of one topic
    burst_lines: int  # of each of the logs
    filtered_events: int
    paced_s: float
    idle_sockets: int
    writing_s: float


FULL = Size(5, 1_000, 100, 10, 1_000, 4.0, 10_000, 3.0)
QUICK = Size(3, 1_000, 50, 5, 500, 3.0, 3_000, 1.0)

DELIVERIES = 10_000  # a second, in the paced part: as many as a few hundred people with busy boards cause
TASKS_TOLD = 50  # that change in turn
TOGETHER = 10  # changes in a transaction of a burst
LINES_TOGETHER = 250  # tasks that get a line in one transaction


class Fanout:
    """One server, followed."""

    def __init__(
        self, stores: Stores, server: Server, client: Counting, source: Source, tell: Tell, size: Size
    ) -> None:
        self._stores = stores
        self._server = server
        self._client = client
        self._source = source
        self._tell = tell
        self._size = size
        self.shape: Any = None  # of what was delivered last

    @property
    def cases(self) -> Mapping[str, Callable[[], Awaitable[dict[str, float]]]]:
        """What can be measured, by the names of bench.realtime.table."""
        return {"one_topic": self.one_topic, "topic_each": self.topic_each, "filter_each": self.filter_each}

    async def one_topic(self) -> dict[str, float]:
        """All follow all tasks: a burst, then events at a pace."""
        figures = await self._connect(CHANGES, [{}] * self._size.sockets)
        events, tasks = self._size.burst_events, min(TASKS_TOLD, self._size.sockets)

        async def burst() -> None:
            for first in range(0, events, TOGETHER):
                await self._source.change([n % tasks for n in range(first, first + TOGETHER)], self._tell)

        figures |= await self._measure(burst, events * self._size.sockets, MESSAGE)
        figures |= {f"paced_{name}": value for name, value in (await self._paced()).items()}
        await self._client.close()
        return figures

    async def _paced(self) -> dict[str, float]:
        rate = DELIVERIES / self._size.sockets
        events = int(rate * self._size.paced_s)

        async def pace() -> None:
            started = time.monotonic()
            for n in range(events):
                await self._source.change([n % min(TASKS_TOLD, self._size.sockets)], self._tell)
                await asyncio.sleep(max(0.0, started + (n + 1) / rate - time.monotonic()))

        return await self._measure(pace, events * self._size.sockets, MESSAGE, is_timed=True)

    async def topic_each(self) -> dict[str, float]:
        """Each follows the log of a task of its own."""
        tasks = [{"taskId": show_id("task", key)} for key in self._source.tasks[: self._size.sockets]]
        figures = await self._connect(LOG, tasks)

        async def burst() -> None:
            for _ in range(self._size.burst_lines):
                for first in range(0, len(tasks), LINES_TOGETHER):
                    numbers = range(first, min(first + LINES_TOGETHER, len(tasks)))
                    await self._source.append(numbers, self._tell)

        figures |= await self._measure(burst, self._size.burst_lines * len(tasks), LOG_LINE)
        await self._client.close()
        return figures

    async def filter_each(self) -> dict[str, float]:
        """Each follows the tasks of a conversation of its own."""
        keys = self._source.conversations[: self._size.sockets]
        figures = await self._connect(
            CHANGES, [{"filter": {"conversationId": [show_id("conversation", key)]}} for key in keys]
        )
        events = self._size.filtered_events

        async def burst() -> None:
            for first in range(0, events, TOGETHER):
                numbers = [n % len(keys) for n in range(first, first + TOGETHER)]
                await self._source.change(numbers, self._tell)

        figures |= await self._measure(burst, events, MESSAGE)
        await self._client.close()
        return figures

    async def idle(self, sockets: int) -> dict[str, float]:
        """Sockets that follow all tasks while nothing happens; then one event for all of them."""
        figures = await self._connect(CHANGES, [{}] * sockets)
        figures |= await self._measure(lambda: self._source.change([0], self._tell), sockets, MESSAGE)
        await self._client.close()
        return figures

    async def _connect(self, query: str, variables: Sequence[dict[str, Any]]) -> dict[str, float]:
        before_mib = self._server.memory_mib
        connected = await self._client.connect(self._server, query, variables)
        kib = (self._server.memory_mib - before_mib) * 1024 / len(variables)
        return {"connect_s": connected["took_s"], "socket_kib": kib}

    async def _measure(
        self, cause: Callable[[], Awaitable[None]], count: int, marker: str, *, is_timed: bool = False
    ) -> dict[str, float]:
        spent, stored = self._server.cpu_s, self._store_cpu_s
        started = time.time()
        async with self._client.expecting(count, marker, is_timed=is_timed) as found:
            await cause()
            written_s = time.time() - started
        took_s = found["ended_at"] - started
        if found["count"] != count:
            raise RuntimeError(f"{self._server.kind.name} delivered {found['count']} instead of {count}")
        self.shape = shape(found["sample"])
        figures: dict[str, float] = {
            "rate": count / took_s,
            "messages": found["messages"],
            "cpu_us": (self._server.cpu_s - spent) / count * 1e6,
            "database_us": (self._store_cpu_s - stored) / count * 1e6,
            "client_cpu": found["cpu"],
            "written": written_s / took_s,
        }
        return figures | {name: value for name, value in found.items() if name.endswith("_ms")}

    @property
    def _store_cpu_s(self) -> float:
        return cpu_s(self._stores.postmaster, with_children=True)


def shape(value: Any) -> Any:
    """What is equal when two servers deliver the same: names, types of objects and kinds of values."""
    if isinstance(value, dict):
        return {name: some if name == "__typename" else shape(some) for name, some in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__
