"""A loop at work: which run its session belongs to. Its own stamp and that of the run's folder are taken apart."""

from datetime import timedelta
from typing import Any

import pytest

from tests.importers.loop import (
    HEAD,
    LATER,
    RUN,
    START,
    Project,
    at,
    block,
    iteration,
    metrics,
    prd,
    story,
)

PRD = prd(story("US-1"), story("US-2", priority=2), story("US-3", priority=3))
DONE = prd(story("US-1", passes=True), story("US-2", priority=2), story("US-3", priority=3))
RUNS = "SELECT external_id, status, current_story_key FROM runs ORDER BY 1"
OWNERS = "SELECT DISTINCT r.external_id FROM stories s JOIN runs r ON r.id = run_id ORDER BY 1"


def session(project: Project, stamp: str = RUN, **values: Any) -> None:
    """A session that names the project's PRD, as claude-loop does."""
    state = {
        "session_id": f"shop_feature_{stamp}",
        "branch": "feature/shop",
        "prd_file": str(project.root / "prd.json"),
        "current_phase": "implementation",
        "current_story": "US-2",
        "current_iteration": 2,
        "started_at": at(0),
        "last_saved_at": at(70),
        "clean_shutdown": False,
        **values,
    }
    project.write(".claude-loop/session-state.json", state)


async def test_a_session_says_what_the_loop_is_at(project: Project) -> None:
    project.metrics(metrics(iteration(1, "US-1")))
    project.write("prd.json", DONE)
    session(project)
    await project.run()
    run = "SELECT external_id, status, source_status, current_story_key, updated_at::text FROM runs"
    assert await project.rows(run) == [(RUN, "RUNNING", "implementation", "US-2", "2026-01-13 20:01:10+00")]
    assert await project.stories() == [("US-1", "COMPLETED"), ("US-2", "IN_PROGRESS"), ("US-3", "PENDING")]
    assert (await project.tasks("external_id, status, (SELECT key FROM stories s WHERE s.id = story_id)"))[1] == (
        f"{RUN}/2",
        "RUNNING",
        "US-2",
    )
    session(project, clean_shutdown=True, last_saved_at=at(140))
    await project.run(now=LATER)
    assert await project.rows("SELECT current_story_key, source_status FROM runs") == [(None, "clean_shutdown")]


@pytest.mark.parametrize("stamp", ["20260113_195958", "20260113_200003"])
async def test_a_session_that_began_seconds_beside_its_folder(project: Project, stamp: str) -> None:
    project.metrics(metrics(iteration(1, "US-1")))
    project.write("prd.json", DONE)
    session(project, stamp)
    await project.run()
    assert await project.rows(RUNS) == [(RUN, "RUNNING", "US-2")]
    assert await project.rows(OWNERS) == [(RUN,)]


async def test_a_session_that_was_taken_up_again_is_of_the_newest_run(project: Project) -> None:
    project.metrics(metrics(iteration(1, "US-1")))
    second = "20260114_090000"
    project.metrics(metrics(iteration(1, "US-2"), started_at="2026-01-14T09:00:00Z"), run=second)
    project.write("prd.json", DONE)
    session(project, last_saved_at="2026-01-14T09:05:00Z")
    await project.run()
    assert [(name, story) for name, _, story in await project.rows(RUNS)] == [(RUN, None), (second, "US-2")]


async def test_a_session_that_no_folder_fits_is_a_run_of_its_own(project: Project) -> None:
    project.metrics(metrics(iteration(1, "US-1")))
    project.write("prd.json", DONE)
    session(project, "20260113_180000", started_at=at(-7200), last_saved_at=at(-7000))
    await project.run()
    assert [name for name, *_ in await project.rows(RUNS)] == ["20260113_180000", RUN]


async def test_a_run_whose_folder_is_empty_yet_is_known_by_its_session(project: Project) -> None:
    project.write("prd.json", PRD)
    (project.root / ".claude-loop" / "runs" / RUN).mkdir(parents=True)
    session(project, "20260113_195959", current_story=None, current_iteration=0)
    await project.run()
    assert await project.rows(RUNS) == [(RUN, "RUNNING", None)]
    project.metrics(metrics(iteration(1, "US-1")))
    session(project, "20260113_195959")
    await project.run()
    assert await project.rows(RUNS) == [(RUN, "RUNNING", "US-2")]


async def test_a_session_waits_a_moment_for_its_folder(project: Project) -> None:
    project.write("prd.json", PRD)
    session(project, "20260113_195959", current_story=None, current_iteration=0)
    await project.run(now=START + timedelta(seconds=1))
    assert await project.rows(RUNS) == []
    (project.root / ".claude-loop" / "runs" / RUN).mkdir(parents=True)
    await project.run(now=START + timedelta(seconds=2))
    assert await project.rows(RUNS) == [(RUN, "RUNNING", None)]


async def test_a_session_without_a_folder_is_a_run(project: Project) -> None:
    project.write("prd.json", PRD)
    session(project, current_story=None, current_iteration=0)
    await project.run(now=START + timedelta(seconds=5))
    assert await project.rows(RUNS) == [(RUN, "RUNNING", None)]


async def test_a_run_without_a_plan_is_not_over_after_its_first_story(project: Project) -> None:
    project.metrics(metrics(iteration(1, "US-1")))
    await project.run()
    assert await project.rows(RUNS) == [(RUN, "RUNNING", None)]
    project.write(f".claude-loop/runs/{RUN}/summary.json", {"stories": {"total": 1, "completed": 1, "failed": 0}})
    await project.run()
    assert await project.rows(RUNS) == [(RUN, "COMPLETED", None)]


async def test_a_plan_becomes_its_run(project: Project) -> None:
    project.write("prd.json", PRD)
    await project.run(now=START - timedelta(hours=1))
    assert await project.rows(RUNS) == [("prd.json:feature/shop", "RUNNING", None)]
    session(project, current_story=None, current_iteration=0)
    project.events.clear()
    await project.run()
    assert await project.rows(RUNS) == [(RUN, "RUNNING", None)]
    assert [event.kind for event in project.events if event.topic == "runs"] == ["RunDeleted", "RunChanged"]
    assert await project.stories() == [("US-1", "PENDING"), ("US-2", "PENDING"), ("US-3", "PENDING")]


async def test_a_plan_that_was_worked_on_without_a_run_stays(project: Project) -> None:
    project.write("prd.json", DONE)
    project.write("progress.txt", HEAD + block("US-1", "2026-01-12 08:00:00", "- Made it"))
    await project.run()
    project.metrics(metrics(iteration(1, "US-2")))
    await project.run()
    assert [name for name, *_ in await project.rows(RUNS)] == [RUN, "prd.json:feature/shop"]


async def test_another_plan_in_the_same_file_takes_nothing_away(project: Project) -> None:
    project.write("prd.json", PRD)
    await project.run()
    project.write("prd.json", prd(story("US-7"), branchName="feature/cart"))
    project.metrics(metrics(iteration(1, "US-7")))
    await project.run()
    assert [name for name, *_ in await project.rows(RUNS)] == [RUN, "prd.json:feature/shop"]
