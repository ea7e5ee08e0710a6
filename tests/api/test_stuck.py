"""What the clock alone changes, from outside: tasks get stuck and free again, commands time out, one process sweeps."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from db.database import Database, open_database
from db.queries import leases
from domain.ids import parse_id, show_id
from domain.records import AgentRecord, Batch, LogRecord, Ref, TaskRecord, ToolCallRecord
from domain.stuck import FIRST, GONE, SILENT, STORM_LINES, WAITING, sweep_page
from domain.writing.commands import ANSWER_WITHIN, FINISH_WITHIN, advance
from jobs.sweeper import LEASE, LEASE_FOR, Sweeper, sweeping
from local import StoreUrls
from settings import Settings
from tests.api.mutate import events, mutate
from tests.client import Server
from tests.serving import serving
from tests.storage.build import START, usage

MARK = "query Mark($id: ID!) { task(id: $id) { status revision updatedAt stuckSince stuckReason } }"
MARKED = "query Marked($stuck: Boolean) { tasks(filter: {isStuck: $stuck}) { nodes { externalId } totalCount } }"
SUMS = """
query Sums($filter: TaskFilter!) {
  summary(range: {between: {from: "2000-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z"}}, filter: $filter) {
    taskCount
    usage { callCount }
  }
}
"""
MOMENT = timedelta(milliseconds=1)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(settings: Settings, database_url: str, store_urls: StoreUrls, clock: Clock) -> AsyncIterator[Server]:
    """A server whose clock is the test's, and whose sweeper is too."""
    async with serving(settings, database_url, store_urls.redis_url, clock=clock) as running:
        yield running


@pytest.fixture
def sweeper(server: Server, clock: Clock) -> Sweeper:
    return Sweeper(server.database, server.bus, clock)


def shown(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(status: str, name: str = "t", **values: Any) -> TaskRecord:
    return TaskRecord("test", name, "ENGINE", START, START, status=status, **values)


async def new(server: Server, status: str, name: str = "t", **values: Any) -> str:
    """The id of a task that was last heard of at START."""
    applied = await server.write(Batch(tasks=[record(status, name, **values)]))
    return show_id("task", applied.task_ids["test", name])


async def mark(server: Server, task_id: str) -> tuple[str | None, str | None]:
    """Why it is stuck, and since when."""
    task = (await server.query(MARK, id=task_id))["task"]
    return task["stuckReason"], task["stuckSince"]


async def test_silence_is_told_once_and_ended_by_any_sign_of_life(
    server: Server, sweeper: Sweeper, clock: Clock
) -> None:
    task_id = await new(server, "RUNNING")
    clock.now = START + SILENT - MOMENT
    await sweeper.sweep()
    assert await mark(server, task_id) == (None, None)
    clock.now = START + SILENT
    for _ in range(2):
        await sweeper.sweep()
        clock.now += timedelta(minutes=3)
    task = (await server.query(MARK, id=task_id))["task"]
    assert (task["stuckReason"], task["stuckSince"]) == ("NO_OUTPUT", shown(START + SILENT))
    assert (task["revision"], task["updatedAt"]) == (2, shown(START))  # being marked is no sign of life
    assert [facts["revision"] for _, facts in await events(server, "tasks")] == [1, 2]

    task_ref = Ref("test", "t")
    signs: tuple[Callable[[datetime], Batch], ...] = (
        lambda at: Batch(logs=[LogRecord(task_ref, at, "INFO", "STDOUT", "still here")]),
        lambda at: Batch(tool_calls=[ToolCallRecord(task_ref, "call", "Bash", at)]),
        lambda at: Batch(tasks=[TaskRecord("test", "t", "ENGINE", START, at)]),
    )
    for sign in signs:
        await server.write(sign(clock.now))
        await sweeper.sweep()
        assert await mark(server, task_id) == (None, None)
        clock.now += SILENT
        await sweeper.sweep()
        assert await mark(server, task_id) == ("NO_OUTPUT", shown(clock.now))


async def test_a_tool_that_has_answered_late_was_alive_until_then(
    server: Server, sweeper: Sweeper, clock: Clock
) -> None:
    task_id = await new(server, "RUNNING")
    answered = START + timedelta(minutes=9)
    call = ToolCallRecord(Ref("test", "t"), "call", "Bash", START, answered)
    await server.write(Batch(tool_calls=[call]))
    clock.now = START + SILENT
    await sweeper.sweep()
    assert await mark(server, task_id) == (None, None)
    clock.now = answered + SILENT
    await sweeper.sweep()
    assert await mark(server, task_id) == ("NO_OUTPUT", shown(clock.now))


async def test_who_waits_for_a_person_too_long_is_stuck_until_it_moves(
    server: Server, sweeper: Sweeper, clock: Clock
) -> None:
    task_id = await new(server, "WAITING_INPUT")
    clock.now = START + WAITING - MOMENT
    await sweeper.sweep()
    assert await mark(server, task_id) == (None, None)
    clock.now += MOMENT
    await sweeper.sweep()
    assert await mark(server, task_id) == ("WAITING_INPUT", shown(START + WAITING))
    # A step clears the mark in its own transaction: no sweep is needed.
    await mutate(server, "reportTask", taskId=task_id, status="RUNNING")
    assert await mark(server, task_id) == (None, None)


def complaint(n: int, level: str = "ERROR", stream: str = "SYSTEM") -> LogRecord:
    at = START + timedelta(seconds=n)
    return LogRecord(Ref("test", "t"), at, level, stream, f"API error 529 overloaded_error (retry {n} of 10)")


async def test_complaints_in_a_row_are_a_storm_and_one_other_line_ends_it(
    server: Server, sweeper: Sweeper, clock: Clock
) -> None:
    task_id = await new(server, "RUNNING")
    await server.write(Batch(logs=[complaint(0, "INFO"), *(complaint(n) for n in range(1, STORM_LINES))]))
    clock.now = START + timedelta(seconds=30)
    await sweeper.sweep()
    assert await mark(server, task_id) == (None, None)
    await server.write(Batch(logs=[complaint(STORM_LINES, "WARN")]))
    await sweeper.sweep()
    assert await mark(server, task_id) == ("RETRY_STORM", shown(START + timedelta(seconds=1)))
    await server.write(Batch(logs=[complaint(STORM_LINES + 1)]))
    await sweeper.sweep()
    assert await mark(server, task_id) == ("RETRY_STORM", shown(START + timedelta(seconds=1)))
    await server.write(Batch(logs=[complaint(STORM_LINES + 2, stream="STDOUT")]))
    await sweeper.sweep()
    assert await mark(server, task_id) == (None, None)


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "WAITING_INPUT"])
@pytest.mark.parametrize(
    ("agent_status", "listens", "stuck"),
    [("OFFLINE", True, True), ("STOPPED", False, True), ("OFFLINE", False, False), ("BUSY", True, False)],
)
async def test_an_agent_that_has_gone_leaves_its_tasks_stuck(
    server: Server, sweeper: Sweeper, clock: Clock, status: str, agent_status: str, listens: bool, stuck: bool
) -> None:
    seen = START + timedelta(minutes=1)
    agent = AgentRecord("a", None, status=agent_status, last_seen_at=seen, is_controllable=listens)
    await server.write(Batch(agents=[agent]))
    task_id = await new(server, status, agent_name="a")
    clock.now = seen + GONE - MOMENT
    await sweeper.sweep()
    assert await mark(server, task_id) == (None, None)
    clock.now += MOMENT
    await sweeper.sweep()
    assert await mark(server, task_id) == (("AGENT_OFFLINE", shown(seen + GONE)) if stuck else (None, None))
    await server.write(Batch(agents=[AgentRecord("a", None, status="BUSY", last_seen_at=clock.now)]))
    await sweeper.sweep()
    assert await mark(server, task_id) == (None, None)


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED", "QUEUED"])
async def test_what_has_ended_or_not_begun_is_not_stuck(
    server: Server, sweeper: Sweeper, clock: Clock, status: str
) -> None:
    task_id = await new(server, status)
    clock.now = START + timedelta(days=7)
    await sweeper.sweep()
    assert await mark(server, task_id) == (None, None)
    assert len(await events(server, "tasks")) == 1


async def test_is_stuck_filters_and_more_than_a_page_is_swept(
    server: Server, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.stuck.PAGE_SIZE", 3)
    for n in range(10):
        await new(server, "RUNNING" if n % 5 else "QUEUED", f"t{n}")
    clock.now = START + SILENT
    await sweeper.sweep()
    found = {
        stuck: {node["externalId"] for node in (await server.query(MARKED, stuck=stuck))["tasks"]["nodes"]}
        for stuck in (True, False, None)
    }
    assert found[False] == {"t0", "t5"}
    assert found[True] == {f"t{n}" for n in range(10)} - found[False]
    assert len(found[None]) == 10
    assert (await server.query(MARKED, stuck=True))["tasks"]["totalCount"] == 8


@pytest.mark.parametrize("is_any_stuck", [True, False])
async def test_sums_tell_stuck_tasks_from_others(
    server: Server, sweeper: Sweeper, clock: Clock, is_any_stuck: bool
) -> None:
    """A call of no task is of neither, also when nothing is stuck at all."""
    names = [*(["stuck"] if is_any_stuck else []), "waits", "waits too"]
    for name in names:
        await new(server, "RUNNING" if name == "stuck" else "QUEUED", name)
    made_by: list[dict[str, Any]] = [{"task": Ref("test", name)} for name in names for _ in name]
    await server.write(Batch(usage=[usage("", f"call {n}", **by) for n, by in enumerate([*made_by, {"task": None}])]))
    clock.now = START + SILENT
    await sweeper.sweep()
    found = {}
    for chosen in (
        {"isStuck": True},
        {"isStuck": False},
        {"isStuck": False, "source": ["ENGINE"]},
        {"source": ["API"]},
    ):
        summary = (await server.query(SUMS, filter=chosen))["summary"]
        found[json.dumps(chosen)] = (summary["taskCount"], summary["usage"]["callCount"])
    waiting = (2, len("waits") + len("waits too"))
    assert list(found.values()) == [(1, len("stuck")) if is_any_stuck else (0, 0), waiting, waiting, (0, 0)]


async def test_followers_hear_of_a_mark(server: Server, sweeper: Sweeper, clock: Clock) -> None:
    task_id = await new(server, "RUNNING")
    document = "subscription { taskChanged { ... on TaskChanged { taskId task { stuckReason } } } }"
    clock.now = START + SILENT
    async with asyncio.timeout(20), server.subscribe("tasks", document) as changes:
        await sweeper.sweep()
        while not (event := (await changes.next())["data"]["taskChanged"]):
            pass
    assert event == {"taskId": task_id, "task": {"stuckReason": "NO_OUTPUT"}}


async def test_a_command_that_nobody_answers_times_out(server: Server, sweeper: Sweeper, clock: Clock) -> None:
    await server.write(Batch(agents=[AgentRecord("a", None, is_controllable=True)]))
    task_id = await new(server, "RUNNING", agent_name="a")
    status = "query Status($id: ID!) { node(id: $id) { ... on AgentCommand { status } } }"

    async def ask() -> str:
        return str((await mutate(server, "cancelTask", taskId=task_id))["command"]["id"])

    async def status_of(command_id: str) -> str:
        await sweeper.sweep()
        return str((await server.query(status, id=command_id))["node"]["status"])

    first = await ask()
    clock.now += ANSWER_WITHIN - MOMENT
    assert await status_of(first) == "REQUESTED"
    clock.now += MOMENT
    assert await status_of(first) == "TIMED_OUT"
    second = await ask()  # the first has ended: this is another
    key = parse_id("command", second)
    assert second != first
    assert key is not None
    async with server.database.write() as transaction:
        await advance(transaction, key, "ACKNOWLEDGED", clock.now)
    clock.now += FINISH_WITHIN - MOMENT
    assert await status_of(second) == "ACKNOWLEDGED"
    clock.now += MOMENT
    assert await status_of(second) == "TIMED_OUT"


async def test_one_process_of_two_sweeps_and_the_other_takes_over(
    server: Server, sweeper: Sweeper, clock: Clock, database_url: str
) -> None:
    database = await open_database(database_url, read_size=1, write_size=2)
    other = Sweeper(database, server.bus, clock)
    try:
        await new(server, "RUNNING")
        clock.now = START + SILENT
        swept = list(await asyncio.gather(sweeper.sweep(), other.sweep(), sweeper.sweep(), other.sweep()))
        assert set(swept) == {True, False}
        holder, waiting = (sweeper, other) if swept[0] else (other, sweeper)
        assert swept == swept[:2] * 2
        assert len(await events(server, "tasks")) == 2  # new, and stuck: once
        clock.now += LEASE_FOR - MOMENT
        assert not await waiting.sweep()
        assert await holder.sweep()  # which prolongs it
        clock.now += LEASE_FOR - MOMENT
        assert not await waiting.sweep()
        clock.now += MOMENT  # the holder has died
        assert await waiting.sweep()
        assert not await holder.sweep()
        await holder.release()  # which it does not have any more
        assert not await holder.sweep()
        await waiting.release()
        assert await holder.sweep()
    finally:
        await database.close()


async def test_two_that_sweep_at_once_do_no_harm(server: Server, clock: Clock, database_url: str) -> None:
    """A lease can run out under its holder: then two look at the same tasks."""
    database = await open_database(database_url, read_size=1, write_size=2)
    try:
        for n in range(20):
            await new(server, "RUNNING", f"t{n}")
        clock.now = START + SILENT
        await asyncio.gather(*(sweep_without_a_lease(each, clock) for each in (server.database, database)))
        told = await events(server, "tasks")
        assert sorted(facts["revision"] for _, facts in told) == [1] * 20 + [2] * 20
    finally:
        await database.close()


async def sweep_without_a_lease(database: Database, clock: Clock) -> None:
    async with database.write() as transaction:
        await sweep_page(transaction, FIRST, clock.now)


async def test_the_service_sweeps_by_itself_and_gives_its_lease_back(server: Server, clock: Clock) -> None:
    task_id = await new(server, "RUNNING")
    clock.now = START + SILENT
    async with sweeping(server.database, server.bus, clock, interval_s=0.01):
        async with asyncio.timeout(10):
            while (await mark(server, task_id))[0] is None:  # noqa: ASYNC110 - only the store tells
                await asyncio.sleep(0.01)
    async with server.database.write() as transaction:
        assert await leases.hold(transaction, LEASE, "somebody", clock.now, clock.now)


async def test_a_sweep_that_fails_is_told_and_the_next_one_works(
    server: Server, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = await new(server, "RUNNING")

    def stopped() -> datetime:
        """A clock that fails the first time."""
        if not caplog.messages:
            raise RuntimeError("no time")
        return clock.now

    clock.now = START + SILENT
    async with sweeping(server.database, server.bus, stopped, interval_s=0.01), asyncio.timeout(10):
        while (await mark(server, task_id))[0] is None:  # noqa: ASYNC110 - only the store tells
            await asyncio.sleep(0.01)
    assert caplog.messages == ["a sweep failed"]


async def test_serving_starts_it(settings: Settings, database_url: str, store_urls: StoreUrls) -> None:
    async with serving(settings, database_url, store_urls.redis_url, has_jobs=True):
        assert "sweeper" in {task.get_name() for task in asyncio.all_tasks()}
    assert "sweeper" not in {task.get_name() for task in asyncio.all_tasks()}
