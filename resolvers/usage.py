"""Usage: the summary of a range."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from db.models.usage import UsageTotalsRow
from db.queries import usage as queries
from resolvers.context import Context
from resolvers.ranges import Range, Span, resolve_range
from resolvers.tasks import TaskFilter

RECORD_ORDER = queries.RECORD_AT


@dataclass(frozen=True, slots=True)
class GetSummary:
    """Which time, and of which tasks only."""

    range: Range
    filter: TaskFilter


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened in `span`."""

    span: Span
    as_of: datetime
    usage: UsageTotalsRow
    average_cost_usd: float | None
    task_count: int
    finished_task_count: int
    failed_task_count: int
    success_rate: float | None
    average_duration_ms: int | None


async def get_summary(context: Context, wanted: GetSummary) -> Summary:
    """Sums over a range: model calls by their own time, tasks by their creation. Raises InvalidInput."""
    now = context.clock()
    span = resolve_range(wanted.range, now)
    selection = wanted.filter.at(now, context.viewer)
    usage = await queries.summary_usage(context.reader, span.start, span.end, selection)
    tasks = await queries.summary_tasks(context.reader, span.start, span.end, selection)
    return Summary(
        span,
        now,
        usage,
        tasks.average_cost_usd,
        tasks.task_count,
        tasks.finished_task_count,
        tasks.failed_task_count,
        tasks.success_rate,
        None if tasks.average_duration_ms is None else round(tasks.average_duration_ms),
    )
