"""The broadcast backend: `broadcaster`'s seam on redis-py's asyncio connections.

It never raises once connected. It subscribes to its fixed channels before it says that it is connected, and tells
everything that arrives on ONE local channel, INBOX, in the order of arrival; a message GAP among them says that the
connection was lost and is back, so that anything may have been missed in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Sequence
from typing import Any

from broadcaster import BroadcastBackend, Event
from redis.exceptions import RedisError

from pubsub.backoff import BackOff
from pubsub.connection import (
    ANSWER_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    check_server,
    close,
    explain,
    new_connection,
)
from pubsub.publisher import Outgoing, Publisher

logger = logging.getLogger(__name__)

INBOX = "inbox"  # the only channel that `Broadcast.subscribe` is given here
GAP = ""  # no message of ours is empty
SILENCE_S = 15.0  # a connection that says nothing for so long is asked whether it lives


class RedisBackend(BroadcastBackend):
    """Publishes to any channel; reads the fixed ones. Without channels it publishes only."""

    def __init__(self, url: str, channels: Sequence[str]) -> None:
        self._url = url
        self._channels = channels
        self._reader = new_connection(url)
        self._publisher = Publisher(url)
        self._back_off = BackOff()
        self._is_reading = False
        self._was_connected = False
        self._asked = False
        self._heard_at = 0.0
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether messages go out and come in, as far as is known."""
        return self._publisher.is_up and (self._is_reading or not self._channels)

    @property
    def failed_count(self) -> int:
        """Messages that were not sent because Redis was away."""
        return self._publisher.failed_count

    async def connect(self) -> None:
        """Connect and subscribe. Raises RedisUnavailable: the one time that failure is told."""
        await check_server(self._url)
        if self._channels:
            try:
                await self._subscribe()
            except (RedisError, OSError) as error:
                await close(self._reader)
                raise explain(error, self._url) from error
            self._watching = asyncio.create_task(self._watch(), name="pubsub-watch")
        self._publisher.start()

    async def disconnect(self) -> None:
        """Send what waits and disconnect."""
        if self._watching is not None:
            self._watching.cancel()
        await self._publisher.close()
        await close(self._reader)
        self._is_reading = False

    async def subscribe(self, group: str) -> None:
        """Nothing to do: the Redis channels are fixed and everything arrives on INBOX."""

    async def unsubscribe(self, group: str) -> None:
        """Nothing to do."""

    async def publish(self, channel: str, message: Any) -> None:
        """Have an `Outgoing` message sent; returns at once."""
        if not isinstance(message, Outgoing):
            message = Outgoing(channel, channel, message)
        self._publisher.put(message)

    async def next_published(self) -> Event:
        """The next message or GAP; waits for ever while there is none."""
        while True:
            try:
                if not self._is_reading:
                    await self._subscribe()
                    return Event(INBOX, GAP)
                message = await self._read()
            except Exception as error:
                await self._lost(error)
            else:
                if message is not None:
                    return Event(INBOX, message)

    async def _subscribe(self) -> None:
        """Connect and subscribe; returns when the server has confirmed every channel."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S + ANSWER_TIMEOUT_S):
            await self._reader.send_command("SUBSCRIBE", *self._channels)
            confirmed = 0
            while confirmed < len(self._channels):
                answer = await self._reader.read_response()
                confirmed += answer[0] == b"subscribe"
        self._asked = False
        self._heard_at = asyncio.get_running_loop().time()
        self._is_reading = True
        self._back_off.reset()
        if self._was_connected:
            logger.info("the Redis subscription is back")
        self._was_connected = True

    async def _read(self) -> Any:
        """The bytes of a message; None for other answers. How long it takes is watched beside: a timer each is dear."""
        if not self._channels:
            await asyncio.Event().wait()
        answer = await self._reader.read_response(timeout=math.inf, disconnect_on_error=False)
        self._asked = False
        self._heard_at = asyncio.get_running_loop().time()
        if answer[0] == b"message":
            return answer[2]
        return None

    async def _watch(self) -> None:
        """Ask a connection that is silent whether it lives; cut one that does not answer, which ends its reading."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ANSWER_TIMEOUT_S)
            if not self._is_reading:
                continue
            if self._asked:
                logger.warning("the Redis subscription has not answered within %.0f s", ANSWER_TIMEOUT_S)
                await close(self._reader)
            elif loop.time() - self._heard_at >= SILENCE_S - ANSWER_TIMEOUT_S:
                self._asked = True
                with contextlib.suppress(Exception):  # the reading hears of it, too; the watch must go on
                    await self._reader.send_command("PING")

    async def _lost(self, error: Exception) -> None:
        if self._is_reading:
            logger.warning("the Redis subscription is lost (%s); live events pause until it is back", error)
        self._is_reading = False
        await close(self._reader)
        await asyncio.sleep(self._back_off.next_s())
