"""Whether the database can serve: it answers, and its schema is the one that this release needs."""

from __future__ import annotations

import asyncio

from db import migrate
from db.database import Database
from db.errors import DatabaseUnavailable
from db.outage import is_outage
from db.queries import events

PATIENCE_S = 2.0  # whoever asks whether we are ready asks every few seconds


class Readiness:
    """Of one process. What is migrated stays so: that is asked until it is true."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_migrated = False

    async def look(self) -> dict[str, str]:
        """`database`: up or down; `migrations`: done, pending, or unknown while the database is down."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await events.heads(self._database.read, [])
                if not self._is_migrated:
                    self._is_migrated = not await migrate.pending(self._database.url)
        except (DatabaseUnavailable, TimeoutError):
            return {"database": "down", "migrations": "unknown"}
        except Exception as error:
            if not is_outage(error):
                raise
            return {"database": "down", "migrations": "unknown"}
        return {"database": "up", "migrations": "done" if self._is_migrated else "pending"}
