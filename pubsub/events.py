"""What travels: events and log notices, and their form on the wire (JSON).

An event is ``{epoch, topic, seq, kind, facts, at}``; a log notice ``{epoch, topic: "log:…", first, last, lines}`` says
which lines of a log were committed, and has them where they are few. Both are hints: PostgreSQL has the truth, and a
message that is lost is read there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import orjson

from pubsub.topics import LOG_PREFIX, LOGS, is_log, log_topic

INLINE_LINES = 50  # of one batch
INLINE_CHARACTERS = 4_000  # a message of Redis is small; what is larger is read once by each process


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


@dataclass(frozen=True, slots=True)
class Event:
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
    """A log line that came with its notice: as a row of the log has it (db.models.tasks.LogLineRow)."""

    task_id: UUID
    seq: int
    at: datetime
    level: str
    stream: str
    text: str | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class LogNotice:
    """Lines `first` to `last` of the log `topic` are committed; `lines` has all of them or none, as they travel."""

    topic: str
    first: int
    last: int
    lines: Sequence[Any] = ()


class MalformedMessage(ValueError):
    """What arrived is none of our messages."""


def to_event(event: CommittedEvent) -> Event:
    """The same event, of this package's class."""
    return Event(event.topic, event.seq, event.kind, event.facts, event.at)


def messages_of(events: Iterable[CommittedEvent], log_heads: Mapping[UUID, int]) -> list[Event | LogNotice]:
    """What to publish for a committed transaction.

    A batch of log lines is told by its event on `logs`, which gives its first and last line; `log_heads` is the
    fallback for a log without one. An event on a log's own topic (its end mark) is a notice of one line.
    """
    told: list[Event | LogNotice] = []
    notices: dict[str, LogNotice] = {}

    def lines(topic: str, first: int, last: int, appended: Sequence[AppendedLine] = ()) -> None:
        known = notices.get(topic)
        if known is None:
            notices[topic] = LogNotice(topic, first, last, _inline(appended))
        else:
            notices[topic] = LogNotice(
                topic,
                min(first, known.first),
                max(last, known.last),
                known.lines if known.first <= first and last <= known.last else (),
            )

    for event in events:
        if is_log(event.topic):
            lines(event.topic, event.seq, event.seq)
            continue
        told.append(to_event(event))
        if event.topic == LOGS:
            facts = event.facts
            lines(log_topic(facts["task"]), facts["first"], facts["last"], getattr(event, "lines", ()))
    for task_id, last in log_heads.items():
        lines(log_topic(task_id), last, last)
    return [*notices.values(), *told]  # who follows all logs finds the lines there


def _inline(lines: Sequence[AppendedLine]) -> list[tuple[Any, ...]]:
    """Lines as they travel, if they are few."""
    if len(lines) > INLINE_LINES or sum(len(line.text or "") for line in lines) > INLINE_CHARACTERS:
        return []
    return [(line.at, line.level, line.stream, line.text, line.truncated) for line in lines]


def lines_of(notice: LogNotice) -> list[LogLine]:
    """The lines that came with a notice. Raises MalformedMessage."""
    if not notice.lines:
        return []
    try:
        task_id = UUID(notice.topic.removeprefix(LOG_PREFIX))
        found = [
            LogLine(task_id, seq, datetime.fromisoformat(at).astimezone(UTC), level, stream, text, truncated)
            for seq, (at, level, stream, text, truncated) in enumerate(notice.lines, notice.first)
        ]
    except (TypeError, ValueError) as error:
        raise MalformedMessage(str(error)) from error
    if len(found) != notice.last - notice.first + 1:
        raise MalformedMessage("not as many lines as were told")
    return found


def encode(epoch: str, message: Event | LogNotice) -> bytes:
    """The message on the wire."""
    if isinstance(message, LogNotice):
        told = {"epoch": epoch, "topic": message.topic, "first": message.first, "last": message.last}
        return orjson.dumps({**told, "lines": message.lines} if message.lines else told)
    return orjson.dumps(
        {
            "epoch": epoch,
            "topic": message.topic,
            "seq": message.seq,
            "kind": message.kind,
            "facts": message.facts,
            "at": message.at,
        }
    )


def decode(text: str | bytes) -> tuple[str, Event | LogNotice]:
    """Epoch and content of a message. Raises MalformedMessage."""
    try:
        fields = orjson.loads(text)
        epoch, topic = _string(fields["epoch"]), _string(fields["topic"])
        if is_log(topic):
            return epoch, LogNotice(topic, _seq(fields["first"]), _seq(fields["last"]), fields.get("lines", ()))
        facts = fields["facts"]
        if not isinstance(facts, dict):
            raise MalformedMessage("facts are no object")
        at = datetime.fromisoformat(fields["at"])
        if at.tzinfo is None:
            raise MalformedMessage("at has no time zone")
        return epoch, Event(topic, _seq(fields["seq"]), _string(fields["kind"]), facts, at)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMessage(str(error)) from error


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedMessage(f"{type(value).__name__} instead of a string")
    return value


def _seq(value: object) -> int:
    if type(value) is not int or value < 1:
        raise MalformedMessage("a seq is a whole number from 1")
    return value
