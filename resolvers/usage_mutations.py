"""Reports of model calls: each record stands or falls alone, and each call is counted once over the whole store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.handles import Handle
from db.queries import tasks as task_queries
from domain.errors import DomainError, InvalidInput
from domain.ids import parse_id
from domain.records import Batch, Ref, Tokens, UsageEntry
from domain.writer import apply
from resolvers.context import Context
from resolvers.idempotency import once
from resolvers.inputs import batch_size, instant, not_found, word

SOURCE = "API"
# Ten times the largest context window. With it, sums over a million calls stay within 2^53-1.
MAX_CALL_TOKENS = 100_000_000
MAX_CALL_COST_USD = 10_000  # more than any single call can cost; sums of a task stay within NUMERIC(18,9)

COUNTS = (
    "inputTokens",
    "cacheReadTokens",
    "cacheWrite5mTokens",
    "cacheWrite1hTokens",
    "outputTokens",
    "reasoningTokens",
)


@dataclass(frozen=True, slots=True)
class ReportedCall:
    """One model call as the client tells it; `tokens` in the order of COUNTS."""

    dedup_key: str
    at: datetime
    model: str
    provider: str
    tokens: tuple[int, int, int, int, int, int]
    task_id: str | None = None
    reported_cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ReportUsage:
    """Model calls."""

    records: tuple[ReportedCall, ...]


@dataclass(frozen=True, slots=True)
class ReportUsageSuccess:
    """How many calls were new, how many were known, and which records were refused."""

    written_count: int
    duplicate_count: int
    rejected: tuple[InvalidInput, ...]


async def report_usage(context: Context, wanted: ReportUsage) -> ReportUsageSuccess:
    """Write the records that can be true. Raises InvalidInput only for the size of the batch."""
    batch_size(len(wanted.records), ("records",))
    now = context.clock()
    rejected: list[InvalidInput] = []

    async def work(transaction: WriteTransaction) -> dict[str, Any]:
        tasks = await _existing_tasks(transaction, wanted.records)
        entries: list[UsageEntry] = []
        for n, call in enumerate(wanted.records):
            try:
                entries.append(_entry(context, call, tasks, now, ("records", str(n))))
            except DomainError as failure:
                rejected.append(InvalidInput(failure.message, failure.path))
        if not entries:
            return {"new": 0, "known": 0}
        applied = await apply(transaction, Batch(usage=entries), now=now)
        return {"new": applied.new_calls, "known": applied.duplicate_calls}

    counts = await once(context, "reportUsage", wanted, work)
    return ReportUsageSuccess(counts["new"], counts["known"], tuple(rejected))


async def _existing_tasks(handle: Handle, calls: tuple[ReportedCall, ...]) -> set[UUID]:
    """Which of the tasks that are named exist."""
    named = {parse_id("task", call.task_id) for call in calls if call.task_id is not None}
    keys = [key for key in named if key is not None]
    return {task.id for task in await task_queries.by_id(handle, keys)} if keys else set()


def _entry(context: Context, call: ReportedCall, tasks: set[UUID], now: datetime, path: tuple[str, ...]) -> UsageEntry:
    """The record for the writer. Raises InvalidInput or NotFound with the path of the field at fault."""
    task = None
    if call.task_id is not None:
        key = parse_id("task", call.task_id)
        if key not in tasks:
            raise not_found("task", call.task_id, (*path, "taskId"))
        task = Ref(id=key)
    for name, count in zip(COUNTS, call.tokens, strict=True):
        if not 0 <= count <= MAX_CALL_TOKENS:
            raise InvalidInput(f"{name} is {count}; it must be from 0 to {MAX_CALL_TOKENS}.", (*path, name))
    # Two people may both count from 1; one person's key is the same through all their credentials.
    owner = context.viewer.user_id or "local"
    return UsageEntry(
        at=instant(call.at, now, (*path, "at")),
        model=word(call.model, (*path, "model")),
        provider=word(call.provider, (*path, "provider")),
        tokens=Tokens(*call.tokens),
        source=SOURCE,
        dedup_key=f"{owner}:{word(call.dedup_key, (*path, 'dedupKey'))}",
        reported_cost_usd=_cost(call.reported_cost_usd, (*path, "reportedCostUsd")),
        task=task,
        owner_id=context.viewer.user_id,
        location="reportUsage",
    )


def _cost(amount: float | None, path: tuple[str, ...]) -> Decimal | None:
    if amount is None:
        return None
    if not 0 <= amount <= MAX_CALL_COST_USD:
        raise InvalidInput(f"reportedCostUsd is {amount}; it must be from 0 to {MAX_CALL_COST_USD}.", path)
    return Decimal(str(amount)).quantize(Decimal("1e-9"))
