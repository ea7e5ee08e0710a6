"""Retention: events are kept for a week, for clients that were away; the data that they tell of stay.

One process of many removes, by a lease in the database; two at once would do no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from uuid import uuid4

from db.database import Database
from db.outage import is_outage
from db.queries import leases, retention

logger = logging.getLogger(__name__)

LEASE = "retention"
KEPT_FOR = timedelta(days=7)
INTERVAL_S = 600.0
LEASE_FOR = timedelta(seconds=2 * INTERVAL_S)
BATCH = 5_000  # events of one transaction, some 20 ms: so long may a writer of the topic have to wait


class Retention:
    """One process's part in removing."""

    def __init__(self, database: Database, clock: Callable[[], datetime], kept_for: timedelta = KEPT_FOR) -> None:
        self._database = database
        self._clock = clock
        self._kept_for = kept_for
        self._holder = uuid4().hex

    async def prune(self, batch: int = BATCH) -> int:
        """Remove all that is too old. Returns how many events; 0 too when another process holds the lease."""
        now = self._clock()
        async with self._database.write() as transaction:
            if not await leases.hold(transaction, LEASE, self._holder, now + LEASE_FOR, now):
                return 0
        removed = 0
        for topic in await retention.topics(self._database.read):
            found = batch
            while found == batch:
                async with self._database.write() as transaction:
                    found = await retention.remove(transaction, topic, now - self._kept_for, batch)
                removed += found
        return removed

    async def run(self, interval_s: float) -> None:
        """Remove for ever; a failure is told in the log, and the next time it is tried again."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                removed = await self.prune()
            except Exception as error:
                if not is_outage(error):
                    logger.exception("old events could not be removed")
            else:
                if removed:
                    logger.info("removed %d events older than %d days", removed, self._kept_for.days)


@asynccontextmanager
async def pruning(
    database: Database, clock: Callable[[], datetime], interval_s: float = INTERVAL_S
) -> AsyncIterator[None]:
    """Remove old events in the background while the block runs."""
    task = asyncio.create_task(Retention(database, clock).run(interval_s), name="retention")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
