"""Following runs: their changes, and how one stands, as often as a person can read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from operator import eq
from uuid import UUID

from db.pages import EventPosition
from db.queries.runs import TOPIC
from domain.errors import NotFound
from domain.ids import parse_id
from pubsub.events import Event
from pubsub.interests import Interest
from resolvers.context import Context
from resolvers.live import Shown, Told, follow, latest, position_of
from resolvers.runs import ExecutionStatus, get_execution_status, get_run


@dataclass(frozen=True, slots=True)
class RunChange(Shown):
    """A run, or one of its stories, is new or has changed."""

    position: EventPosition
    at: datetime
    run_id: UUID


@dataclass(frozen=True, slots=True)
class RunLeave(Shown):
    """A run was deleted."""

    position: EventPosition
    at: datetime
    run_id: UUID


@dataclass(frozen=True, slots=True)
class WatchRuns:
    """Which run; None is all runs."""

    run_id: str | None = None
    after: EventPosition | None = None


def watch_runs(context: Context, watched: WatchRuns) -> AsyncIterator[Told[RunChange | RunLeave]]:
    """Changes of runs, each once and in order; of one that is yet to come, too."""
    wanted = None if watched.run_id is None else str(parse_id("run", watched.run_id))

    def show(event: Event) -> RunChange | RunLeave | None:
        if wanted not in (None, event.facts["id"]):
            return None
        told = RunLeave if event.kind == "RunDeleted" else RunChange
        return told(position_of(context, event), event.at, UUID(event.facts["id"]))

    interest = None if wanted is None else Interest("id", frozenset((wanted,)))
    return follow(context, TOPIC, watched.after, show, interest)


async def watch_execution_status(context: Context, run_id: str | None) -> AsyncIterator[ExecutionStatus]:
    """How a run stands now, and again when it has changed; without an id the newest of the moment. Raises NotFound."""
    if run_id is not None and await get_run(context, run_id) is None:
        raise NotFound(f"There is no run {run_id}.", ("runId",))
    async for status in latest(context, TOPIC, lambda: get_execution_status(context, run_id), eq):
        if status is not None:  # None: there is no run yet
            yield status
