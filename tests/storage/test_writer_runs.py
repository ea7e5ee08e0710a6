"""Runs: stories, what they depend on, revisions and events; the tasks that are their iterations."""

from decimal import Decimal
from typing import Any

import pytest

from db.database import Database
from domain.erase import erase_host
from domain.errors import InvalidInput
from domain.records import Batch, Ref, RunRecord, StoryRecord
from tests.conftest import Fetch
from tests.storage.build import NOW, START, at, task, write

ORIGIN = "claude-loop:laptop:/shop"


def run(name: str = "20260301_120000", *, seconds: float = 0, **values: Any) -> RunRecord:
    """A run, last heard of at `seconds`."""
    return RunRecord(ORIGIN, name, **{"status": "RUNNING", "created_at": START, "updated_at": at(seconds), **values})


def told(*records: RunRecord, **values: Any) -> Batch:
    return Batch(runs=list(records), **values)


async def test_a_run_is_told_with_its_facts(database: Database, fetch: Fetch) -> None:
    record = run(host="laptop", project_key="laptop:/shop", title="Sell\nmore", git_branch="main", metrics={"a": 1})
    record.reported_cost_usd = Decimal("2.5000000004")
    record.stories = [StoryRecord("US-1", "First", priority=1, complexity="SIMPLE"), StoryRecord("US-2")]
    applied, events = await write(database, told(record))
    assert (applied.new_runs, applied.new_stories, applied.changed_runs) == (1, 2, 0)
    row = (await fetch("SELECT * FROM runs"))[0]
    assert (row["title"], row["git_branch"], row["reported_cost_usd"]) == ("Sell more", "main", Decimal("2.5"))
    assert row["id"] == applied.run_ids[ORIGIN, "20260301_120000"]
    facts = {
        "id": str(row["id"]),
        "revision": 1,
        "status": "RUNNING",
        "owner": None,
        "host": str(row["host_id"]),
        "project": str(row["project_id"]),
    }
    assert [(event.kind, event.facts) for event in events if event.topic == "runs"] == [("RunChanged", facts)]
    stories = await fetch("SELECT key, title, priority, status, complexity FROM stories ORDER BY key")
    assert [tuple(story) for story in stories] == [
        ("US-1", "First", 1, "PENDING", "SIMPLE"),
        ("US-2", None, 0, "PENDING", "UNKNOWN"),
    ]


async def test_the_same_again_changes_nothing(database: Database, fetch: Fetch) -> None:
    record = run(stories=[StoryRecord("a"), StoryRecord("b", depends_on=("a",))], reported_cost_usd=Decimal("0.1"))
    await write(database, told(record))
    before = await fetch("SELECT xmin::text, * FROM runs"), await fetch("SELECT xmin::text, * FROM stories")
    applied, events = await write(database, told(record, record))
    assert (applied.new_runs, applied.changed_runs, applied.new_stories, events) == (0, 0, 0, [])
    assert (await fetch("SELECT xmin::text, * FROM runs"), await fetch("SELECT xmin::text, * FROM stories")) == before


async def test_a_story_that_changes_is_a_revision_of_its_run(database: Database, fetch: Fetch) -> None:
    await write(database, told(run(stories=[StoryRecord("a"), StoryRecord("b")])))
    applied, events = await write(database, told(run(stories=[StoryRecord("a", status="COMPLETED")])))
    assert applied.changed_runs == 1
    assert [event.facts["revision"] for event in events] == [2]
    assert [tuple(row) for row in await fetch("SELECT key, status FROM stories ORDER BY key")] == [
        ("a", "COMPLETED"),
        ("b", "PENDING"),  # no longer listed, and still there
    ]


DEPENDENCIES = (
    "SELECT s.key, o.key FROM story_dependencies d JOIN stories s ON s.id = story_id JOIN stories o"
    " ON o.id = depends_on_id ORDER BY 1, 2"
)


async def test_dependencies_are_what_was_told_last(database: Database, fetch: Fetch) -> None:
    stories = [
        StoryRecord("a", depends_on=("a", "nowhere")),
        StoryRecord("b", depends_on=("c", "a")),
        StoryRecord("c"),
    ]
    await write(database, told(run(stories=stories)))
    assert [tuple(row) for row in await fetch(DEPENDENCIES)] == [("b", "a"), ("b", "c")]
    await write(database, told(run(stories=[StoryRecord("b"), StoryRecord("c", depends_on=("a",))])))
    assert [tuple(row) for row in await fetch(DEPENDENCIES)] == [("b", "a"), ("b", "c"), ("c", "a")]
    _, events = await write(database, told(run(stories=[StoryRecord("b", depends_on=("c",)), StoryRecord("c")])))
    assert [tuple(row) for row in await fetch(DEPENDENCIES)] == [("b", "c"), ("c", "a")]
    assert len(events) == 1


async def test_an_old_record_fills_in_and_takes_nothing_back(database: Database, fetch: Fetch) -> None:
    newer = run(
        seconds=60, status="COMPLETED", ended_at=at(60), stories=[StoryRecord("a", status="COMPLETED")], elapsed_ms=9
    )
    await write(database, told(newer))
    older = run(
        seconds=30,
        current_story="a",
        elapsed_ms=5,
        started_at=START,
        reported_cost_usd=Decimal(1),
        stories=[StoryRecord("a", "Title", status="IN_PROGRESS"), StoryRecord("b")],
    )
    await write(database, told(older))
    row = (await fetch("SELECT * FROM runs"))[0]
    assert (row["status"], row["elapsed_ms"], row["current_story_key"]) == ("COMPLETED", 9, None)
    assert (row["ended_at"], row["updated_at"], row["started_at"]) == (at(60), at(60), START)
    assert row["reported_cost_usd"] == 1
    stories = await fetch("SELECT key, status, title FROM stories ORDER BY key")
    assert [tuple(story) for story in stories] == [("a", "COMPLETED", "Title"), ("b", "PENDING", None)]


async def test_a_run_that_goes_on_has_not_ended(database: Database, fetch: Fetch) -> None:
    await write(database, told(run(status="FAILED", ended_at=at(0), current_story="a")))
    await write(database, told(run(seconds=5, current_story="b")))
    row = (await fetch("SELECT status, ended_at, current_story_key FROM runs"))[0]
    assert tuple(row) == ("RUNNING", None, "b")
    await write(database, told(run(seconds=6)))
    assert (await fetch("SELECT current_story_key FROM runs"))[0][0] is None


async def test_iterations_carry_run_and_story(database: Database, fetch: Fetch) -> None:
    ref = Ref(ORIGIN, "20260301_120000")
    batch = told(
        run(stories=[StoryRecord("a")]),
        tasks=[task("1", run=ref, story="a"), task("2", run=ref, story="unknown"), task("3", run=Ref("x", "y"))],
    )
    applied, events = await write(database, batch)
    run_id = str(applied.run_ids[ORIGIN, "20260301_120000"])
    joined = "SELECT t.external_id, t.run_id, s.key FROM tasks t LEFT JOIN stories s ON s.id = story_id ORDER BY 1"
    rows = [(row[0], row[1] and str(row[1]), row[2]) for row in await fetch(joined)]
    assert rows == [("1", run_id, "a"), ("2", run_id, None), ("3", None, None)]
    assert [event.facts["after"]["run"] for event in events if event.topic == "tasks"] == [run_id, run_id, None]
    # Later, and without a record of the run.
    await write(database, Batch(tasks=[task("3", seconds=1, run=Ref(id=applied.run_ids[ref.origin, ref.external_id]))]))
    await write(database, Batch(tasks=[task("3", seconds=2, run=ref, story="a")]))
    assert tuple((await fetch(joined))[2])[2] == "a"


async def test_one_name_on_two_hosts_is_two_runs(database: Database, fetch: Fetch) -> None:
    other = run(stories=[StoryRecord("a", status="COMPLETED")])
    other.origin = "claude-loop:desktop:/shop"
    await write(database, told(run(stories=[StoryRecord("a")]), other))
    rows = await fetch("SELECT r.origin, s.status FROM runs r JOIN stories s ON s.run_id = r.id ORDER BY 1")
    assert [tuple(row) for row in rows] == [("claude-loop:desktop:/shop", "COMPLETED"), (ORIGIN, "PENDING")]


@pytest.mark.parametrize(
    "record",
    [
        run(status="DONE"),
        run(stories=[StoryRecord("a", status="OK")]),
        run(stories=[StoryRecord("a", complexity="HIGH")]),
    ],
)
async def test_an_unknown_word_is_refused(database: Database, record: RunRecord) -> None:
    with pytest.raises(InvalidInput, match="there are"):
        await write(database, told(record))


@pytest.mark.parametrize("count", [1, 40])
async def test_a_batch_takes_as_many_statements_whatever_its_size(
    database: Database, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from db.database import WriteTransaction

    statements: list[str] = []
    original = WriteTransaction.fetch

    async def fetch(self: WriteTransaction, statement: Any, *values: Any) -> Any:
        statements.append(statement.sql)
        return await original(self, statement, *values)

    monkeypatch.setattr(WriteTransaction, "fetch", fetch)
    records = [
        run(f"r{n}", stories=[StoryRecord("a"), StoryRecord("b", depends_on=("a",))], host="laptop")
        for n in range(count)
    ]
    await write(database, told(*records))
    assert len(statements) == 10  # hosts 3, runs 3, stories 3, events 1


async def test_runs_and_stories_go_with_their_host(database: Database, fetch: Fetch) -> None:
    ref = Ref(ORIGIN, "20260301_120000")
    record = run(host="laptop", stories=[StoryRecord("a"), StoryRecord("b", depends_on=("a",))])
    applied, _ = await write(
        database,
        told(record, tasks=[task("1", host="laptop", run=ref, story="a"), task("2", host="other", run=ref, story="b")]),
    )
    async with database.write() as transaction:
        erased = await erase_host(transaction, "laptop")
    assert (erased.runs, erased.stories, erased.tasks) == (1, 2, 1)
    assert [tuple(row) for row in await fetch("SELECT external_id, run_id, story_id FROM tasks")] == [("2", None, None)]
    gone = [event.facts for event in transaction.emitted if event.kind == "RunDeleted"]
    assert gone == [{"id": str(applied.run_ids[ORIGIN, "20260301_120000"])}]
    assert NOW > START
