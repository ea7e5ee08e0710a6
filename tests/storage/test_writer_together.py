"""Writers beside each other, and what a batch costs: no deadlock, no hole, no statement per record."""

import asyncio
import random
import time
from typing import Any

import asyncpg
import pytest

from db.database import Database
from domain.records import AgentRecord, Batch, ProjectRecord, Ref, Tokens
from domain.writer import apply
from tests.conftest import Fetch
from tests.storage.build import NOW, ORIGIN, at, conversation, log, message, ref, task, tool_call, usage, write

WRITERS = 4
ROUNDS = 12
NAMES = 12


def _contested(writer: int, turn: int, chance: random.Random) -> Batch:
    """Records of the same few tasks and conversations, in any order."""
    names = chance.sample(range(NAMES), 8)
    seconds = turn * WRITERS + writer
    return Batch(
        projects=[ProjectRecord(f"laptop:/p{n % 3}", f"p{n % 3}") for n in names],
        agents=[AgentRecord(f"agent{n % 3}", "laptop", last_seen_at=at(seconds * 60)) for n in names],
        conversations=[conversation(f"s{n % 4}", seconds=seconds, project_key=f"laptop:/p{n % 3}") for n in names],
        tasks=[
            task(
                f"t{n}",
                seconds=seconds,
                status="RUNNING",
                title=f"{writer}/{turn}",
                host="laptop",
                agent_name=f"agent{n % 3}",
                parent=ref(f"t{(n + 1) % NAMES}") if n % 2 else None,
                conversation=ref(f"s{n % 4}"),
            )
            for n in names
        ],
        messages=[message(f"s{n % 4}", f"m{turn}-{n}", task=ref(f"t{n}")) for n in names],
        logs=[log(f"t{n}", f"{writer}/{turn}") for n in names],
        tool_calls=[tool_call(f"t{n}", f"c{turn}", name="Read", started_at=at(seconds)) for n in names],
        usage=[
            usage(f"t{n}", f"u{turn}-{n % 5}", seconds=n, is_sidechain=bool(n % 2), tokens=Tokens(output=writer + n))
            for n in names
        ],
    )


async def test_writers_of_the_same_things_do_not_disturb_each_other(database: Database, fetch: Fetch) -> None:
    async def work(writer: int) -> None:
        chance = random.Random(writer)
        for turn in range(ROUNDS):
            await write(database, _contested(writer, turn, chance))

    await asyncio.wait_for(asyncio.gather(*(work(writer) for writer in range(WRITERS))), 60)

    for sql in (
        "SELECT conversation_id AS owner, seq FROM messages ORDER BY 1, 2",
        "SELECT task_id AS owner, seq FROM log_lines ORDER BY 1, 2",
        "SELECT topic AS owner, seq FROM events ORDER BY 1, 2",
    ):
        seqs: dict[Any, list[int]] = {}
        for row in await fetch(sql):
            seqs.setdefault(row["owner"], []).append(row["seq"])
        assert seqs
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seqs.values())

    tasks = await fetch("SELECT * FROM tasks")
    assert len(tasks) == NAMES
    events = await fetch("SELECT facts ->> 'id' AS id, (facts ->> 'revision')::int AS revision FROM events"
                         " WHERE topic = 'tasks' ORDER BY seq")  # fmt: skip
    for row in tasks:
        told = [event["revision"] for event in events if event["id"] == str(row["id"])]
        assert told == list(range(1, row["revision"] + 1))
    totals = {row["id"]: (row["call_count"], row["output_tokens"], row["cost_usd"]) for row in tasks}
    sums = await fetch("SELECT task_id, count(*), sum(output_tokens), sum(cost_usd) FROM usage_records GROUP BY 1")
    assert {id_: total for id_, total in totals.items() if total[0]} == {row[0]: tuple(row)[1:] for row in sums}
    assert sum(total[0] for total in totals.values()) == ROUNDS * 5
    assert len(await fetch("SELECT FROM messages")) <= ROUNDS * NAMES


async def test_writers_that_share_only_tasks_take_them_in_one_order(database: Database, fetch: Fetch) -> None:
    async def work(writer: int) -> None:
        chance = random.Random(writer)
        for turn in range(ROUNDS):
            # New names and known ones, in an order of the writer's own. No calls: their locks would part the writers.
            names = [f"t{n}" for n in chance.sample(range(100), 60)] + [f"t{turn}-{n}" for n in range(40)]
            chance.shuffle(names)
            records = [task(name, seconds=turn, title=f"{writer}/{turn}") for name in names]
            await write(database, Batch(tasks=records))

    await asyncio.wait_for(asyncio.gather(*(work(writer) for writer in range(WRITERS))), 60)
    for row in await fetch(
        "SELECT revision, array_agg((facts ->> 'revision')::int ORDER BY seq) AS told"
        " FROM tasks t JOIN events ON topic = 'tasks' AND facts ->> 'id' = t.id::text GROUP BY t.id"
    ):
        assert row["told"] == list(range(1, row["revision"] + 1))


async def test_who_comes_second_to_make_the_same_joins_what_the_first_made(database: Database, fetch: Fetch) -> None:
    def batch(seconds: int) -> Batch:
        return Batch(
            agents=[AgentRecord("claude", "laptop", status="BUSY" if seconds else "IDLE")],
            conversations=[conversation("s", seconds=seconds)],
            tasks=[task("b", seconds=seconds, parent=ref("a")), task("a", seconds=seconds, title=f"at {seconds}")],
            messages=[message("s", f"m{seconds}")],
            usage=[usage("a", "u")],
        )

    async with database.write() as first:
        await apply(first, batch(0), now=NOW)
        second = asyncio.create_task(write(database, batch(5)))
        await asyncio.sleep(0.3)
        assert not second.done()
    applied, events = await second
    assert (applied.new_tasks, applied.changed_tasks, applied.new_conversations, applied.new_calls) == (0, 2, 0, 0)
    assert all(event.facts["before"] for event in events if event.topic == "tasks")
    rows = await fetch("SELECT external_id, revision, title, parent_task_id IS NULL FROM tasks ORDER BY 1")
    assert [tuple(row) for row in rows] == [("a", 2, "at 5", True), ("b", 2, None, False)]
    assert [row[0] for row in await fetch("SELECT seq FROM messages ORDER BY seq")] == [1, 2]
    assert [row[0] for row in await fetch("SELECT status FROM agents")] == ["BUSY"]


async def test_a_change_without_an_event_cannot_be_committed(database: Database, fetch: Fetch) -> None:
    await write(database, Batch(tasks=[task("t")]))
    with pytest.raises(asyncpg.RaiseError, match="was told by 0 events"):
        async with database.write() as transaction:
            await transaction.connection.execute("UPDATE tasks SET revision = revision + 1")
    assert [row[0] for row in await fetch("SELECT revision FROM tasks")] == [1]


def _large(size: int, prefix: str = "") -> Batch:
    """About six times `size` records, in several conversations, with parents in the batch."""
    names = [f"{prefix}{n:04}" for n in range(size)]
    return Batch(
        projects=[ProjectRecord("laptop:/work", "work")],
        agents=[AgentRecord("claude", "laptop", last_seen_at=at(1))],
        conversations=[conversation(f"{prefix}s{n}", host="laptop") for n in range(min(size, 10))],
        tasks=[
            task(
                name,
                status="COMPLETED",
                host="laptop",
                agent_name="claude",
                project_key="laptop:/work",
                conversation=ref(f"{prefix}s{n % min(size, 10)}"),
                parent=ref(names[n // 2]) if n else None,
                input="Please look at the build and tell me why it fails. " * 10,
                title="Please look at the build",
            )
            for n, name in enumerate(names)
        ],
        messages=[message(f"{prefix}s{n % min(size, 10)}", name, "word " * 60) for n, name in enumerate(names)],
        logs=[log(name, "line " * 20) for name in names],
        tool_calls=[tool_call(name, "c", name="Read", started_at=at(1), ended_at=at(2), input="x") for name in names],
        usage=[usage(name, name) for name in names],
    )


async def _statements(database: Database, batch: Batch) -> int:
    """How many statements apply() sends, the one that emits included."""
    sent: list[str] = []
    async with database.write() as transaction:

        def note(record: Any) -> None:
            sent.append(record.query)

        transaction.connection.add_query_logger(note)
        await apply(transaction, batch, now=NOW)
        await transaction.finish()
        transaction.connection.remove_query_logger(note)
    return len(sent)


async def test_a_large_batch_takes_as_many_statements_as_a_small_one(database: Database) -> None:
    await _statements(database, _large(1))  # makes host, project and agent, and has asyncpg learn our types
    new = [await _statements(database, _large(size, f"{size}-")) for size in (10, 1000)]
    known = [await _statements(database, _large(size, f"{size}-")) for size in (10, 1000)]
    assert new[0] == new[1] <= 25
    assert known[0] == known[1] <= 15


@pytest.mark.parametrize("usage_calls", [True, False])
async def test_speed_is_shown(
    database: Database, fetch: Fetch, capsys: pytest.CaptureFixture[str], usage_calls: bool
) -> None:
    await fetch("ALTER TABLE tasks DISABLE TRIGGER test_task_has_event")
    batches = [_large(170, f"{n}-") for n in range(8)]
    for batch in batches:
        batch.usage = batch.usage if usage_calls else []
    records = sum(len(batch) for batch in batches)
    seconds = {"new": 0.0, "known": 0.0}
    for kind in seconds:
        for batch in batches:
            batch.logs = batch.logs if kind == "new" else []
            start = time.perf_counter()
            await write(database, batch)
            seconds[kind] += time.perf_counter() - start
    with capsys.disabled():
        for kind, spent in seconds.items():
            print(f"\napply(), {kind}, usage={usage_calls}: {records / spent:,.0f} records/s")  # noqa: T201


async def test_mutations_name_things_by_id(database: Database, fetch: Fetch) -> None:
    applied, _ = await write(database, Batch(tasks=[task("t")], conversations=[conversation("s")]))
    by_id = Ref(id=applied.task_ids[ORIGIN, "t"])
    batch = Batch(logs=[log("t", "x")], tool_calls=[tool_call("t", "c", name="Read")], usage=[usage("t", "u")])
    batch.logs[0].task = batch.tool_calls[0].task = batch.usage[0].task = by_id
    again, _ = await write(database, batch)
    assert (again.new_log_lines, again.new_tool_calls, again.new_calls) == (1, 1, 1)
    (row,) = await fetch("SELECT call_count, revision FROM tasks")
    assert tuple(row) == (1, 2)
