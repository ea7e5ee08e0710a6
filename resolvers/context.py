"""What every resolver is given: who asks, the stores, the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.database import Database, ReadHandle
from pubsub.bus import Bus
from pubsub.hub import Hub

SCOPES = ("METRICS", "READ", "WRITE", "CONTROL", "INGEST", "ADMIN")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. `credential` names what they signed in with: `local`, or the id of an API key."""

    credential: str
    scopes: frozenset[str]
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """One operation's surroundings."""

    viewer: Viewer
    database: Database
    bus: Bus
    hub: Hub
    clock: Callable[[], datetime]
    version: str

    @property
    def reader(self) -> ReadHandle:
        """What batch functions read from."""
        return self.database.read
