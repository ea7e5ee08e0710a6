"""Following how a run stands: the latest state, as often as a person can read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from operator import eq

from db.queries.runs import TOPIC
from domain.errors import NotFound
from resolvers.context import Context
from resolvers.live import latest
from resolvers.runs import ExecutionStatus, get_execution_status, get_run


async def watch_execution_status(context: Context, run_id: str | None) -> AsyncIterator[ExecutionStatus]:
    """How a run stands now, and again when it has changed; without an id the newest of the moment. Raises NotFound."""
    if run_id is not None and await get_run(context, run_id) is None:
        raise NotFound(f"There is no run {run_id}.", ("runId",))
    async for status in latest(context, TOPIC, lambda: get_execution_status(context, run_id), eq):
        if status is not None:  # None: there is no run yet
            yield status
