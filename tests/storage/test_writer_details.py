"""Conversations and messages, agents, projects, tool calls and log lines."""

from typing import Any

from db.database import Database
from domain.records import AgentRecord, Batch, ProjectRecord, Ref
from domain.text import MAX_LINE_BYTES
from tests.conftest import Fetch
from tests.storage.build import ORIGIN, at, conversation, log, message, task, tool_call, write


async def test_messages_are_numbered_and_written_once(database: Database, fetch: Fetch) -> None:
    first = Batch(conversations=[conversation("s")], messages=[message("s", "m1"), message("s", "m1", "again")])
    applied, _ = await write(database, first)
    assert applied.new_messages == 1
    assert applied.message_ids == applied.message_ids[:1] * 2
    nameless = message("s", None, "same", at=at(9))
    applied, events = await write(database, Batch(messages=[message("s", "m1"), nameless, nameless]))
    assert applied.new_messages == 2
    assert [event.kind for event in events] == ["MessageAdded", "MessageAdded", "ConversationChanged"]
    assert "same" not in str([event.facts for event in events])
    rows = await fetch("SELECT seq, text, content_access FROM messages ORDER BY seq")
    assert [tuple(row) for row in rows] == [(1, "hello", "FULL"), (2, "same", "FULL"), (3, "same", "FULL")]
    (stored,) = await fetch("SELECT * FROM conversations")
    assert (stored["message_seq"], stored["revision"], stored["updated_at"]) == (3, 2, at(9))


async def test_a_message_by_id_and_one_whose_text_was_not_collected(database: Database, fetch: Fetch) -> None:
    applied, _ = await write(database, Batch(conversations=[conversation("s")], tasks=[task("t")]))
    by_id = message("s", None, conversation=Ref(id=applied.conversation_ids[ORIGIN, "s"]))
    by_id.text, by_id.task = None, Ref(id=applied.task_ids[ORIGIN, "t"])
    await write(database, Batch(messages=[by_id]))
    (row,) = await fetch("SELECT * FROM messages")
    assert (row["content_access"], row["task_id"]) == ("NOT_COLLECTED", applied.task_ids[ORIGIN, "t"])


async def test_conversations_join_and_tell_only_of_changes(database: Database, fetch: Fetch) -> None:
    told = conversation("s", seconds=5, title="One\ntitle", flow_id="f", tags=("a", "b"))
    await write(database, Batch(conversations=[told]))
    _, events = await write(
        database, Batch(conversations=[conversation("s", seconds=1), conversation("s", tags=("a",))])
    )
    assert events == []
    _, events = await write(database, Batch(conversations=[conversation("s", title="Two", tags=("c",))]))
    assert [event.facts["revision"] for event in events] == [2]
    (row,) = await fetch("SELECT * FROM conversations")
    assert (row["title"], row["flow_id"], row["tags"], row["updated_at"]) == ("Two", "f", ["a", "b", "c"], at(5))


async def test_agents_tell_what_shows_and_when_they_were_seen_once_a_minute(database: Database, fetch: Fetch) -> None:
    def seen(seconds: float, **values: Any) -> Batch:
        return Batch(agents=[AgentRecord("claude", "laptop", last_seen_at=at(seconds), **values)])

    _, events = await write(database, seen(0, type="EXECUTOR"))
    assert [event.facts["after"]["type"] for event in events] == ["EXECUTOR"]
    assert (await write(database, seen(10)))[1] == []
    assert (await write(database, seen(5)))[1] == []
    (row,) = await fetch("SELECT * FROM agents")
    assert (row["last_seen_at"], row["revision"], row["type"]) == (at(10), 1, "EXECUTOR")
    assert [event.facts["revision"] for event in (await write(database, seen(70)))[1]] == [2]
    assert [event.facts["after"]["status"] for event in (await write(database, seen(71, status="BUSY")))[1]] == ["BUSY"]
    await write(database, Batch(agents=[AgentRecord("claude", None), AgentRecord("claude", "desktop")]))
    assert (await write(database, Batch(agents=[AgentRecord("claude", None)])))[1] == []
    assert len(await fetch("SELECT FROM agents")) == 3


async def test_projects_take_their_name_from_the_newest_record(database: Database, fetch: Fetch) -> None:
    await write(database, Batch(tasks=[task("t", project_key="laptop:/home/me/shop/")]))
    await write(database, Batch(projects=[ProjectRecord("laptop:/home/me/pay", "pay", "https://example.org/pay")]))
    rows = await fetch("SELECT name, repository FROM projects ORDER BY name")
    assert [tuple(row) for row in rows] == [("pay", "https://example.org/pay"), ("shop", None)]
    await write(database, Batch(projects=[ProjectRecord("laptop:/home/me/pay", "Payments")]))
    (row,) = await fetch("SELECT name, repository FROM projects WHERE name <> 'shop'")
    assert tuple(row) == ("Payments", "https://example.org/pay")


async def test_a_tool_calls_result_may_come_later_or_first(database: Database, fetch: Fetch) -> None:
    async def stored() -> list[tuple[object, ...]]:
        columns = "external_id, name, started_at, duration_ms, succeeded, input, output"
        return [tuple(row) for row in await fetch(f"SELECT {columns} FROM tool_calls ORDER BY external_id")]

    batch = Batch(tasks=[task("t")])
    batch.tool_calls = [
        tool_call("t", "a", name="Read", started_at=at(1), input="in"),
        tool_call("t", "b", ended_at=at(9), succeeded=False, output="late"),
        tool_call("t", "c", name="Bash", started_at=at(3)),
        tool_call("t", "c", ended_at=at(4.5), succeeded=True, output="out"),
    ]
    applied, _ = await write(database, batch)
    assert applied.new_tool_calls == 3
    assert await stored() == [
        ("a", "Read", at(1), None, None, "in", None),
        ("b", "unknown", at(9), 0, False, None, "late"),
        ("c", "Bash", at(3), 1500, True, None, "out"),
    ]
    results = [
        tool_call("t", "a", ended_at=at(2.25), succeeded=True, output="out"),
        tool_call("t", "b", name="Edit", started_at=at(7), input="in"),
    ]
    applied, events = await write(database, Batch(tool_calls=results))
    assert (applied.new_tool_calls, events) == (0, [])
    assert await stored() == [
        ("a", "Read", at(1), 1250, True, "in", "out"),
        ("b", "Edit", at(7), 2000, False, "in", "late"),
        ("c", "Bash", at(3), 1500, True, None, "out"),
    ]


async def test_log_lines_are_numbered_cut_and_cleaned(database: Database, fetch: Fetch) -> None:
    lines = [log("t", "a\x00"), log("t", "€" * MAX_LINE_BYTES), log("t", None)]
    applied, events = await write(database, Batch(tasks=[task("t")], logs=lines))
    assert applied.new_log_lines == 3
    assert [event.kind for event in events] == ["LogLinesAppended", "TaskChanged"]
    rows = await fetch("SELECT seq, text, truncated FROM log_lines ORDER BY seq")
    assert [(row["seq"], row["truncated"]) for row in rows] == [(1, False), (2, True), (3, False)]
    assert rows[0]["text"] == "a\ufffd"
    assert len(rows[1]["text"].encode()) == MAX_LINE_BYTES - 1
    assert rows[2]["text"] is None
    (row,) = await fetch("SELECT revision FROM tasks")
    await write(database, Batch(logs=[log("t", "more")]))
    assert await fetch("SELECT revision FROM tasks") == [row]
