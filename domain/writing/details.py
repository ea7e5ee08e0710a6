"""What hangs on tasks and is no state of theirs: log lines and tool calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.handles import NewLogLine
from db.models.tasks import LOG_LEVELS, LOG_STREAMS
from db.queries.writes import tasks
from domain.errors import InvalidInput
from domain.ids import new_id
from domain.records import Applied, Batch, ToolCallRecord
from domain.text import clean_or_none, log_text, name_or_none
from domain.text import name as fit_name
from domain.writing.references import References
from domain.writing.values import instant, merge

TOLD = ("name", "started_at", "ended_at", "succeeded", "input", "output")


def append_logs(transaction: WriteTransaction, batch: Batch, references: References, applied: Applied) -> None:
    """Hand the lines to the transaction, which numbers and writes them with its events."""
    lines = list(_lines(batch, references))
    if lines:
        transaction.append_log(lines)
    applied.new_log_lines += len(lines)


def _lines(batch: Batch, references: References) -> Iterator[NewLogLine]:
    for record in batch.logs:
        if record.level not in LOG_LEVELS:
            raise InvalidInput(f"{record.level!r} is no level; levels are {', '.join(LOG_LEVELS)}", ("level",))
        if record.stream not in LOG_STREAMS:
            raise InvalidInput(f"{record.stream!r} is no stream; streams are {', '.join(LOG_STREAMS)}", ("stream",))
        text, truncated = log_text(record.text)
        task_id, at = references.require(record.task), instant(record.at)
        yield NewLogLine(task_id, at, record.level, record.stream, text, truncated)


async def write_tool_calls(
    transaction: WriteTransaction, batch: Batch, references: References, applied: Applied, now: datetime
) -> None:
    """Write new tool calls, and what is now known of others. Their tasks are locked and keep their revision."""
    calls: dict[tuple[UUID, str], dict[str, Any]] = {}
    for record in batch.tool_calls:
        key = (references.require(record.task), fit_name(record.external_id))
        merge(calls.setdefault(key, dict.fromkeys(TOLD)), _told(record), TOLD)
    if not calls:
        return
    rows = [
        (new_id(call["started_at"] or call["ended_at"] or now), *key, *(call[name] for name in TOLD))
        for key, call in calls.items()
    ]
    written = await tasks.write_tool_calls(transaction, rows, now)
    applied.new_tool_calls += written.inserted


def _told(record: ToolCallRecord) -> dict[str, Any]:
    return {
        "name": name_or_none(record.name),
        "started_at": instant(record.started_at),
        "ended_at": instant(record.ended_at),
        "succeeded": record.succeeded,
        "input": clean_or_none(record.input),
        "output": clean_or_none(record.output),
    }
