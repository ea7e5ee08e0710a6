"""The sample fleet goes the way of every transcript."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from db.database import Database, WriteTransaction
from ingest.sample import NEWEST_AGE, SAMPLE_FOLDER, load_sample, sample_copy
from tests.importers.importer import Fetch

NOW = datetime(2027, 8, 9, 10, 11, 12, 345000, tzinfo=UTC)


async def publish(_transaction: WriteTransaction) -> None:
    """Nobody listens."""


async def test_the_sample_fleet_shows_what_a_fleet_does(database: Database, fetch: Fetch) -> None:
    report = await load_sample(database, now=NOW, publish=publish)
    assert (report.skipped_count, report.waiting, report.unreadable) == (0, [], [])
    tasks = await fetch("SELECT * FROM tasks ORDER BY created_at")
    statuses = Counter(task["status"] for task in tasks)
    assert statuses == {"COMPLETED": 14, "CANCELLED": 3, "FAILED": 3}
    assert sum(task["parent_task_id"] is not None for task in tasks) == 3
    assert {task["error_type"] for task in tasks} == {None, "overloaded_error"}
    assert sum(task["cost_usd"] for task in tasks) > 0
    assert (await fetch("SELECT count(*) FROM usage_records WHERE cost_usd IS NULL"))[0][0] == 0
    agents = {row["name"] for row in await fetch("SELECT name FROM agents")}
    loop_agents = {"frontend-developer", "backend-architect"}
    assert agents == {"claude-code", "Explore", "general-purpose"} | loop_agents
    assert {row["name"] for row in await fetch("SELECT name FROM projects")} == {"orchard-shop", "tide-tables"}
    assert (await fetch("SELECT count(*) FROM conversations"))[0][0] == 4
    assert max(task["updated_at"] for task in tasks) <= NOW - NEWEST_AGE


async def test_it_has_a_run_of_claude_loop(database: Database, fetch: Fetch) -> None:
    await load_sample(database, now=NOW, publish=publish)
    (run,) = await fetch("SELECT r.*, p.key AS project FROM runs r JOIN projects p ON p.id = project_id")
    assert (run["origin"], run["project"]) == (
        "claude-loop:sample:/home/sam/tide-tables",
        "sample:/home/sam/tide-tables",
    )
    assert (run["status"], float(run["reported_cost_usd"])) == ("RUNNING", 1.1796)
    assert datetime.strptime(run["external_id"], "%Y%m%d_%H%M%S").replace(tzinfo=UTC) == run["started_at"].replace(
        microsecond=0
    )
    assert run["updated_at"] <= NOW - NEWEST_AGE
    stories = await fetch("SELECT key, status FROM stories ORDER BY key")
    assert [row["status"] for row in stories] == ["COMPLETED", "COMPLETED", "PENDING", "PENDING"]
    iterations = (
        "SELECT status, call_count, (SELECT count(*) FROM log_lines l WHERE l.task_id = t.id) AS lines FROM tasks t"
        " WHERE run_id IS NOT NULL ORDER BY created_at"
    )
    rows = [tuple(row) for row in await fetch(iterations)]
    assert rows == [("COMPLETED", 1, 11), ("COMPLETED", 1, 9), ("FAILED", 1, 7), ("FAILED", 1, 1)]


async def test_loading_it_twice_changes_nothing(database: Database, fetch: Fetch) -> None:
    await load_sample(database, now=NOW, publish=publish)
    counts = "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM log_lines), (SELECT sum(revision) FROM tasks)"
    before = await fetch(counts)
    await load_sample(database, now=NOW, publish=publish)
    assert await fetch(counts) == before


def test_a_copy_moves_all_times_by_the_same_span(tmp_path: Path) -> None:
    sample_copy(tmp_path, NOW)
    moves: set[object] = set()
    newest = datetime(2000, 1, 1, tzinfo=UTC)
    for path in SAMPLE_FOLDER.rglob("*.jsonl"):
        copy = tmp_path / path.relative_to(SAMPLE_FOLDER)
        for old, new in zip(path.read_text().splitlines(), copy.read_text().splitlines(), strict=True):
            before, after = json.loads(old), json.loads(new)
            if "timestamp" in before:
                at = datetime.fromisoformat(after.pop("timestamp"))
                moves.add(at - datetime.fromisoformat(before.pop("timestamp")))
                newest = max(newest, at)
            assert before == after
    assert len(moves) == 1
    assert newest == NOW - NEWEST_AGE
