"""taskChanged and taskLog over graphql-transport-ws, from a committed write to what a client reads."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.models.base import Row
from db.statements import Statement, raw_statement
from domain.erase import erase_host
from domain.ids import parse_id, show_id
from domain.records import Batch, LogRecord, RunRecord, TaskRecord
from local import StoreUrls
from local.token import LocalToken
from schema.root import build_schema
from settings import Settings
from tests.client import Server
from tests.filled import ORIGIN, START, at, fill, ref, task_record
from tests.realtime.live import LOG, TASKS, Follower, following

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def live(server: Server, document: str, **variables: Any) -> AsyncIterator[Follower]:
    """A subscription that has its place: what is committed inside the block is delivered."""
    async with following(server, document, **variables) as follower:
        first = await follower.next()
        assert (first["__typename"], first["isLive"]) == ("Checkpoint", True)
        yield follower


async def _rest(follower: Follower) -> list[dict[str, Any]]:
    """All events up to the end of the stream."""
    events = []
    while True:
        try:
            events.append(await follower.next())
        except EOFError:
            return events


def _shown(event: dict[str, Any]) -> tuple[str, bool | None, str | None]:
    """Kind, isNew and the task's status."""
    return event["__typename"], event.get("isNew"), (event.get("task") or {}).get("status")


def _task(status: str, minutes: float, **values: Any) -> Batch:
    """What is told of the one task `t`."""
    return Batch(tasks=[task_record("t", at(minutes), status=status, **values)])


async def test_a_task_from_its_first_sight_to_its_end(server: Server) -> None:
    async with live(server, TASKS) as changes:
        applied = await server.write(_task("QUEUED", 0, title="One"))
        await server.write(_task("RUNNING", 1))
        await server.write(_task("RUNNING", 1))  # nothing new: no event
        await server.write(_task("RUNNING", 2, title="Two"))
        await server.write(_task("COMPLETED", 3))
        events = [await changes.next() for _ in range(4)]
    assert {event["taskId"] for event in events} == {show_id("task", applied.task_ids[ORIGIN, "t"])}
    assert [event["isNew"] for event in events] == [True, False, False, False]
    # The task is shown as it is now; the events are behind each other.
    revisions = [event["task"]["revision"] for event in events]
    assert revisions == sorted(revisions)
    assert _shown(events[-1]) == ("TaskChanged", False, "COMPLETED")
    assert len({event["cursor"] for event in events}) == 4
    assert sorted(event["at"] for event in events) == [event["at"] for event in events]
    assert all(event["at"].endswith("Z") and len(event["at"]) == 24 for event in events)


async def test_into_a_filter_and_out_of_it(server: Server) -> None:
    async with live(server, TASKS, filter={"status": ["RUNNING", "WAITING_INPUT"]}) as changes:
        await server.write(_task("QUEUED", 0))
        told = []
        for minutes, status in enumerate(("RUNNING", "WAITING_INPUT", "RUNNING", "COMPLETED"), start=1):
            await server.write(_task(status, minutes))
            told.append(_shown(await changes.next()))
    assert told == [
        ("TaskChanged", True, "RUNNING"),
        ("TaskChanged", False, "WAITING_INPUT"),
        ("TaskChanged", False, "RUNNING"),
        ("TaskLeft", None, None),
    ]


async def test_a_task_that_is_deleted(server: Server) -> None:
    await server.write(_task("RUNNING", 0, host="laptop"))
    async with live(server, TASKS) as all_tasks, live(server, TASKS, filter={"status": ["FAILED"]}) as failed:
        async with server.database.write() as transaction:
            await erase_host(transaction, "laptop")
        await server.bus.publish(transaction.emitted, transaction.log_heads)
        applied = await server.write(Batch(tasks=[task_record("other", at(1), status="FAILED")]))
        assert _shown(await all_tasks.next()) == ("TaskLeft", None, None)
        assert _shown(await all_tasks.next()) == ("TaskChanged", True, "FAILED")
        # The deleted task never was in this selection: nobody has to take it off a list.
        event = await failed.next()
    assert event["taskId"] == show_id("task", applied.task_ids[ORIGIN, "other"])


async def _facts(server: Server) -> dict[str, Any]:
    """For each field of the filter but the run, what task0 of the fleet has."""
    document = """
    { tasks(filter: {flowId: "jira:FG-0", status: [FAILED]}) { nodes {
      agent { id } owner { id } host { id } project { id } conversation { id } parentTask { id }
    } } }
    """
    (task,) = (await server.query(document))["tasks"]["nodes"]
    return {
        "status": ["FAILED"],
        "source": ["CLAUDE_CODE"],
        "agentType": ["EXECUTOR"],
        "model": ["m"],
        "gitBranch": ["main"],
        "agentId": [task["agent"]["id"]],
        "ownerId": [task["owner"]["id"]],
        "hostId": [task["host"]["id"]],
        "projectId": [task["project"]["id"]],
        "conversationId": [task["conversation"]["id"]],
        "parentTaskId": [task["parentTask"]["id"]],
        "flowId": "jira:FG-0",
    }


RUNS: Statement[Row] = raw_statement("SELECT id FROM runs WHERE external_id = 'loop'")
OTHERS = {"status": ["QUEUED"], "source": ["API"], "agentType": ["PLANNING"], "model": ["n"], "gitBranch": ["dev"]}


async def test_every_fact_can_be_filtered_by(server: Server) -> None:
    """Each stream hears of the task that has the fact, and none of those that ask for another or for nothing."""
    await fill(server, 2)
    run = RunRecord(ORIGIN, "loop", "RUNNING", START, START)
    tasks = [task_record(f"task{n}", at(5)) for n in (0, 1)]
    tasks[0].run = ref("loop")
    await server.write(Batch(runs=[run], tasks=tasks))
    (run_row,) = await server.database.read.fetch(RUNS)
    facts = await _facts(server) | {"runId": [show_id("run", run_row["id"])]}
    chosen: Any = build_schema().type_map["TaskEventFilter"]
    assert set(facts) == set(chosen.fields)
    async with AsyncExitStack() as stack:
        hears, deaf = {}, []
        for name, value in facts.items():
            hears[name] = await stack.enter_async_context(live(server, TASKS, filter={name: value}))
            other: Any = "jira:none" if name == "flowId" else OTHERS.get(name, [f"{name[:-2]}_{'0' * 32}", "nonsense"])
            deaf.append(await stack.enter_async_context(live(server, TASKS, filter={name: other})))
        for n in (1, 0):  # the second task shares only what OTHERS names
            applied = await server.write(Batch(tasks=[task_record(f"task{n}", at(6), title="Again")]))
        expected = show_id("task", applied.task_ids[ORIGIN, "task0"])
        for name, stream in hears.items():
            event = await stream.next()
            if name in OTHERS:
                event = await stream.next()
            assert (event["taskId"], event["task"]["title"]) == (expected, "Again"), name
        answers = await asyncio.gather(*(stream.next(timeout_s=0.3) for stream in deaf), return_exceptions=True)
        assert [type(answer) for answer in answers] == [TimeoutError] * len(facts)


async def test_a_filter_of_several_facts(server: Server) -> None:
    """Fields AND, values OR, null is no filter, [] matches nothing."""
    both = {"status": ["RUNNING"], "model": ["a", "b"], "source": None}
    async with live(server, TASKS, filter=both) as changes, live(server, TASKS, filter={"model": []}) as nothing:
        for name, model, status in (("1", "c", "RUNNING"), ("2", "a", "QUEUED"), ("3", "b", "RUNNING")):
            record = TaskRecord(ORIGIN, name, "API", START, START, model=model, status=status, title=name)
            await server.write(Batch(tasks=[record]))
        assert (await changes.next())["task"]["title"] == "3"
        with pytest.raises(TimeoutError):
            await nothing.next(timeout_s=0.2)


def _lines(first: int, last: int) -> Batch:
    levels = ("INFO", "ERROR")
    return Batch(
        logs=[LogRecord(ref("t"), START, levels[n % 2], "STDOUT", f"Line {n}") for n in range(first, last + 1)]
    )


async def _running(server: Server) -> str:
    return show_id("task", (await server.write(_task("RUNNING", 0))).task_ids[ORIGIN, "t"])


async def test_a_log_in_pieces_until_its_task_ends(server: Server) -> None:
    task_id = await _running(server)
    await server.write(_lines(1, 5))  # before anybody listens
    async with live(server, LOG, taskId=task_id) as log:
        await server.write(_lines(6, 255))
        for first in range(256, 276):
            await server.write(_lines(first, first))
        end = _lines(276, 280)
        end.tasks = _task("COMPLETED", 1).tasks
        await server.write(end)
        events = await _rest(log)
    assert all((event["__typename"], event["taskId"]) == ("LogLinesAppended", task_id) for event in events)
    assert all(1 <= len(event["lines"]) <= 100 for event in events)
    seen = [line for event in events for line in event["lines"]]
    assert seen == [{"seq": n, "text": f"Line {n}"} for n in range(6, 281)]


async def test_some_lines_of_a_log(server: Server) -> None:
    task_id = await _running(server)
    chosen = {"level": ["ERROR"], "stream": ["STDOUT"], "search": "LINE 1"}
    async with live(server, LOG, taskId=task_id, filter=chosen) as log:
        await server.write(_lines(1, 120))
        await server.write(_task("FAILED", 1))
        seen = [line["seq"] for event in await _rest(log) for line in event["lines"]]
    assert seen == [n for n in range(1, 121) if n % 2 and str(n).startswith("1")]


async def test_a_log_ends_with_a_status_that_writes_no_line(server: Server) -> None:
    task_id = await _running(server)
    async with live(server, LOG, taskId=task_id) as log:
        await server.write(_task("WAITING_INPUT", 1))
        await server.write(_lines(1, 1))
        assert (await log.next())["lines"] == [{"seq": 1, "text": "Line 1"}]
        await server.write(_task("RUNNING", 2))
        await server.write(_task("CANCELLED", 3))
        with pytest.raises(EOFError):
            await log.next()


async def test_the_log_of_a_task_that_is_deleted_ends(server: Server) -> None:
    await server.write(_task("RUNNING", 0, host="laptop"))
    task_id = await _running(server)
    async with live(server, LOG, taskId=task_id) as log:
        async with server.database.write() as transaction:
            await erase_host(transaction, "laptop")
        await server.bus.publish(transaction.emitted, transaction.log_heads)
        with pytest.raises(EOFError):
            await log.next()


async def test_the_log_of_a_task_that_nobody_knows(server: Server) -> None:
    for id_ in ("task_" + "0" * 32, "agent_" + "0" * 32, "nonsense", "", "\0"):
        async with following(server, LOG, taskId=id_) as log:
            with pytest.raises(RuntimeError) as refused:
                await log.next()
        (error,) = refused.value.args[0]
        assert error["extensions"] == {"code": "NOT_FOUND", "argument": "taskId"}
    assert not server.hub.watched


async def test_those_who_leave_are_forgotten(server: Server) -> None:
    task_id = await _running(server)
    async with live(server, TASKS), live(server, LOG, taskId=task_id):
        assert server.hub.watched >= {"tasks", f"log:{parse_id('task', task_id)}"}
    async with asyncio.timeout(10):
        while server.hub.watched:  # noqa: ASYNC110 (the hub has no reason to tell)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def _another_process(server: Server, settings: Settings, redis_url: str) -> AsyncIterator[Server]:
    """`fleetgraph serve` over the same stores."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = settings.data_dir.parent / "second"
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": server.database.url,
        "REDIS_URL": redis_url,
        "REDIS_PREFIX": settings.redis_prefix,
        "FLEETGRAPH_DATA_DIR": str(folder),
        "FLEETGRAPH_EXPLORER_CDN": "1",  # nothing to build
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
    program = Path(sys.executable).with_name("fleetgraph")
    process = await asyncio.create_subprocess_exec(
        program, "serve", cwd=ROOT, env=environment, stdout=PIPE, stderr=PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            first = (await process.stdout.readline()).decode()
        assert "is up" in first, first
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            yield replace(server, port=port, token=LocalToken(folder).read(), http=http)
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, errors.decode()


REPORT = """
mutation Report($input: ReportTaskInput!) {
  reportTask(input: $input) { __typename ... on ReportTaskSuccess { task { id } } }
}
"""
APPEND = """
mutation Append($input: AppendTaskLogInput!) {
  appendTaskLog(input: $input) { __typename ... on AppendTaskLogSuccess { lastSeq } }
}
"""


async def test_what_one_process_writes_reaches_the_followers_of_another(
    server: Server, settings: Settings, store_urls: StoreUrls
) -> None:
    task_id = show_id("task", (await server.write(_task("QUEUED", 0))).task_ids[ORIGIN, "t"])
    async with _another_process(server, settings, store_urls.redis_url) as other, AsyncExitStack() as stack:
        for writer, follower, status in ((other, server, "RUNNING"), (server, other, "COMPLETED")):
            changes = await stack.enter_async_context(live(follower, TASKS))
            log = await stack.enter_async_context(live(follower, LOG, taskId=task_id))
            lines = {"taskId": task_id, "lines": [{"text": f"from {status}"}]}
            appended = (await writer.query(APPEND, input=lines))["appendTaskLog"]
            await writer.query(REPORT, input={"taskId": task_id, "status": status})
            event = await changes.next()
            assert (event["taskId"], _shown(event)) == (task_id, ("TaskChanged", False, status))
            assert (await log.next())["lines"] == [{"seq": appended["lastSeq"], "text": f"from {status}"}]
        with pytest.raises(EOFError):
            await log.next()
