"""`--watch`: what an agent writes reaches a subscriber; new, cut and replaced files; an outage; a clean end."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from commands.import_claude_code import watched
from commands.import_claude_loop import watched_loops
from db.database import WriteTransaction
from ingest.report import Report
from ingest.watch import Source, watch
from local import StoreUrls
from settings import now
from tests.client import Server, Subscription
from tests.importers.build import SESSION, answer, line, prompt, write
from tests.importers.loop import metrics

TASKS = "subscription { taskChanged { __typename ... on TaskChanged { task { title status } } } }"


def source_of(server: Server, folder: Path) -> Source:
    async def publish(transaction: WriteTransaction) -> None:
        await server.bus.publish(transaction.emitted, transaction.log_heads)

    return watched(server.database, [folder], [], host="laptop", clock=now, publish=publish)


@asynccontextmanager
async def watching(server: Server, source: Source, **values: Any) -> AsyncIterator[list[str]]:
    told: list[str] = []
    task = asyncio.create_task(watch(server.database, source, since=0, clock=now, tell=told.append, **values))
    await asyncio.sleep(0.2)
    try:
        yield told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(subscription: Subscription, title: str, status: str) -> None:
    """Wait for a task to be told of."""
    async with asyncio.timeout(5):
        while True:
            told = (await subscription.next())["data"]["taskChanged"]
            if told.get("task") == {"title": title, "status": status}:
                return


def append(path: Path, row: Any) -> None:
    with path.open("ab") as file:
        file.write(line(row) + b"\n")


@pytest.mark.parametrize("poll", [None, True])
async def test_what_an_agent_writes_is_told(server: Server, tmp_path: Path, poll: bool | None) -> None:
    path = tmp_path / "shop" / f"{SESSION}.jsonl"
    async with server.subscribe("tasks", TASKS) as tasks, watching(server, source_of(server, tmp_path), poll=poll):
        # A new file in a new folder; at work until its answer comes.
        write(path, [prompt("p", "First", timestamp=now().isoformat())])
        await until(tasks, "First", "RUNNING")
        append(path, answer("a", "Done", timestamp=now().isoformat()))
        await until(tasks, "First", "COMPLETED")
        # Replaced as editors do, then cut and written anew.
        other = write(tmp_path / "other", [prompt("q", "Second"), answer("b", "Done")])
        other.replace(path)
        await until(tasks, "Second", "COMPLETED")
        write(path, [prompt("r", "Third"), answer("c", "Done")])
        await until(tasks, "Third", "COMPLETED")


async def test_open_tasks_are_judged_by_the_clock(server: Server, tmp_path: Path) -> None:
    started = now()
    write(tmp_path / "s.jsonl", [prompt("p", "First", timestamp=(started - timedelta(minutes=59.96)).isoformat())])
    async with (
        server.subscribe("tasks", TASKS) as tasks,
        watching(server, source_of(server, tmp_path), sweep_s=1.0),
    ):
        await until(tasks, "First", "RUNNING")
        await until(tasks, "First", "CANCELLED")


async def test_an_outage_and_a_bad_file_do_not_end_it(server: Server, tmp_path: Path) -> None:
    source, failures = source_of(server, tmp_path), [ConnectionError("gone")]

    async def take(paths: Sequence[Path], report: Report) -> None:
        if failures:
            raise failures.pop()
        if any(path.name == "bad.jsonl" for path in paths):
            raise ValueError("what no one thought of")
        await source.take(paths, report)

    write(tmp_path / "bad.jsonl", [prompt("x")])
    write(tmp_path / "good.jsonl", [prompt("p", "Good"), answer("a", "Done")])
    async with server.subscribe("tasks", TASKS) as tasks, watching(server, replace(source, take=take)) as told:
        await until(tasks, "Good", "COMPLETED")
        await asyncio.sleep(0.1)
    assert told == [
        "The database is away: gone. Changes wait and are read when it is back.",
        f"Could not be imported: {tmp_path / 'bad.jsonl'}: what no one thought of",
        "The database is back.",
    ]


async def test_a_run_of_claude_loop_is_followed(server: Server, tmp_path: Path) -> None:
    async def publish(transaction: WriteTransaction) -> None:
        await server.bus.publish(transaction.emitted, transaction.log_heads)

    source = watched_loops(server.database, [tmp_path], host="laptop", zone=None, clock=now, publish=publish)
    async with watching(server, source):
        file = tmp_path / "shop" / ".claude-loop" / "runs" / "20260113_200000" / "metrics.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(metrics()))
        async with asyncio.timeout(5):
            while not (await server.query("{ runs { nodes { externalId } } }"))["runs"]["nodes"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_cleanly(stop: signal.Signals, database_url: str, store_urls: StoreUrls, tmp_path: Path) -> None:
    urls = {"DATABASE_URL": database_url, "REDIS_URL": store_urls.redis_url}
    program = Path(sys.executable).with_name("fleetgraph")
    words = ["import", "claude-code", str(tmp_path), "--watch"]
    process = await asyncio.create_subprocess_exec(program, *words, env={**os.environ, **urls}, stdout=-1, stderr=-1)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while not (line := await process.stdout.readline()).startswith(b"Watching"):
            assert line, "it ended before it watched"
        process.send_signal(stop)
        _, errors = await process.communicate()
    assert (process.returncode, errors.decode().splitlines()) == (
        0,
        ["Stopped. What was read is kept; the same command goes on from here."],
    )
