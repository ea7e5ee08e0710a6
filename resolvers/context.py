"""What every resolver is given: who asks, the stores, the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.database import Database
from db.handles import Handle, Narrowed
from db.models.base import Row
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
    rows: Mapping[type[Row], type[Row]] | None = None

    @property
    def reader(self) -> Handle:
        """What batch functions read from."""
        return self.database.read if self.rows is None else Narrowed(self.database.read, self.rows)

    def narrowed(self, rows: Mapping[type[Row], type[Row]]) -> Context:
        """The same, where the classes that `rows` has are read as narrow ones."""
        return Context(self.viewer, self.database, self.bus, self.hub, self.clock, self.version, rows)
