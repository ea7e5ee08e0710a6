"""What travels over Redis: the channels, and the form of each message."""

import uuid
from datetime import UTC, datetime

import orjson

from db.handles import Event as Written
from db.handles import NewLogLine
from db.instants import to_stored
from pubsub.events import Appended, Event, LogLine, appended_of, decode, encode, encode_all, event_of, last_of
from pubsub.topics import Channels, log_topic


def test_channels_are_fixed_and_a_log_keeps_its_shard() -> None:
    channels = Channels("p")
    assert len(set(channels.all())) == 17
    ids = [uuid.uuid4() for _ in range(200)]
    shards = {channels.of(log_topic(task_id)) for task_id in ids}
    assert len(shards) == 16
    assert shards < set(channels.all())
    assert channels.of("tasks") == channels.of("agents") == "p:events"


def test_wire_form() -> None:
    at = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    event = Event("tasks", 7, "TaskChanged", {"id": "x"}, at)
    assert orjson.loads(encode("e", event)) == {
        "epoch": "e",
        "topic": "tasks",
        "seq": 7,
        "kind": "TaskChanged",
        "facts": {"id": "x"},
        "at": "2025-01-02T03:04:05.678000+00:00",
    }
    assert event_of(decode(encode("e", event))) == event


def test_a_batch_of_lines_is_one_message() -> None:
    """It tells who follows all logs, and who follows that one; an end mark says how far its log goes."""
    at = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    task_id, other = uuid.uuid4(), uuid.uuid4()
    topic = log_topic(task_id)
    line = NewLogLine(task_id, at, "INFO", "STDOUT", "text")
    facts = {"task": str(task_id), "first": 3, "last": 3}
    batch = Written("logs", 9, "LinesAppended", facts, at, (line,))
    end = Written(topic, 4, "LogEnded", {}, at)
    for events in ([batch, end], [end, batch]):
        (told_of, told), (ended_of, ended) = encode_all("e", events, {task_id: 3})
        assert told_of == ended_of == topic
        message = decode(told)
        assert event_of(message) == Event("logs", 9, "LinesAppended", facts, at)
        kept = LogLine(task_id, 3, to_stored(at), "INFO", "STDOUT", "text", False)
        assert appended_of(message) == Appended(str(task_id), 3, 3, [kept])
        assert last_of(decode(ended)) == 4
    assert encode_all("e", [batch], {task_id: 3}) == [(topic, told)]
    ((_, fallback),) = encode_all("e", [], {other: 7})
    assert (decode(fallback).topic, last_of(decode(fallback))) == (log_topic(other), 7)
