"""The bus of one process: publishes committed events, and hands what all processes published to the hub."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Literal, Self
from uuid import UUID

from broadcaster import Broadcast

from pubsub.backend import INBOX, RedisBackend
from pubsub.events import CommittedEvent, encode_all
from pubsub.publisher import Outgoing
from pubsub.topics import DEFAULT_PREFIX, Channels

logger = logging.getLogger(__name__)


class Bus:
    """Open it before use (`async with`); without `listen` it publishes only, as a command does."""

    def __init__(self, url: str, *, epoch: UUID | str, prefix: str = DEFAULT_PREFIX, listen: bool = True) -> None:
        """Raises RedisUnavailable when the URL cannot be used. `epoch` is the database's; others' are ignored."""
        self.epoch = str(epoch)
        self._channels = Channels(prefix)
        self._backend = RedisBackend(url, self._channels.all() if listen else ())
        self._broadcast = Broadcast(backend=self._backend)
        self._is_open = False

    async def open(self) -> None:
        """Connect. Raises RedisUnavailable with one line that says what to do."""
        await self._broadcast.connect()
        self._is_open = True

    async def close(self) -> None:
        """Send what waits (2 s at most) and disconnect."""
        if self._is_open:
            self._is_open = False
            await self._broadcast.disconnect()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def status(self) -> Literal["up", "down"]:
        """Whether events go out and come in, as far as is known."""
        return "up" if self._is_open and self._backend.is_up else "down"

    @property
    def failed_count(self) -> int:
        """Messages that were not sent because Redis was away; their events are in PostgreSQL."""
        return self._backend.failed_count

    async def publish(self, events: Sequence[CommittedEvent], log_heads: Mapping[UUID, int] | None = None) -> None:
        """Tell of a committed transaction: its `emitted` and `log_heads`. Returns at once and never raises."""
        try:
            for topic, payload in encode_all(self.epoch, events, log_heads or {}):
                channel = self._channels.of(topic)
                await self._broadcast.publish(channel, Outgoing(channel, topic, payload))
        except Exception:
            # The change is committed: whatever is wrong here must not turn it into a failed request.
            logger.exception("an event could not be encoded; subscribers read it from PostgreSQL")

    @asynccontextmanager
    async def inbox(self) -> AsyncIterator[AsyncIterator[str | bytes]]:
        """Everything that arrives from now on, in order: messages, and GAP after a loss of the connection."""
        async with self._broadcast.subscribe(INBOX) as subscriber:

            async def texts() -> AsyncIterator[str | bytes]:
                while True:
                    yield (await subscriber.get()).message

            yield texts()
