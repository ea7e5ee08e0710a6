"""Stops the work for a client that has gone: nobody will read the answer, and PostgreSQL need not finish it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive

# Most operations end earlier; for those, looking would cost a task each.
WATCH_AFTER_S = 0.05


class WhilePresent:
    """A block that is cancelled when the client of a request goes away; `gone` says that it was.

    The body must have been read: what the server receives after it is the end of the connection.
    """

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to look, a little later."""
        loop = asyncio.get_running_loop()
        self._worker = asyncio.current_task()
        self._begin = loop.call_later(WATCH_AFTER_S, self._look, loop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Stop looking. A cancellation of ours ends here."""
        self._begin.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self.gone and self._worker is not None and self._worker.uncancel() == 0:
            return isinstance(error, asyncio.CancelledError)
        return False

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watcher = loop.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._worker is not None and not self._worker.done():
            self.gone = True
            self._worker.cancel()
