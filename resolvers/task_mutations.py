"""What programs tell of tasks that exist: status, result and error, and lines of the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.handles import Handle
from db.models.tasks import TaskRow
from db.queries import tasks as queries
from domain.errors import InvalidInput
from domain.ids import show_id
from domain.records import Batch, LogRecord, Ref, TaskRecord
from domain.transitions import FINAL
from domain.writer import apply
from resolvers.context import Context
from resolvers.idempotency import once
from resolvers.inputs import batch_size, instant, known_id, not_found, optional_content, optional_word

TASK_ID = ("taskId",)


@dataclass(frozen=True, slots=True)
class ReportTask:
    """What is new of a task; None says nothing."""

    task_id: str
    status: str | None = None
    result: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    at: datetime | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class ReportTaskSuccess:
    """The task as it is now."""

    task: TaskRow


@dataclass(frozen=True, slots=True)
class AppendedLine:
    """A line to append; without a time it is of now."""

    text: str
    level: str = "INFO"
    stream: str = "STDOUT"
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AppendTaskLog:
    """Lines for the end of a task's log, in order."""

    task_id: str
    lines: tuple[AppendedLine, ...]
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class AppendTaskLogSuccess:
    """The task, and the seq of the last line that was appended."""

    task: TaskRow
    last_seq: int


async def find_task(handle: Handle, key: UUID, path: tuple[str, ...] = TASK_ID) -> TaskRow:
    """A task that must be there. Raises NotFound."""
    rows = await queries.by_id(handle, [key])
    if not rows:
        raise not_found("task", show_id("task", key), path)
    return rows[0]


async def report_task(context: Context, wanted: ReportTask) -> ReportTaskSuccess:
    """Change status, result or error of a task. Raises NotFound, InvalidInput, InvalidTransition."""
    key = known_id("task", wanted.task_id, TASK_ID)
    now = context.clock()
    at = now if wanted.at is None else instant(wanted.at, now, ("at",))
    told: dict[str, Any] = {
        "status": wanted.status,
        "result": optional_content(wanted.result, ("result",)),
        "error_type": optional_word(wanted.error_type, ("errorType",)),
        "error_message": optional_content(wanted.error_message, ("errorMessage",)),
    }
    if all(value is None for value in told.values()):
        raise InvalidInput("Say what is new: status, result, errorType or errorMessage.")

    async def work(transaction: WriteTransaction) -> dict[str, Any]:
        task = await find_task(transaction, key)
        begins = wanted.status == "RUNNING" and task.started_at is None
        ends = wanted.status in FINAL and task.ended_at is None
        record = TaskRecord(
            task.origin,
            task.external_id,
            task.source,
            task.created_at,
            now,
            source_status=wanted.status,
            started_at=at if begins else None,
            ended_at=at if ends else None,
            **told,
        )
        await apply(transaction, Batch(tasks=[record]), now=now, strict=True)
        return {"task": key.hex}

    written = await once(context, "reportTask", wanted, work)
    return ReportTaskSuccess(await find_task(context.reader, UUID(written["task"])))


async def append_task_log(context: Context, wanted: AppendTaskLog) -> AppendTaskLogSuccess:
    """Append lines to a task's log; a line over 64 KiB is cut and marked. Raises NotFound, InvalidInput."""
    key = known_id("task", wanted.task_id, TASK_ID)
    batch_size(len(wanted.lines), ("lines",))
    now = context.clock()
    ref = Ref(id=key)
    records = [
        LogRecord(
            ref,
            now if line.at is None else instant(line.at, now, ("lines", str(n), "at")),
            line.level,
            line.stream,
            line.text,
        )
        for n, line in enumerate(wanted.lines)
    ]

    async def work(transaction: WriteTransaction) -> dict[str, Any]:
        await find_task(transaction, key)
        await apply(transaction, Batch(logs=records), now=now, strict=True)
        await transaction.finish()  # numbers the lines
        return {"task": key.hex, "lastSeq": transaction.log_heads[key]}

    written = await once(context, "appendTaskLog", wanted, work)
    task = await find_task(context.reader, UUID(written["task"]))
    return AppendTaskLogSuccess(task, written["lastSeq"])
