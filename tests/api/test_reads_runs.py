"""runs, run, latestRun, executionStatus, stories and iterations, from outside, at a clock that the test sets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.ids import new_id, show_id
from domain.records import Batch, LogRecord, ProjectRecord, Ref, RunRecord, StoryRecord, TaskRecord, Tokens, UsageEntry
from local import StoreUrls
from settings import Settings
from tests.client import Server
from tests.serving import serving
from tests.storage.build import START, at

ORIGIN = "claude-loop:laptop:/shop"
NAME = "20260301_120000"
OPERATIONS = Path(__file__).parents[2] / "graphql/operations"
RUN_BOARD, RUN_DETAIL = ((OPERATIONS / f"{name}.graphql").read_text() for name in ("RunBoard", "RunDetail"))
STATUS = """
query Status($runId: ID) {
  executionStatus(runId: $runId) {
    isRunning run { externalId status } currentStory { key status } currentTask { externalId startedAt }
    completedStoryCount storyCount progressPercent elapsedMs estimatedRemainingMs costUsd updatedAt
  }
}
"""
NAMES = """
query Names($filter: RunFilter, $first: Int, $after: String, $last: Int, $before: String) {
  runs(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    nodes { externalId status }
    edges { cursor }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount
  }
}
"""


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(at(30))


@pytest.fixture
async def fleet(settings: Settings, database_url: str, store_urls: StoreUrls, clock: Clock) -> AsyncIterator[Server]:
    """A server whose clock the test sets."""
    async with serving(settings, database_url, store_urls.redis_url, clock=clock) as running:
        yield running


def run(name: str = NAME, *, seconds: float = 0, **values: Any) -> RunRecord:
    """A run of two minutes, last heard of at `seconds`."""
    given: dict[str, Any] = {
        "status": "RUNNING",
        "created_at": START,
        "updated_at": at(seconds),
        "started_at": START,
        "host": "laptop",
        "elapsed_ms": 120_000,
        **values,
    }
    return RunRecord(ORIGIN, name, **given)


def task(name: str, *, seconds: float = 0, story: str | None = None, **values: Any) -> TaskRecord:
    """An iteration."""
    return TaskRecord(
        ORIGIN, name, "CLAUDE_LOOP", at(seconds), at(seconds), run=Ref(ORIGIN, NAME), story=story, **values
    )


STORIES = [
    StoryRecord("US-1", "First", priority=2, status="COMPLETED", complexity="SIMPLE", description="Do it", notes="Did"),
    StoryRecord("US-2", "Second", priority=1, status="IN_PROGRESS", depends_on=("US-1", "US-3")),
    StoryRecord("US-3", "Third", priority=1),
    StoryRecord("US-4", "Fourth", priority=3, depends_on=("US-1",)),
]


async def _status(server: Server, **variables: Any) -> dict[str, Any]:
    return dict((await server.query(STATUS, **variables))["executionStatus"])


async def test_how_a_run_stands(fleet: Server, clock: Clock) -> None:
    tasks = [
        task("1", story="US-1", status="COMPLETED"),
        task("2", seconds=5, story="US-2", status="RUNNING", started_at=at(5)),
    ]
    cost = UsageEntry(
        at(1), "m", "anthropic", Tokens(1), "CLAUDE_LOOP", dedup_key="a", task=Ref(ORIGIN, "1"),
        reported_cost_usd=Decimal("0.25"),
    )  # fmt: skip
    await fleet.write(Batch(runs=[run(stories=STORIES, current_story="US-2")], tasks=tasks, usage=[cost]))
    clock.now = at(59.9)
    assert await _status(fleet) == {
        "isRunning": True,
        "run": {"externalId": NAME, "status": "RUNNING"},
        "currentStory": {"key": "US-2", "status": "IN_PROGRESS"},
        "currentTask": {"externalId": "2", "startedAt": "2026-03-01T12:00:05.123Z"},
        "completedStoryCount": 1,
        "storyCount": 4,
        "progressPercent": 25.0,
        "elapsedMs": 120_000,
        "estimatedRemainingMs": 360_000,
        "costUsd": 0.25,
        "updatedAt": "2026-03-01T12:00:00.123Z",
    }
    clock.now = at(60)  # less than 60 s ago is running; 60 s is not
    status = await _status(fleet)
    assert (status["isRunning"], status["run"]["status"]) == (False, "STALLED")


async def test_at_no_completed_story_there_is_no_estimate(fleet: Server) -> None:
    await fleet.write(Batch(runs=[run(stories=STORIES[1:])]))
    status = await _status(fleet)
    assert (status["progressPercent"], status["estimatedRemainingMs"], status["currentStory"]) == (0, None, None)


async def test_a_run_without_stories_and_metrics(fleet: Server) -> None:
    assert (await fleet.query(STATUS))["executionStatus"] is None
    assert (await fleet.query("{ latestRun { id } }"))["latestRun"] is None
    await fleet.write(Batch(runs=[run(elapsed_ms=None, started_at=None)]))
    status = await _status(fleet)
    told = {name: status[name] for name in ("storyCount", "progressPercent", "elapsedMs", "estimatedRemainingMs")}
    assert told == {"storyCount": 0, "progressPercent": 0, "elapsedMs": 0, "estimatedRemainingMs": None}
    assert (status["costUsd"], status["currentTask"]) == (0, None)


async def test_what_a_run_took_and_cost_without_its_own_sums(fleet: Server) -> None:
    record = run(seconds=90, elapsed_ms=None, reported_cost_usd=Decimal("2.5"), status="COMPLETED", ended_at=at(60))
    await fleet.write(Batch(runs=[record], tasks=[task("1", status="COMPLETED")]))
    status = await _status(fleet)
    assert (status["elapsedMs"], status["costUsd"], status["isRunning"]) == (60_000, 2.5, False)


async def test_stories_with_what_they_wait_for(fleet: Server) -> None:
    await fleet.write(Batch(runs=[run(stories=STORIES)]))
    document = """{ latestRun { stories {
        key title description notes priority status complexity dependsOn { key } blockedBy { key } run { externalId }
    } } }"""
    stories = (await fleet.query(document))["latestRun"]["stories"]
    assert [story["key"] for story in stories] == ["US-2", "US-3", "US-1", "US-4"]
    second, _, first, fourth = stories
    assert first == {
        "key": "US-1",
        "title": "First",
        "description": "Do it",
        "notes": "Did",
        "priority": 2,
        "status": "COMPLETED",
        "complexity": "SIMPLE",
        "dependsOn": [],
        "blockedBy": [],
        "run": {"externalId": NAME},
    }
    assert (second["dependsOn"], second["blockedBy"]) == ([{"key": "US-3"}, {"key": "US-1"}], [{"key": "US-3"}])
    assert (fourth["dependsOn"], fourth["blockedBy"]) == ([{"key": "US-1"}], [])


async def test_iterations_carry_story_and_log(fleet: Server) -> None:
    tasks = [
        task(str(n), seconds=n, story=f"US-{n}", status=("COMPLETED", "FAILED", "RUNNING")[n - 1]) for n in (1, 2, 3)
    ]
    logs = [LogRecord(Ref(ORIGIN, "1"), at(1), "INFO", "STDOUT", "done")]
    call = UsageEntry(
        at(1), "claude-sonnet-4-5", "anthropic", Tokens(1000, output=100), "CLAUDE_LOOP", dedup_key="a",
        task=Ref(ORIGIN, "1"), reported_cost_usd=Decimal("0.02"),
    )  # fmt: skip
    applied = await fleet.write(
        Batch(runs=[run(stories=STORIES, reported_cost_usd=Decimal("0.03"))], tasks=tasks, logs=logs, usage=[call])
    )
    detail = (await fleet.query(RUN_DETAIL, id=show_id("run", applied.run_ids[ORIGIN, NAME]), iterations=2))["run"]
    counted = [detail[f"{name}Count"] for name in ("iteration", "succeededIteration", "failedIteration")]
    assert counted == [3, 1, 1]
    iterations = detail["iterations"]
    assert (iterations["totalCount"], iterations["pageInfo"]["hasNextPage"]) == (3, True)
    assert [node["story"]["key"] for node in iterations["nodes"]] == ["US-1", "US-2"]
    assert [line["text"] for line in iterations["nodes"][0]["logs"]["nodes"]] == ["done"]
    # Three sums: of the calls as reported, by the run's own word, and by dated prices.
    assert (detail["usage"]["costUsd"], detail["reportedCostUsd"], detail["computedCostUsd"]) == (0.02, 0.03, 0.0045)
    assert (detail["cache"], detail["parallel"]) == (None, None)
    task_id = show_id("task", applied.task_ids[ORIGIN, "2"])
    back = await fleet.query(f'{{ task(id: "{task_id}") {{ run {{ externalId }} story {{ key }} }} }}')
    assert back["task"] == {"run": {"externalId": NAME}, "story": {"key": "US-2"}}


async def test_cache_and_parallel_of_any_shape(fleet: Server) -> None:
    odd = {"cache": {"hits": "3", "misses": 1, "hit_rate": 0.5}, "parallel": {"enabled": 1, "speedup_factor": 2}}
    await fleet.write(Batch(runs=[run(metrics=odd), run("other", metrics={"cache": [], "parallel": None})]))
    document = "{ runs { nodes { externalId cache { hits misses hitRate } parallel { isEnabled speedup } } } }"
    nodes = {node.pop("externalId"): node for node in (await fleet.query(document))["runs"]["nodes"]}
    assert nodes[NAME] == {
        "cache": {"hits": None, "misses": 1, "hitRate": 0.5},
        "parallel": {"isEnabled": None, "speedup": 2},
    }
    assert nodes["other"] == {"cache": None, "parallel": None}


async def _names(server: Server, **variables: Any) -> list[str]:
    return [node["externalId"] for node in (await server.query(NAMES, **variables))["runs"]["nodes"]]


async def test_filters_see_statuses_as_they_are_now(fleet: Server, clock: Clock) -> None:
    await fleet.write(
        Batch(
            projects=[ProjectRecord("shop", "Shop")],
            runs=[
                run("silent", seconds=-100, started_at=at(-100)),
                run("going", host="desktop"),
                run("done", status="COMPLETED", project_key="shop"),
                run("plan", started_at=None, seconds=-300),
            ],
        )
    )
    assert sorted(await _names(fleet, filter={"status": ["RUNNING"]})) == ["going"]
    assert sorted(await _names(fleet, filter={"status": ["STALLED", "COMPLETED"]})) == ["done", "plan", "silent"]
    clock.now += timedelta(minutes=1)
    assert await _names(fleet, filter={"status": ["RUNNING"]}) == []
    assert await _names(fleet, filter={"status": []}) == []
    ids = await fleet.query("{ runs { nodes { externalId host { id } project { id } } } }")
    found = {node["externalId"]: node for node in ids["runs"]["nodes"]}
    assert await _names(fleet, filter={"hostId": [found["going"]["host"]["id"]]}) == ["going"]
    assert await _names(fleet, filter={"projectId": [found["done"]["project"]["id"]]}) == ["done"]
    early = {"between": {"from": at(-200).isoformat(), "to": at(-1).isoformat()}}
    assert await _names(fleet, filter={"startedAt": early}) == ["silent"]
    error = await fleet.error(NAMES, filter={"startedAt": {"lastMs": -1}})
    assert error["extensions"]["code"] == "INVALID_RANGE"


async def test_pages_both_ways(fleet: Server) -> None:
    await fleet.write(Batch(runs=[run(f"r{n}", created_at=at(n), updated_at=at(n)) for n in range(5)]))
    first = (await fleet.query(NAMES, first=2))["runs"]
    assert [node["externalId"] for node in first["nodes"]] == ["r4", "r3"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (5, True)
    await fleet.write(Batch(runs=[run("newer", created_at=at(9), updated_at=at(9))]))
    cursor = first["pageInfo"]["endCursor"]
    assert await _names(fleet, first=2, after=cursor) == ["r2", "r1"]
    assert await _names(fleet, last=2) == ["r1", "r0"]
    assert await _names(fleet, last=5, before=cursor) == ["newer", "r4"]
    assert (await fleet.error(NAMES, first=0))["extensions"]["code"] == "INVALID_PAGE_SIZE"
    assert (await fleet.error(NAMES, after="x"))["extensions"]["code"] == "INVALID_CURSOR"


async def test_the_latest_run_of_a_project(fleet: Server) -> None:
    await fleet.write(
        Batch(runs=[run("old", project_key="a"), run("new", created_at=at(5), updated_at=at(5), project_key="b")])
    )
    document = "query L($projectId: ID) { latestRun(projectId: $projectId) { externalId project { id } } }"
    newest = (await fleet.query(document))["latestRun"]
    assert newest["externalId"] == "new"
    nodes = (await fleet.query("{ runs { nodes { externalId project { id } } } }"))["runs"]["nodes"]
    old = next(node["project"]["id"] for node in nodes if node["externalId"] == "old")
    assert (await fleet.query(document, projectId=old))["latestRun"]["externalId"] == "old"
    for nothing in (show_id("project", new_id(START)), "project_x", show_id("run", new_id(START))):
        assert (await fleet.query(document, projectId=nothing))["latestRun"] is None


async def test_a_plan_is_not_the_latest_run_unless_nothing_else_is_there(fleet: Server) -> None:
    document = "{ latestRun { externalId } executionStatus { run { externalId } } }"
    await fleet.write(Batch(runs=[run("plan", created_at=at(9), updated_at=at(9), started_at=None)]))
    found = await fleet.query(document)
    assert (found["latestRun"]["externalId"], found["executionStatus"]["run"]["externalId"]) == ("plan", "plan")
    await fleet.write(Batch(runs=[run("began", created_at=at(5), updated_at=at(5), started_at=at(5))]))
    found = await fleet.query(document)
    assert (found["latestRun"]["externalId"], found["executionStatus"]["run"]["externalId"]) == ("began", "began")


async def test_by_id_and_by_node(fleet: Server) -> None:
    applied = await fleet.write(Batch(runs=[run(stories=STORIES)]))
    run_id = show_id("run", applied.run_ids[ORIGIN, NAME])
    story_id = (await fleet.query("{ latestRun { stories { id } } }"))["latestRun"]["stories"][0]["id"]
    document = (
        "query N($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Run { externalId } ... on Story { key } } }"
    )
    missing = show_id("story", new_id(START))
    assert (await fleet.query(document, ids=[run_id, story_id, missing]))["nodes"] == [
        {"__typename": "Run", "id": run_id, "externalId": NAME},
        {"__typename": "Story", "id": story_id, "key": "US-2"},
        None,
    ]
    find = "query R($id: ID!) { run(id: $id) { externalId } }"
    assert (await fleet.query(find, id=run_id))["run"] == {"externalId": NAME}
    for nothing in (show_id("run", new_id(START)), "run_x", story_id):
        assert (await fleet.query(find, id=nothing))["run"] is None
        assert (await fleet.query(STATUS, runId=nothing))["executionStatus"] is None
    assert (await _status(fleet, runId=run_id))["storyCount"] == 4


async def test_tasks_of_a_run_by_filter(fleet: Server) -> None:
    applied = await fleet.write(Batch(runs=[run(stories=STORIES)], tasks=[task("1", story="US-1"), task("2")]))
    run_id = show_id("run", applied.run_ids[ORIGIN, NAME])
    document = "query T($id: ID!) { tasks(filter: {runId: [$id]}) { totalCount nodes { story { key } } } }"
    found = (await fleet.query(document, id=run_id))["tasks"]
    assert found["totalCount"] == 2
    assert {node["story"] and node["story"]["key"] for node in found["nodes"]} == {"US-1", None}


async def test_the_board_takes_as_many_statements_for_many_runs(fleet: Server) -> None:
    counts = []
    for n in range(2):
        records = [run(f"r{n}{i}", created_at=at(n), updated_at=at(n), stories=STORIES) for i in range(1 + 19 * n)]
        await fleet.write(Batch(runs=records))
        before = fleet.statement_count
        await fleet.query(RUN_BOARD)
        counts.append(fleet.statement_count - before)
    assert counts[0] == counts[1]


async def test_following_how_the_newest_run_stands(fleet: Server, clock: Clock) -> None:
    fields = "isRunning completedStoryCount progressPercent run { externalId }"
    document = f"subscription S($runId: ID) {{ executionStatusChanged(runId: $runId) {{ {fields} }} }}"
    await fleet.write(Batch(runs=[run(stories=STORIES)]))
    async with asyncio.timeout(20), fleet.subscribe("runs", document) as statuses:  # which takes the first state
        await fleet.write(Batch(runs=[run(seconds=20, stories=[StoryRecord("US-2", status="COMPLETED")])]))
        status = (await statuses.next())["data"]["executionStatusChanged"]
    assert status == {
        "isRunning": True,
        "run": {"externalId": NAME},
        "completedStoryCount": 2,
        "progressPercent": 50,
    }
    missing = show_id("run", new_id(START))
    refused = await fleet.post(document, {"runId": missing}, Accept="text/event-stream")
    assert f"There is no run {missing}." in refused.text
