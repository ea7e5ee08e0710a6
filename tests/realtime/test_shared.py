"""Who shares frames: one execution and one encoding per event for all who follow the same, and nobody else."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
from graphql import parse

from domain.records import Batch
from execution.sharing import feed_of
from schema.root import build_schema
from tests.api.mutate import mutate, new_task
from tests.client import Server
from tests.filled import at, task_record
from tests.realtime.live import LOG, TASKS, Follower, following

SCHEMA = build_schema()


def key(document: str, variables: dict[str, Any] | None = None, scopes: frozenset[str] = frozenset({"READ"})) -> Any:
    feed = feed_of(SCHEMA, parse(document))
    assert feed is not None
    return feed.key(variables, scopes)


async def write(server: Server, name: str, title: str) -> None:
    await server.write(Batch(tasks=[task_record(name, at(1), title=title)]))


async def test_many_followers_cost_one_execution(server: Server) -> None:
    async with AsyncExitStack() as stack:
        live = [await stack.enter_async_context(following(server, TASKS)) for _ in range(30)]
        for follower in live:
            await follower.next()
        await write(server, "a", "one")
        before = server.statement_count
        told = await asyncio.gather(*(follower.next() for follower in live))
        assert all(event == told[0] for event in told)
        assert told[0]["task"]["title"] == "one"
        assert server.statement_count - before <= 5  # a look at the heads may fall in between
        await write(server, "a", "two")
        assert {(await follower.next())["task"]["title"] for follower in live} == {"two"}


async def test_one_that_comes_back_with_a_cursor_shares_again(server: Server) -> None:
    async with following(server, TASKS) as first:
        start = await first.next()
        await write(server, "a", "one")
        told = await first.next()
        async with following(server, TASKS, after=start["cursor"]) as second:
            assert (await second.next())["cursor"] == told["cursor"]
            await second.next()
            before = server.statement_count
            await write(server, "b", "two")
            assert await first.next() == await second.next()
            assert server.statement_count - before <= 3


async def test_filters_of_their_own_get_frames_of_their_own(server: Server) -> None:
    async with (
        following(server, TASKS, filter={"status": ["COMPLETED"]}) as done,
        following(server, TASKS) as all_of_them,
    ):
        await done.next()
        await all_of_them.next()
        await write(server, "a", "one")
        assert (await all_of_them.next())["__typename"] == "TaskChanged"
        record = task_record("a", at(2), status="COMPLETED")
        await server.write(Batch(tasks=[record]))
        assert (await all_of_them.next())["isNew"] is False
        assert (await done.next())["isNew"] is True


async def test_who_leaves_takes_nothing_from_the_others(server: Server) -> None:
    async with following(server, TASKS) as stays:
        await stays.next()
        for n in range(5):
            async with AsyncExitStack() as stack:
                for _ in range(5):
                    follower = await stack.enter_async_context(following(server, TASKS))
                    await follower.next()
                await write(server, "a", str(n))
            assert (await stays.next())["task"]["title"] == str(n)


PLACE = "subscription S($a: EventCursor, $f: TaskEventFilter) { taskChanged(filter: $f, after: $a) { __typename } }"


def test_the_place_alone_does_not_divide() -> None:
    assert key(PLACE, {"a": "x"}) == key(PLACE, {"a": "y"}) == key(PLACE, {})
    assert key(PLACE, {"f": {"status": ["FAILED"]}}) != key(PLACE, {})
    assert key(PLACE, {}) != key(PLACE, {}, frozenset({"READ", "METRICS"}))


def test_a_place_that_shows_divides() -> None:
    document = (
        "subscription S($a: String) { taskLog(taskId: $a, after: $a) { ... on LogLinesAppended { lines { seq } } } }"
    )
    assert key(document, {"a": "x"}) != key(document, {"a": "y"})


@pytest.mark.parametrize(
    "document",
    [
        "subscription { taskChanged { ... on TaskChanged { task { viewerCanCancel } } } }",
        "subscription { taskChanged { ...F } } fragment F on TaskChanged { task { viewerCanRetry } }",
        "subscription($r: TimeRange!) { summaryChanged(range: $r) { taskCount } }",
    ],
)
def test_what_depends_on_the_person_or_has_no_place_is_not_shared(document: str) -> None:
    assert key(document) is None


def test_variables_that_cannot_be_told_apart_are_not_shared() -> None:
    assert key(PLACE, {"f": 2**70}) is None


async def test_one_that_does_not_read_for_a_while_keeps_nobody_waiting_and_misses_nothing(server: Server) -> None:
    """More than the system's buffers hold is written meanwhile; what it missed is read again when it has room."""
    task_id = await new_task(server, status="RUNNING")
    async with following(server, LOG, taskId=task_id) as slow, following(server, LOG, taskId=task_id) as other:
        await slow.next()
        await other.next()
        small = 128 * 1024  # a smaller one would be fetched by the kernel's timers
        slow.socket.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, small)
        slow.socket.transport.pause_reading()
        lines = [f"{n}" + "x" * 60_000 for n in range(96)]
        for n in range(0, len(lines), 16):
            await mutate(server, "appendTaskLog", taskId=task_id, lines=[{"text": text} for text in lines[n : n + 16]])
        assert await told_lines(other, len(lines)) == lines
        slow.socket.transport.resume_reading()
        assert await told_lines(slow, len(lines)) == lines
        await mutate(server, "appendTaskLog", taskId=task_id, lines=[{"text": "last"}])
        assert await told_lines(slow, 1) == await told_lines(other, 1) == ["last"]


async def told_lines(follower: Follower, count: int) -> list[str]:
    """The next lines of a log, with no other event between them."""
    found: list[str] = []
    while len(found) < count:
        found += [line["text"] for line in (await follower.next())["lines"]]
    return found


EVERY_FIELD = "lines { taskId seq at level stream text truncated }"
LOG_FULL = f"""
subscription Log($taskId: ID!, $filter: LogFilter) {{
  taskLog(taskId: $taskId, filter: $filter) {{ __typename ... on LogLinesAppended {{ {EVERY_FIELD} }} }}
}}
"""
LOGS_FULL = f"""
subscription Logs($filter: LogLinesFilter) {{
  logLines(filter: $filter) {{ __typename ... on LogLinesAppended {{ {EVERY_FIELD} }} }}
}}
"""
PAGE = f"query Page($id: ID!) {{ task(id: $id) {{ logs(first: 100) {{ {EVERY_FIELD.replace('lines', 'nodes')} }} }} }}"


@pytest.mark.parametrize(("text", "reads"), [("short", 0), ("long " * 2_000, 1)], ids=["noticed", "read"])
async def test_many_followers_of_a_log_with_filters_of_their_own_cost_one_reading(
    server: Server, text: str, reads: int
) -> None:
    """A small batch comes with its notice; what it shows is what a page shows."""
    task_id = await new_task(server, status="RUNNING")
    lines = [{"text": text, "level": "ERROR", "at": "2026-01-02T03:04:05.678901+02:00"}, {"text": text + " 2"}]
    async with AsyncExitStack() as stack:
        live = [
            await stack.enter_async_context(following(server, LOG_FULL, taskId=task_id, filter={"search": text[:n]}))
            for n in range(1, 6)
        ]
        live += [
            await stack.enter_async_context(following(server, LOGS_FULL, filter={"search": text[:n]}))
            for n in range(1, 6)
        ]
        for follower in live:
            assert (await follower.next())["__typename"] == "Checkpoint"
        await mutate(server, "appendTaskLog", taskId=task_id, lines=lines[:1])  # what a mutation reads, once
        for follower in live:
            await follower.next()
        counted = []
        for batch in ([{"text": "another"}], lines):
            before = server.statement_count
            await mutate(server, "appendTaskLog", taskId=task_id, lines=batch)
            if batch is lines:
                told = [(await follower.next())["lines"] for follower in live]
            await asyncio.sleep(0.1)
            counted.append(server.statement_count - before)
        page = (await server.query(PAGE, id=task_id))["task"]["logs"]["nodes"]
    assert all(event == page[-2:] for event in told)
    assert page[-2]["at"] == "2026-01-02T01:04:05.678Z"
    assert counted[1] - counted[0] <= reads + 1  # a look at the heads may fall in between
