"""Records with everything that a test does not care about filled in."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from db.database import Database
from db.handles import Event
from domain.records import (
    Applied,
    Batch,
    ConversationRecord,
    LogRecord,
    MessageRecord,
    Ref,
    TaskRecord,
    Tokens,
    ToolCallRecord,
    UsageEntry,
)
from domain.writer import apply

ORIGIN = "claude-code:laptop:/work"
START = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 9, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after the beginning."""
    return START + timedelta(seconds=seconds)


def ref(name: str) -> Ref:
    """A task or conversation by name."""
    return Ref(ORIGIN, name)


def task(name: str, *, seconds: float = 0, **values: Any) -> TaskRecord:
    """A task of the one origin, last heard of at `seconds`."""
    return TaskRecord(
        **{
            "origin": ORIGIN,
            "external_id": name,
            "source": "CLAUDE_CODE",
            "created_at": START,
            "updated_at": at(seconds),
            **values,
        }
    )


def conversation(name: str, *, seconds: float = 0, **values: Any) -> ConversationRecord:
    """A conversation of the one origin."""
    return ConversationRecord(origin=ORIGIN, external_id=name, created_at=START, updated_at=at(seconds), **values)


def message(conversation_name: str, name: str | None, text: str = "hello", **values: Any) -> MessageRecord:
    """A user's message."""
    return MessageRecord(
        **{
            "conversation": ref(conversation_name),
            "role": "USER",
            "at": START,
            "text": text,
            "external_id": name,
            **values,
        }
    )


def log(task_name: str, text: str | None, seconds: float = 0) -> LogRecord:
    """A line of a task's log."""
    return LogRecord(ref(task_name), at(seconds), "INFO", "STDOUT", text)


def tool_call(task_name: str, call: str, **values: Any) -> ToolCallRecord:
    """A tool call of a task."""
    return ToolCallRecord(ref(task_name), call, **values)


def usage(task_name: str, call: str, *, seconds: float = 0, **values: Any) -> UsageEntry:
    """A model call of a task, at a reported cost of one cent."""
    return UsageEntry(
        **{
            "at": at(seconds),
            "model": "claude-sonnet-4-5",
            "provider": "anthropic",
            "tokens": Tokens(input=10, output=5),
            "source": "CLAUDE_CODE",
            "message_id": call,
            "reported_cost_usd": Decimal("0.01"),
            "task": ref(task_name),
            **values,
        }
    )


async def write(database: Database, batch: Batch, *, strict: bool = False) -> tuple[Applied, list[Event]]:
    """Apply a batch in a transaction of its own; what it did and the events it emitted."""
    async with database.write() as transaction:
        applied = await apply(transaction, batch, now=NOW, strict=strict)
    return applied, transaction.emitted
