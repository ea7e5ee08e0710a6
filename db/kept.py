"""Connections for statements that stand alone, kept from one to the next: asyncpg's pool costs as much as a statement.

The pool makes, replaces and closes connections. Here they wait between statements, the last used on top of a stack;
what lies below unused goes back to the pool, which closes it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from db.instants import to_stored
from db.outage import is_outage
from db.pooler import read_transaction

LOOK_S = 60.0  # connections that nobody needed for so long go back to the pool; it closes them some minutes later


class KeptConnections:
    """All connections of a pool that nobody else takes from.

    `settled`, not empty behind a pooler, is what gives our settings to a transaction.
    """

    def __init__(self, pool: asyncpg.Pool[Any], settled: str = "") -> None:
        self._pool = pool
        self._settled = settled
        self._size = pool.get_max_size()
        self._count = 0  # taken from the pool
        self._free: list[Any] = []
        self._unneeded = 0  # of the free ones: how many at the bottom have not been used since the last look
        self._waiting: deque[asyncio.Future[Any]] = deque()  # for a connection, or None: for leave to take one
        self._timer: asyncio.TimerHandle | None = None
        self._returning: set[asyncio.Task[None]] = set()
        self._is_closing = False

    async def fetch(self, sql: str, arguments: Sequence[Any], row: type[asyncpg.Record]) -> list[Any]:
        """The rows of one statement. Raises what asyncpg raises; a cancelled statement is stopped in PostgreSQL."""
        if datetime in map(type, arguments):
            arguments = [to_stored(value) for value in arguments]
        connection = await self._take()
        is_sound = False
        try:
            rows: list[Any]
            if self._settled:
                async with read_transaction(connection, self._settled):
                    rows = await connection.fetch(sql, *arguments, record_class=row)
            else:
                rows = await connection.fetch(sql, *arguments, record_class=row)
            is_sound = True
        except asyncpg.PostgresError as error:
            is_sound = not is_outage(error)  # PostgreSQL has answered, and goes on to
            raise
        finally:
            if is_sound and not self._is_closing:
                if not self._hand_on(connection):
                    self._free.append(connection)
            else:
                await self._return(connection)
        return rows

    async def _take(self) -> Any:
        while self._free:
            connection = self._free.pop()
            self._unneeded = min(self._unneeded, len(self._free))
            if not _is_cut(connection):
                return connection
            await self._return(connection)
        if self._count >= self._size:
            connection = await self._wait()
            if connection is not None:
                return connection
        self._count += 1
        try:
            connection = await self._pool.acquire()
        except BaseException:
            self._count -= 1
            self._hand_on(None)
            raise
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        return connection

    async def _wait(self) -> Any:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                connection = waiter.result()
                if not self._hand_on(connection) and connection is not None:
                    self._free.append(connection)
            raise

    def _hand_on(self, connection: Any) -> bool:
        """Give a connection, or leave to take one, to the one that waits longest; False when nobody does."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    async def _return(self, connection: Any) -> None:
        """Give a connection back to the pool, which waits for the end of a cancelled statement."""
        self._count -= 1
        self._hand_on(None)
        await self._pool.release(connection)

    def _look(self) -> None:
        """Give back what nobody needed since the last look."""
        loop = asyncio.get_running_loop()
        for connection in self._free[: self._unneeded]:
            task = loop.create_task(self._return(connection))
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)
        del self._free[: self._unneeded]
        self._unneeded = len(self._free)
        self._timer = loop.call_later(LOOK_S, self._look)

    async def close(self) -> None:
        """Give all back; those in use follow when their statements end."""
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        while self._free:
            await self._return(self._free.pop())


def _is_cut(connection: Any) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool has seen it, and taken it back already
        return True
