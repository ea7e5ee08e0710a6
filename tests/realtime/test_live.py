"""The live fields from outside: replay, cursors, filters, and what is told when nothing happens."""

import asyncio
import base64
import json
import uuid
from typing import Any

import pytest

from domain.erase import erase_host
from domain.ids import show_id
from domain.records import AgentRecord, Batch, RunRecord
from tests.api.mutate import mutate, new_conversation, new_task
from tests.client import Server
from tests.filled import at, task_record
from tests.realtime.live import LOG, TASKS, following

PAGE = "query Page { tasks(first: 100) { nodes { id revision } eventCursor pageInfo { endCursor } } }"


def cursor_of(epoch: str, topic: str, seq: int) -> str:
    text = json.dumps(["e1", epoch, topic, seq]).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["__typename"] for event in events]


async def test_a_page_and_what_follows_it_miss_nothing(server: Server) -> None:
    seen: dict[str, int] = {}
    stop = asyncio.Event()

    async def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            await server.write(Batch(tasks=[task_record(f"t{n % 20}", at(n % 50), title=f"{n}")]))

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write())
        for _ in range(5):
            await asyncio.sleep(0.1)
            page = (await server.query(PAGE))["tasks"]
            seen = {node["id"]: node["revision"] for node in page["nodes"]}
            async with following(server, TASKS, after=page["eventCursor"]) as live:
                for event in await live.take(10):
                    if event["__typename"] == "TaskChanged":
                        seen[event["taskId"]] = max(seen.get(event["taskId"], 0), event["task"]["revision"])
        stop.set()
        await writing
        async with following(server, TASKS, after=page["eventCursor"]) as live:
            while (event := await live.next())["__typename"] != "Checkpoint":
                seen[event["taskId"]] = max(seen.get(event["taskId"], 0), event["task"]["revision"])
    assert seen == {node["id"]: node["revision"] for node in (await server.query(PAGE))["tasks"]["nodes"]}


async def test_a_cut_stream_goes_on_where_it_was(server: Server) -> None:
    cursor, titles = None, []
    written = 0
    async with following(server, TASKS) as first:
        cursor = (await first.next())["cursor"]
    for _ in range(6):
        for _ in range(7):
            written += 1
            await server.write(Batch(tasks=[task_record(f"new{written}", at(1), title=str(written))]))
        async with following(server, TASKS, after=cursor) as live:
            for event in await live.take(5):
                assert event["__typename"] == "TaskChanged"
                titles.append(event["task"]["title"])
                cursor = event["cursor"]
    async with following(server, TASKS, after=cursor) as live:
        titles += [event["task"]["title"] for event in await live.take(12)]
        assert (await live.next())["isLive"] is True
    assert titles == [str(n) for n in range(1, 43)]


async def test_replay_and_live_agree_on_the_filter(server: Server) -> None:
    task_id = await new_task(server)
    other = await new_task(server, "other")
    running = {"status": ["RUNNING"]}
    async with following(server, TASKS, filter=running) as live:
        start = await live.next()
        for status in ("RUNNING", "WAITING_INPUT", "RUNNING", "COMPLETED"):
            await mutate(server, "reportTask", taskId=task_id, status=status)
        await mutate(server, "reportTask", taskId=other, status="CANCELLED")
        told = await live.take(4)
    async with following(server, TASKS, filter=running, after=start["cursor"]) as again:
        replayed = await again.take(4)
        assert (await again.next())["isLive"] is True
    assert kinds(told) == ["TaskChanged", "TaskLeft", "TaskChanged", "TaskLeft"]
    assert [event["cursor"] for event in told] == [event["cursor"] for event in replayed]
    assert kinds(told) == kinds(replayed)
    assert [event.get("isNew") for event in told] == [True, None, True, None]


async def test_an_old_cursor_is_told_and_the_stream_goes_on(server: Server) -> None:
    epoch = server.database.epoch.hex
    for after in (cursor_of(uuid.uuid4().hex, "tasks", 1), cursor_of(epoch, "tasks", 10**6)):
        async with following(server, TASKS, after=after) as live:
            expired, checkpoint = await live.take(2)
            assert kinds([expired, checkpoint]) == ["CursorExpired", "Checkpoint"]
            task_id = await new_task(server, after[:40])
            changed = await live.next()
            assert changed["taskId"] == task_id
        async with following(server, TASKS, after=expired["cursor"]) as live:
            assert (await live.next())["cursor"] == changed["cursor"]


async def test_cursors_of_something_else_are_refused_in_a_sentence(server: Server) -> None:
    await new_task(server)
    page = (await server.query(PAGE))["tasks"]
    epoch = server.database.epoch.hex
    for after, words in [
        (page["pageInfo"]["endCursor"], "cursor of a page"),
        (cursor_of(epoch, "agents", 0), "belongs to another stream"),
        ("nonsense", "not made by this server"),
        ("", "not made by this server"),
        (cursor_of(epoch, "tasks", 2**70), "not made by this server"),
    ]:
        async with following(server, TASKS, after=after) as live:
            with pytest.raises(RuntimeError) as refused:
                await live.next()
        (error,) = refused.value.args[0]
        assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("INVALID_CURSOR", "after")
        assert words in error["message"]
        assert "eventCursor" in error["message"]
        assert "pageInfo" not in error["message"], "where cursors of pages come from"


async def test_a_log_from_its_page(server: Server) -> None:
    task_id = await new_task(server, status="RUNNING")
    await mutate(server, "appendTaskLog", taskId=task_id, lines=[{"text": str(n)} for n in range(1, 131)])
    query = "query Log($id: ID!) { task(id: $id) { logs(first: 1000) { nodes { seq } eventCursor } } }"
    page = (await server.query(query, id=task_id))["task"]["logs"]
    zero = cursor_of(server.database.epoch.hex, f"log:{uuid.UUID(hex=task_id[5:])}", 0)
    async with following(server, LOG, taskId=task_id, after=page["eventCursor"]) as live:
        assert (await live.next())["isLive"] is True
        await mutate(server, "appendTaskLog", taskId=task_id, lines=[{"text": "131"}])
        assert (await live.next())["lines"] == [{"seq": 131, "text": "131"}]
    await mutate(server, "reportTask", taskId=task_id, status="COMPLETED")
    async with following(server, LOG, taskId=task_id, after=zero) as live:
        first, second, checkpoint = await live.take(3)
        assert [line["seq"] for line in first["lines"] + second["lines"]] == list(range(1, 132))
        assert (len(first["lines"]), checkpoint["isLive"]) == (100, True)
        with pytest.raises(EOFError):
            await live.next()
    async with following(server, LOG, taskId=task_id, after=first["cursor"], filter={"search": "13"}) as live:
        assert [line["seq"] for line in (await live.next())["lines"]] == [113, 130, 131]


LINES = """
subscription Lines($filter: LogLinesFilter, $after: EventCursor) {
  logLines(filter: $filter, after: $after) {
    __typename
    ... on LiveEvent { cursor }
    ... on LogLinesAppended { taskId lines { taskId seq level text } }
  }
}
"""


async def test_the_lines_of_all_logs(server: Server) -> None:
    one, two = await new_task(server, "one"), await new_task(server, "two")
    errors = {"taskId": [two], "level": ["ERROR"]}
    async with following(server, LINES) as all_of_them, following(server, LINES, filter=errors) as errors_of_two:
        start = await all_of_them.next()
        await errors_of_two.next()
        for task_id in (one, two):
            lines = [{"text": "fine"}, {"text": "bad", "level": "ERROR"}]
            await mutate(server, "appendTaskLog", taskId=task_id, lines=lines)
        told = await all_of_them.take(2)
        assert [(event["taskId"], len(event["lines"])) for event in told] == [(one, 2), (two, 2)]
        (only,) = (await errors_of_two.next())["lines"]
        assert only == {"taskId": two, "seq": 2, "level": "ERROR", "text": "bad"}
    async with following(server, LINES, after=start["cursor"]) as again:
        assert await again.take(2) == told


AGENTS = """
subscription Agents($filter: AgentFilter, $after: EventCursor) {
  agentChanged(filter: $filter, after: $after) {
    __typename
    ... on LiveEvent { cursor }
    ... on AgentChanged { agentId isNew agent { name status } }
    ... on AgentLeft { agentId }
  }
}
"""


async def test_agents(server: Server) -> None:
    async def tell(status: str) -> None:
        record = AgentRecord("coder", "h", "EXECUTOR", status=status, last_seen_at=at(1))
        await server.write(Batch(agents=[record]))

    async with following(server, AGENTS) as live, following(server, AGENTS, filter={"status": ["BUSY"]}) as busy:
        start = await live.next()
        await busy.next()
        for status in ("IDLE", "BUSY", "IDLE"):
            await tell(status)
        told = await live.take(3)
        assert [event["isNew"] for event in told] == [True, False, False]
        assert told[-1]["agent"] == {"name": "coder", "status": "IDLE"}
        came, left = await busy.take(2)
        assert kinds([came, left]) == ["AgentChanged", "AgentLeft"]
        assert came["isNew"] is True
    async with following(server, AGENTS, after=start["cursor"]) as again:
        assert [event["cursor"] for event in await again.take(3)] == [event["cursor"] for event in told]


MESSAGES = """
subscription Messages($id: ID!, $after: EventCursor) {
  messageAdded(conversationId: $id, after: $after) {
    __typename
    ... on LiveEvent { cursor }
    ... on MessageAdded { messageId message { id text } }
  }
}
"""


async def test_messages_of_one_conversation(server: Server) -> None:
    one, two = await new_conversation(server, "one"), await new_conversation(server, "two")
    query = "query Talk($id: ID!) { conversation(id: $id) { messages { eventCursor } } }"
    page = (await server.query(query, id=one))["conversation"]["messages"]
    async with following(server, MESSAGES, id=one) as live:
        await live.next()
        for text in ("a", "b"):
            for conversation_id in (two, one):
                await mutate(server, "addMessage", conversationId=conversation_id, role="USER", text=text)
        told = await live.take(2)
        assert [event["message"]["text"] for event in told] == ["a", "b"]
    async with following(server, MESSAGES, id=one, after=page["eventCursor"]) as again:
        assert await again.take(2) == told


async def test_the_summary_is_told_when_it_changes_and_not_oftener_than_once_a_second(server: Server) -> None:
    document = "subscription Sum($range: TimeRange!) { summaryChanged(range: $range) { taskCount } }"
    range_ = {"between": {"from": "2026-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}}
    async with following(server, document, range=range_) as live:
        assert await live.next() == {"taskCount": 0}
        for n in range(25):
            await server.write(Batch(tasks=[task_record(f"task{n}", at(1))]))
        counts = [(await live.next())["taskCount"]]
        while counts[-1] < 25:
            counts.append((await live.next())["taskCount"])
        assert len(counts) <= 3


RUNS = """
subscription Runs($id: ID, $after: EventCursor) {
  runChanged(runId: $id, after: $after) {
    __typename
    ... on LiveEvent { cursor }
    ... on RunChanged { runId run { status } }
    ... on RunLeft { runId }
  }
}
"""


async def test_runs(server: Server) -> None:
    async def tell(name: str, status: str, minutes: int) -> str:
        record = RunRecord("o", name, status, at(1), at(minutes), host="h")
        applied = await server.write(Batch(runs=[record]))
        return show_id("run", applied.run_ids["o", name])

    async with following(server, RUNS) as live:
        start = await live.next()
        one = await tell("one", "RUNNING", 2)
        two = await tell("two", "RUNNING", 3)
        await tell("two", "COMPLETED", 4)
        told = await live.take(3)
        assert [event["runId"] for event in told] == [one, two, two]
        assert told[-1]["run"]["status"] == "COMPLETED"
    async with server.database.write() as transaction:
        await erase_host(transaction, "h")
    async with following(server, RUNS, id=two, after=start["cursor"]) as again:
        assert kinds(await again.take(4)) == ["RunChanged", "RunChanged", "RunLeft", "Checkpoint"]
