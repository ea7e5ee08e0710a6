"""`reportTask` and `appendTaskLog`: inputs, results, declarations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import strawberry

from domain import errors
from execution.fields import column, mutation, nested, object_type, operation_type
from resolvers import task_mutations as resolvers
from schema.enums import LogLevel, LogStream, TaskStatus
from schema.errors import IdempotencyConflict, InvalidInput, InvalidTransition, NotFound
from schema.scalars import SafeInt
from schema.task_inputs import given, nothing, some
from schema.tasks import Task

IDEMPOTENCY_KEY = (
    "A word of your own, 1 to 200 characters, that makes it safe to send the request again: the same key with the same"
    " input is answered again and not done twice; with another input it is an IdempotencyConflict."
)
AT = "The year 2000 at the earliest, a day ahead of the server's clock at the latest."


def word_of(member: Any) -> str:
    """A member of an enum as the resolvers know it."""
    return str(member.value)


@strawberry.input(description="What is new of a task. What is absent or null stays as it is; say one thing at least.")
class ReportTaskInput:
    """Becomes resolvers.task_mutations.ReportTask."""

    task_id: strawberry.ID = strawberry.field(description="The task.")
    status: TaskStatus | None = some(
        "Its new status. RUNNING sets startedAt, a final status sets endedAt, each the first time."
    )
    result: str | None = some("What came out of it, at most 256 KiB.")
    error_type: str | None = some("What kind of error ended it, at most 200 characters.")
    error_message: str | None = some("The error's own words, at most 256 KiB.")
    at: datetime | None = some(f"When it happened; now without it. {AT}")
    idempotency_key: str | None = some(IDEMPOTENCY_KEY)


@strawberry.input(description="One line to append to a log.")
class LogLineInput:
    """Becomes resolvers.task_mutations.AppendedLine."""

    at: datetime | None = some(f"When it was written; now without it. {AT}")
    level: LogLevel = strawberry.field(default=LogLevel.INFO, description="How grave it is.")
    stream: LogStream = strawberry.field(default=LogStream.STDOUT, description="Where it comes from.")
    text: str = strawberry.field(description="The line. What is over 64 KiB is cut off, and `truncated` says so.")


@strawberry.input(description="Lines for the end of a task's log.")
class AppendTaskLogInput:
    """Becomes resolvers.task_mutations.AppendTaskLog."""

    task_id: strawberry.ID = strawberry.field(description="The task.")
    lines: list[LogLineInput] = strawberry.field(description="1 to 1,000 lines; they keep this order.")
    idempotency_key: str | None = some(IDEMPOTENCY_KEY)


@object_type(of=resolvers.ReportTaskSuccess, scope="METRICS", description="It was written.")
class ReportTaskSuccess:
    """See resolvers.task_mutations."""

    task: Task = nested(lambda result: result.task, description="The task as it is now.")


@object_type(of=resolvers.AppendTaskLogSuccess, scope="METRICS", description="All lines were appended.")
class AppendTaskLogSuccess:
    """See resolvers.task_mutations."""

    task: Task = nested(lambda result: result.task, description="The task as it is now.")
    last_seq: SafeInt = column(description="The seq of the last of the lines; the others lie right before it.")


ReportTaskResult = Annotated[
    ReportTaskSuccess | NotFound | InvalidInput | InvalidTransition | IdempotencyConflict,
    strawberry.union("ReportTaskResult", description="What came of `reportTask`."),
]
AppendTaskLogResult = Annotated[
    AppendTaskLogSuccess | NotFound | InvalidInput | IdempotencyConflict,
    strawberry.union("AppendTaskLogResult", description="What came of `appendTaskLog`."),
]


def report_task_arguments(
    input: Annotated[ReportTaskInput, strawberry.argument(description="The task, and what is new of it.")],
) -> resolvers.ReportTask:
    """The argument of `reportTask`."""
    return resolvers.ReportTask(
        str(input.task_id),
        word_of(input.status) if given(input.status) else None,
        nothing(input.result),
        nothing(input.error_type),
        nothing(input.error_message),
        nothing(input.at),
        nothing(input.idempotency_key),
    )


def append_task_log_arguments(
    input: Annotated[AppendTaskLogInput, strawberry.argument(description="The task, and the lines.")],
) -> resolvers.AppendTaskLog:
    """The argument of `appendTaskLog`."""
    lines = tuple(
        resolvers.AppendedLine(line.text, word_of(line.level), word_of(line.stream), nothing(line.at))
        for line in input.lines
    )
    return resolvers.AppendTaskLog(str(input.task_id), lines, nothing(input.idempotency_key))


@operation_type(name="TaskMutations", description="Mutations of tasks.")
class TaskMutations:
    """Fields of Mutation."""

    report_task: ReportTaskResult = mutation(
        resolvers.report_task,
        scope="WRITE",
        arguments=report_task_arguments,
        expected=(errors.NotFound, errors.InvalidInput, errors.InvalidTransition, errors.IdempotencyConflict),
        description="Tell what is new of a task: its status, its result, its error. A status that may not follow the"
        " present one is an InvalidTransition, and nothing is changed.",
    )
    append_task_log: AppendTaskLogResult = mutation(
        resolvers.append_task_log,
        scope="WRITE",
        arguments=append_task_log_arguments,
        expected=(errors.NotFound, errors.InvalidInput, errors.IdempotencyConflict),
        description="Append lines to the end of a task's log: all of them, or none.",
    )
