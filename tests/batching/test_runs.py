"""Lists and sums of runs in batches: what plain SQL says, per key, in key order, by one statement."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from db.models.runs import RunRow
from db.queries.runs import ALL_RUNS, RunSelection
from loaders import runs, tasks, usage
from tests.batching.cases import Load
from tests.batching.fleet import LENGTHS, START, Fleet, at, jumbled


async def _one_statement(fleet: Fleet, load: Load, asked: Sequence[Any]) -> Sequence[Any]:
    before = fleet.database.read.statement_count
    answers = await load(fleet.database.read, asked, None)
    assert fleet.database.read.statement_count - before == 1
    assert len(answers) == len(asked)
    return answers


async def test_stories_by_run(fleet: Fleet) -> None:
    asked = jumbled(fleet.keys["runs"])
    for key, answer in zip(asked, await _one_statement(fleet, runs.stories_by_run, asked), strict=True):
        rows = sorted(await fleet.rows("stories", "run_id", key), key=lambda row: (row["priority"], row["key"]))
        assert [story.id for story in answer] == [row["id"] for row in rows]


@pytest.mark.parametrize("load", [runs.dependencies, runs.blockers])
async def test_dependencies(fleet: Fleet, load: Load) -> None:
    by_id = {row["id"]: row for row in await fleet.every("stories")}
    asked = jumbled(fleet.keys["stories"])
    for key, answer in zip(asked, await _one_statement(fleet, load, asked), strict=True):
        needed = [by_id[row["depends_on_id"]] for row in await fleet.rows("story_dependencies", "story_id", key)]
        if load is runs.blockers:
            needed = [row for row in needed if row["status"] != "COMPLETED"]
        needed.sort(key=lambda row: (row["priority"], row["key"]))
        assert [story.id for story in answer] == [row["id"] for row in needed]
    last = next(row for row in by_id.values() if row["key"] == f"s{LENGTHS[0] - 1}")
    assert len((await load(fleet.database.read, [last["id"]], None))[0]) in (12, 8)


async def test_stories_by_key(fleet: Fleet) -> None:
    stories = {(row["run_id"], row["key"]): row["id"] for row in await fleet.every("stories")}
    asked = [(run, key) for run in jumbled(fleet.keys["runs"]) for key in ("s3", "s0", "nothing")]
    answers = await _one_statement(fleet, runs.story_by_key, asked)
    assert [story and story.id for story in answers] == [stories.get(key) for key in asked]


async def _runs(fleet: Fleet) -> list[RunRow]:
    rows = await runs.by_id(fleet.database.read, fleet.keys["runs"], None)
    return [row for row in rows if row is not None]


async def test_counts_of_stories(fleet: Fleet) -> None:
    asked = (await _runs(fleet)) * 2
    answers = await _one_statement(fleet, runs.story_counts, asked)
    expected = [(length, len(range(0, length, 3))) for length in LENGTHS]
    assert [(one.story_count, one.completed_story_count) for one in answers] == expected * 2
    assert [one.run for one in answers] == asked


async def test_sums_of_iterations(fleet: Fleet) -> None:
    asked = jumbled(fleet.keys["runs"])
    known = set(fleet.keys["runs"])
    for key, answer in zip(asked, await _one_statement(fleet, runs.sums, asked), strict=True):
        statuses = [row["status"] for row in await fleet.rows("tasks", "run_id", key)]
        counted = (answer.iteration_count, answer.succeeded_count, answer.failed_count)
        assert counted == (len(statuses), statuses.count("COMPLETED"), statuses.count("FAILED"))
        assert answer.computed_cost_usd is None  # nobody knows the price of `a-model`
        assert key in known or counted == (0, 0, 0)


async def test_usage_by_run(fleet: Fleet) -> None:
    asked = jumbled(fleet.keys["runs"])
    for key, answer in zip(asked, await _one_statement(fleet, usage.totals_by_run, asked), strict=True):
        rows = await fleet.rows("tasks", "run_id", key)
        assert (answer.input_tokens, answer.call_count) == (10 * len(rows), len(rows))
        assert answer.cost_usd == pytest.approx(0.01 * len(rows))


async def test_the_newest_unfinished_task(fleet: Fleet) -> None:
    asked = jumbled(fleet.keys["runs"])
    where = "status IN ('QUEUED', 'RUNNING', 'WAITING_INPUT')"
    for key, answer in zip(asked, await _one_statement(fleet, tasks.current_by_run, asked), strict=True):
        rows = await fleet.rows("tasks", "run_id", key, where)
        newest: UUID | None = max(rows, key=lambda row: (row["created_at"], row["id"]))["id"] if rows else None
        assert (answer and answer.id) == newest


async def test_counts_of_runs(fleet: Fleet) -> None:
    one_host = RunSelection(host_id=(fleet.keys["hosts"][0],))
    running = RunSelection(status=("RUNNING",), heard_since=START)
    stalled = RunSelection(status=("STALLED", "FAILED"), heard_since=at(2))
    none = RunSelection(project_id=())
    asked = [one_host, ALL_RUNS, running, stalled, none, ALL_RUNS]
    assert await runs.counts(fleet.database.read, asked, 100) == [1, 4, 1, 3, 0, 4]
    assert await runs.counts(fleet.database.read, [ALL_RUNS], 2) == [2]
