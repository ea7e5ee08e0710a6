"""The sweeper: what changes by the clock alone is written with its event. Tasks get stuck, commands time out.

One process of many sweeps, by a lease in the database. Two that did at once would do no harm: each change is judged
again under the lock of its row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from db.database import Database
from db.outage import is_outage
from db.queries import leases
from domain import stuck
from domain.writing import commands
from pubsub.bus import Bus

logger = logging.getLogger(__name__)

LEASE = "sweeper"
INTERVAL_S = 15.0  # how late a mark may come; what it tells of took minutes
LEASE_FOR = timedelta(seconds=3 * INTERVAL_S)  # a holder that died is replaced after this
RELEASE_S = 2.0  # a service that stops waits no longer for its database


class Sweeper:
    """One process's part in sweeping."""

    def __init__(self, database: Database, bus: Bus, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._holder = uuid4().hex

    async def sweep(self) -> bool:
        """Look at everything once. False when another process holds the lease, or has taken it over meanwhile."""
        now = self._clock()
        if not await self._hold():
            return False
        async with self._database.write() as transaction:
            await commands.time_out(transaction, now)
        await self._bus.publish(transaction.emitted, transaction.log_heads)
        after: UUID | None = stuck.FIRST
        while after is not None:
            async with self._database.write() as transaction:
                after = await stuck.sweep_page(transaction, after, now)
            await self._bus.publish(transaction.emitted, transaction.log_heads)
            if after is not None and not await self._hold():
                return False
        return True

    async def _hold(self) -> bool:
        """Take the lease, or keep it for longer."""
        now = self._clock()
        async with self._database.write() as transaction:
            return await leases.hold(transaction, LEASE, self._holder, now + LEASE_FOR, now)

    async def run(self, interval_s: float) -> None:
        """Sweep for ever; a sweep that fails is told in the log, and the next one is tried."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self.sweep()
            except Exception as error:
                if not is_outage(error):
                    logger.exception("a sweep failed")
                else:
                    logger.warning("a sweep failed, the next is in %.0f s: %s", interval_s, error)

    async def release(self) -> None:
        """Give the lease back, so that another process need not wait for it."""
        async with self._database.write() as transaction:
            await leases.release(transaction, LEASE, self._holder)


@asynccontextmanager
async def sweeping(
    database: Database, bus: Bus, clock: Callable[[], datetime], interval_s: float = INTERVAL_S
) -> AsyncIterator[None]:
    """Sweep in the background while the block runs."""
    sweeper = Sweeper(database, bus, clock)
    task = asyncio.create_task(sweeper.run(interval_s), name="sweeper")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        try:
            async with asyncio.timeout(RELEASE_S):
                await sweeper.release()
        except Exception as error:
            if not is_outage(error):
                raise
            logger.info("the sweeper's lease stays until it expires: %s", error)
