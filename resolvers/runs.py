"""Runs: one, pages, and how the newest stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from db.models.runs import RunRow
from db.pages import Page, PageRequest, cut
from db.queries import runs as queries
from db.queries import usage as usage_queries
from db.queries.runs import ALL_RUNS, CREATED_AT_DESC, RunSelection
from domain.ids import parse_id
from domain.progress import RUNNING_FOR, elapsed_ms, is_running, percent, remaining_ms, status_at
from loaders.runs import StoryCounts, story_counts
from resolvers.context import Context
from resolvers.ranges import Range, resolve_range

MAX_SAFE = 2**53


@dataclass(frozen=True, slots=True)
class RunFilter:
    """A selection whose range of starts may move with the clock, and whose statuses do."""

    selection: RunSelection = ALL_RUNS
    started_at: Range | None = None

    def at(self, now: datetime) -> RunSelection:
        """The selection as it is now. Raises InvalidInput (INVALID_RANGE)."""
        selection = self.selection
        if selection.status is not None:
            selection = replace(selection, heard_since=now - RUNNING_FOR)
        if self.started_at is None:
            return selection
        span = resolve_range(self.started_at, now, "filter")
        return replace(selection, started_from=span.start, started_to=span.end)


@dataclass(frozen=True, slots=True)
class ListRuns:
    """A page of runs."""

    filter: RunFilter
    page: PageRequest


@dataclass(frozen=True, slots=True)
class ExecutionStatus:
    """How a run stands at a moment."""

    counts: StoryCounts
    is_running: bool
    cost_usd: float


@dataclass(frozen=True, slots=True)
class RunCache:
    """What a run's source counted of its cache."""

    hits: int | None
    misses: int | None
    hit_rate: float | None
    saved_tokens: int | None


@dataclass(frozen=True, slots=True)
class RunParallel:
    """What a run's source counted of work side by side."""

    is_enabled: bool | None
    batch_count: int | None
    worker_count: int | None
    max_concurrent: int | None
    parallel_ms: int | None
    sequential_estimate_ms: int | None
    saved_ms: int | None
    speedup: float | None


async def get_run(context: Context, run_id: str) -> RunRow | None:
    """A run by its id; None when there is none."""
    key = parse_id("run", run_id)
    rows = [] if key is None else await queries.by_id(context.reader, [key])
    return rows[0] if rows else None


async def list_runs(context: Context, wanted: ListRuns) -> Page[RunRow]:
    """One page of the runs that the filter names, the newest first."""
    selection = wanted.filter.at(context.clock())
    rows = await queries.page(context.reader, selection, wanted.page)
    return cut(rows, wanted.page, CREATED_AT_DESC, context.reader.epoch, queries.TOPIC, selection)


async def latest_run(context: Context, project_id: str | None) -> RunRow | None:
    """The run that began last, else the newest plan; None when there is neither."""
    if project_id is None:
        return await queries.latest(context.reader, None)
    key = parse_id("project", project_id)
    return None if key is None else await queries.latest(context.reader, key)


async def get_execution_status(context: Context, run_id: str | None) -> ExecutionStatus | None:
    """How a run stands now, without an id the newest; None when there is none.

    Its cost is that of its model calls; of a run that tells none, what its source says.
    """
    run = await latest_run(context, None) if run_id is None else await get_run(context, run_id)
    if run is None:
        return None
    (counts,) = await story_counts(context.reader, [run], None)
    (totals,) = await usage_queries.totals_by(context.reader, "run_id", [run.id])
    cost = totals.cost_usd if totals.call_count or run.reported_cost_usd is None else run.reported_cost_usd
    return ExecutionStatus(counts, is_running(run.status, run.updated_at, context.clock()), cost)


def run_status(run: RunRow, context: Context) -> str:
    """A run's status now."""
    return status_at(run.status, run.updated_at, context.clock())


def run_elapsed_ms(run: RunRow) -> int:
    """How long a run has taken."""
    return elapsed_ms(run.elapsed_ms, run.started_at, run.ended_at or run.updated_at)


def progress_percent(counts: StoryCounts) -> float:
    """How much of a run's stories is completed."""
    return percent(counts.completed_story_count, counts.story_count)


def estimated_remaining_ms(counts: StoryCounts) -> int | None:
    """What is left of a run will take that long."""
    return remaining_ms(run_elapsed_ms(counts.run), counts.completed_story_count, counts.story_count)


def current_story_key(run: RunRow) -> tuple[UUID, str] | None:
    """Run and key of the story that a run is at; None between stories."""
    return None if run.current_story_key is None else (run.id, run.current_story_key)


def cache_of(run: RunRow) -> RunCache | None:
    """What a run's metrics say of its cache; None when they say nothing."""
    told = (run.metrics or {}).get("cache")
    if not isinstance(told, dict):
        return None
    return RunCache(
        _count(told.get("hits")),
        _count(told.get("misses")),
        _number(told.get("hit_rate")),
        _count(told.get("saved_tokens_estimate")),
    )


def parallel_of(run: RunRow) -> RunParallel | None:
    """What a run's metrics say of work side by side; None when they say nothing."""
    told = (run.metrics or {}).get("parallel")
    if not isinstance(told, dict):
        return None
    enabled = told.get("enabled")
    return RunParallel(
        is_enabled=enabled if isinstance(enabled, bool) else None,
        batch_count=_count(told.get("batches")),
        worker_count=_count(told.get("workers_used")),
        max_concurrent=_count(told.get("max_concurrent")),
        parallel_ms=_count(told.get("parallel_time_ms")),
        sequential_estimate_ms=_count(told.get("sequential_estimate_ms")),
        saved_ms=_count(told.get("time_saved_ms")),
        speedup=_number(told.get("speedup_factor")),
    )


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < MAX_SAFE else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
