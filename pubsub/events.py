"""What travels: events, lines and ends of logs, and their form on the wire (JSON).

An event is ``{epoch, topic, seq, kind, facts, at}``; one on `logs`, of appended lines, has them too where they are few,
and is all that tells of them. ``{epoch, topic: "log:…", last}`` says how far a log goes where no lines were appended.
All are hints: PostgreSQL has the truth, and a message that is lost is read there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import orjson

from pubsub.topics import LOGS, is_log, log_topic

INLINE_LINES = 50  # of one batch
INLINE_CHARACTERS = 4_000  # a message of Redis is small; what is larger is read once by each process
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # from where rows count instants (db.instants, which is not to be had here)
MICROSECOND = timedelta(microseconds=1)


class CommittedEvent(Protocol):
    """An event as db gives it, from a transaction or from the log."""

    @property
    def topic(self) -> str:
        """Whose event it is."""
        ...

    @property
    def seq(self) -> int:
        """Its number in the topic: 1, 2, 3 … without holes."""
        ...

    @property
    def kind(self) -> str:
        """What happened, in the past tense."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """Ids, revision and filterable values."""
        ...

    @property
    def at(self) -> datetime:
        """When, in UTC."""
        ...


class Event(NamedTuple):
    """An event as subscribers get it."""

    topic: str
    seq: int
    kind: str
    facts: dict[str, Any]
    at: datetime


class AppendedLine(Protocol):
    """A log line as db appended it."""

    @property
    def at(self) -> datetime:
        """When it was written."""
        ...

    @property
    def level(self) -> str:
        """How grave it is."""
        ...

    @property
    def stream(self) -> str:
        """Where it comes from."""
        ...

    @property
    def text(self) -> str | None:
        """The line, if it is shown."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether it was cut."""
        ...


class LogLine(NamedTuple):
    """A log line that came with its event: as a row of the log has it (db.models.tasks.LogLineRow)."""

    task_id: UUID
    seq: int
    at: int  # microseconds since 2000, as in a row
    level: str
    stream: str
    text: str | None
    truncated: bool


class Appended(NamedTuple):
    """Lines `first` to `last` of a task's log are committed; `lines` has all of them or none."""

    task: str
    first: int
    last: int
    lines: Sequence[LogLine]


class Message(NamedTuple):
    """A message of our channels, of which only what tells whom it is for has been looked at."""

    epoch: str
    topic: str
    fields: dict[str, Any]


class MalformedMessage(ValueError):
    """What arrived is none of our messages."""


def to_event(event: CommittedEvent) -> Event:
    """The same event, of this package's class."""
    return Event(event.topic, event.seq, event.kind, event.facts, event.at)


def encode_all(epoch: str, events: Iterable[CommittedEvent], log_heads: Mapping[UUID, int]) -> list[tuple[str, bytes]]:
    """What to publish for a committed transaction, in order: messages, each with the topic that it carries on.

    A batch of log lines is told by its event on `logs`, and carries on that task's log too; `log_heads` is the fallback
    for a log without one. An event on a log's own topic, its end mark, is told as how far the log goes.
    """
    told: list[tuple[str, bytes]] = []
    lasts = {log_topic(task_id): last for task_id, last in log_heads.items()}
    for event in events:
        if is_log(event.topic):
            lasts[event.topic] = max(event.seq, lasts.get(event.topic, 0))
        elif event.topic == LOGS:
            topic = log_topic(event.facts["task"])
            if lasts.get(topic, 0) <= event.facts["last"]:
                lasts.pop(topic, None)
            told.append((topic, encode(epoch, event, _inline(getattr(event, "lines", ())))))
        else:
            told.append((event.topic, encode(epoch, event)))
    return told + [
        (topic, orjson.dumps({"epoch": epoch, "topic": topic, "last": last})) for topic, last in lasts.items()
    ]


def _inline(lines: Sequence[AppendedLine]) -> list[tuple[Any, ...]]:
    """Lines as they travel, if they are few."""
    if len(lines) > INLINE_LINES or sum(len(line.text or "") for line in lines) > INLINE_CHARACTERS:
        return []
    return [((line.at - EPOCH) // MICROSECOND, line.level, line.stream, line.text, line.truncated) for line in lines]


def encode(epoch: str, event: CommittedEvent, lines: Sequence[Any] = ()) -> bytes:
    """An event on the wire."""
    fields: dict[str, Any] = {
        "epoch": epoch,
        "topic": event.topic,
        "seq": event.seq,
        "kind": event.kind,
        "facts": event.facts,
        "at": event.at,
    }
    if lines:
        fields["lines"] = lines
    return orjson.dumps(fields)


def decode(text: str | bytes) -> Message:
    """A message. Raises MalformedMessage."""
    try:
        fields = orjson.loads(text)
        return Message(_string(fields["epoch"]), _string(fields["topic"]), fields)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMessage(str(error)) from error


def event_of(message: Message) -> Event:
    """The event that a message tells. Raises MalformedMessage."""
    fields = message.fields
    try:
        at = datetime.fromisoformat(fields["at"])
        if at.tzinfo is None:
            raise MalformedMessage("at has no time zone")
        return Event(message.topic, _seq(fields["seq"]), _string(fields["kind"]), facts_of(message), at)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMessage(str(error)) from error


def facts_of(message: Message) -> dict[str, Any]:
    """What an event's message says. Raises MalformedMessage."""
    facts = message.fields.get("facts")
    if not isinstance(facts, dict):
        raise MalformedMessage("facts are no object")
    return facts


def last_of(message: Message) -> int:
    """How far a log goes, by a message on its topic. Raises MalformedMessage."""
    return _seq(message.fields.get("last"))


def appended_of(message: Message) -> Appended:
    """The lines that a message on `logs` tells of. Raises MalformedMessage."""
    facts = facts_of(message)
    try:
        task, first, last = _string(facts["task"]), _seq(facts["first"]), _seq(facts["last"])
        task_id = _uuid(task)
        lines = [LogLine(task_id, seq, *line) for seq, line in enumerate(message.fields.get("lines", ()), first)]
        if any(type(line.at) is not int for line in lines):
            raise MalformedMessage("the instant of a line is a whole number")
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMessage(str(error)) from error
    if lines and len(lines) != last - first + 1:
        raise MalformedMessage("not as many lines as were told")
    return Appended(task, first, last, lines)


_uuid = lru_cache(maxsize=4_096)(UUID)  # a log that is written to is told of again


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedMessage(f"{type(value).__name__} instead of a string")
    return value


def _seq(value: object) -> int:
    if type(value) is not int or value < 1:
        raise MalformedMessage("a seq is a whole number from 1")
    return value
