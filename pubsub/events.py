"""What travels: events and log notices, and their form on the wire (JSON).

An event is ``{epoch, topic, seq, kind, facts, at}``; a log notice ``{epoch, topic: "log:…", first, last}`` says which
lines of a log were committed. Both are hints: PostgreSQL has the truth, and a message that is lost is read there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import orjson

from pubsub.topics import LOGS, is_log, log_topic


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


@dataclass(frozen=True, slots=True)
class LogNotice:
    """Lines `first` to `last` of the log `topic` are committed."""

    topic: str
    first: int
    last: int


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

    def lines(topic: str, first: int, last: int) -> None:
        known = notices.get(topic)
        notices[topic] = (
            LogNotice(topic, min(first, known.first), max(last, known.last)) if known else LogNotice(topic, first, last)
        )

    for event in events:
        if is_log(event.topic):
            lines(event.topic, event.seq, event.seq)
            continue
        told.append(to_event(event))
        if event.topic == LOGS:
            lines(log_topic(event.facts["task"]), event.facts["first"], event.facts["last"])
    for task_id, last in log_heads.items():
        lines(log_topic(task_id), last, last)
    return [*told, *notices.values()]


def encode(epoch: str, message: Event | LogNotice) -> bytes:
    """The message on the wire."""
    if isinstance(message, LogNotice):
        return orjson.dumps({"epoch": epoch, "topic": message.topic, "first": message.first, "last": message.last})
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
            return epoch, LogNotice(topic, _seq(fields["first"]), _seq(fields["last"]))
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
