"""Publishing: a bounded outbox and the one task that sends it, in order and in batches.

Whoever publishes never waits for Redis and never hears of it. While Redis is away only the newest message of each
topic is kept: it shows every subscriber, by the hole before it, what to read from PostgreSQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import NamedTuple

from redis.asyncio.connection import AbstractConnection

from pubsub.backoff import BackOff
from pubsub.connection import call_all, close, explain, new_connection

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000  # messages of some 300 bytes: 3 MiB
BATCH = 500  # messages per round trip
FLUSH_S = 2.0  # how long closing may wait for the last messages


class Outgoing(NamedTuple):
    """A message for a channel; of one topic the newest makes the others superfluous."""

    channel: str
    topic: str
    payload: bytes


class Publisher:
    """Sends what is put into it. `is_up` is what the last send showed; `failed_count` counts messages not sent."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = new_connection(url)
        self._waiting: deque[Outgoing] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._back_off = BackOff()
        self.is_up = True
        self.failed_count = 0

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run(), name="pubsub-publisher")

    def put(self, message: Outgoing) -> None:
        """Have a message sent."""
        self._waiting.append(message)
        if len(self._waiting) > MAX_WAITING:
            self._keep_newest()
        self._idle.clear()
        self._wake.set()

    async def close(self) -> None:
        """Send what waits, for at most FLUSH_S, and disconnect."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), FLUSH_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await close(self._connection)

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                self._wake.clear()
                self._idle.set()
                await self._wake.wait()
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                await self._send(self._connection, batch)
            except Exception as error:
                self._failed(batch, error)
                await close(self._connection)
                await asyncio.sleep(self._back_off.next_s())
            else:
                self._back_off.reset()
                if not self.is_up:
                    logger.info("publishing to Redis works again")
                    self.is_up = True

    async def _send(self, connection: AbstractConnection, batch: list[Outgoing]) -> None:
        answers = await call_all(connection, [("PUBLISH", message.channel, message.payload) for message in batch])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer

    def _failed(self, batch: list[Outgoing], error: Exception) -> None:
        self._waiting.extendleft(reversed(batch))
        self._keep_newest()
        if self.is_up and self._back_off.failures:  # the first failure may be only a connection that went stale
            self.is_up = False
            logger.warning("events cannot be published: %s; they are in PostgreSQL", explain(error, self._url))

    def _keep_newest(self) -> None:
        before = len(self._waiting)
        newest: dict[str, Outgoing] = {}
        for message in self._waiting:
            newest.pop(message.topic, None)
            newest[message.topic] = message
        self._waiting = deque(newest.values(), maxlen=None)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
        self.failed_count += before - len(self._waiting)
