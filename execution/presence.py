"""Stops the work for a client that has gone: nobody will read the answer, and PostgreSQL need not finish it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive

# Most operations end earlier; for those, looking would cost a task each.
WATCH_AFTER_S = 0.05


class Presence:
    """Looks after the clients of an endpoint, by one timer: one for each request costs more than the rest of this."""

    def __init__(self) -> None:
        self._young: dict[WhilePresent, float] = {}  # nobody has looked for their clients yet; the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, receive: Receive) -> WhilePresent:
        """A block that ends when the client of a request does."""
        return WhilePresent(self, receive)

    def add(self, one: WhilePresent) -> None:
        """Begin to look, a little later."""
        loop = asyncio.get_running_loop()
        self._young[one] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(WATCH_AFTER_S, self._look, loop)

    def discard(self, one: WhilePresent) -> None:
        """Forget one that has ended."""
        self._young.pop(one, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        due = loop.time() - WATCH_AFTER_S
        for one, since in list(self._young.items()):
            if since > due:
                self._timer = loop.call_later(WATCH_AFTER_S, self._look, loop)
                return
            del self._young[one]
            one.look(loop)


class WhilePresent:
    """A block that is cancelled when the client of a request goes away; `gone` says that it was.

    The body must have been read: what the server receives after it is the end of the connection.
    """

    __slots__ = ("_presence", "_receive", "_watcher", "_worker", "gone")

    def __init__(self, presence: Presence, receive: Receive) -> None:
        self.gone = False
        self._presence = presence
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._worker = asyncio.current_task()
        self._presence.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Stop looking. A cancellation of ours ends here."""
        self._presence.discard(self)
        if self._watcher is not None:
            self._watcher.cancel()
        if self.gone and self._worker is not None and self._worker.uncancel() == 0:
            return isinstance(error, asyncio.CancelledError)
        return False

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the end of the connection beside the work."""
        self._watcher = loop.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._worker is not None and not self._worker.done():
            self.gone = True
            self._worker.cancel()
