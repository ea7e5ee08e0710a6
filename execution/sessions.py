"""Open sockets and streams with their credentials: all are checked together, by one call of what app gives.

Generic: it knows neither keys nor transports. Whoever opened a session is told by a callback when it must end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from execution.http import Viewer

logger = logging.getLogger(__name__)

INTERVAL_S = 30.0  # how long a revoked credential may go on: security.md allows 60 s

# For each token who it stands for now, None for nobody.
Check = Callable[[Sequence[str]], Awaitable[Sequence[Viewer | None]]]


@dataclass(eq=False, slots=True)
class Session:
    """One that is open."""

    token: str
    scopes: frozenset[str]
    end: Callable[[], Any]


class Sessions:
    """All that are open in this process. The check runs only while there are any."""

    def __init__(self, check: Check, interval_s: float = INTERVAL_S) -> None:
        self._check = check
        self._interval_s = interval_s
        self._open: set[Session] = set()
        self._checking: asyncio.Task[None] | None = None

    def open(self, token: str | None, viewer: Viewer, end: Callable[[], Any]) -> Session:
        """Open a session; `end` is called once when its token is worth nothing, or something else."""
        session = Session(token or "", viewer.scopes, end)
        self._open.add(session)
        if self._checking is None:
            self._checking = asyncio.create_task(self._run(), name="session-check")
        return session

    def close(self, session: Session) -> None:
        """It is over; once more does no harm."""
        self._open.discard(session)
        if not self._open and self._checking is not None:
            self._checking.cancel()
            self._checking = None

    @contextmanager
    def session(self, token: str | None, viewer: Viewer, end: Callable[[], Any]) -> Iterator[None]:
        """A session while the block runs."""
        session = self.open(token, viewer, end)
        try:
            yield
        finally:
            self.close(session)

    def __len__(self) -> int:
        return len(self._open)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.check()
            except Exception:
                logger.exception("open sessions could not be checked; they go on until the next check")

    async def check(self) -> None:
        """Check all tokens in one call, and end the sessions whose token has lost or changed its rights."""
        sessions = list(self._open)
        tokens = list(dict.fromkeys(session.token for session in sessions))
        viewers = dict(zip(tokens, await self._check(tokens), strict=True))
        for session in sessions:
            viewer = viewers[session.token]
            if session in self._open and (viewer is None or viewer.scopes != session.scopes):
                self._open.discard(session)
                session.end()
