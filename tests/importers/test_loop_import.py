"""The whole way: claude-loop's folders → PostgreSQL, once, twice, grown, half written, broken, of two hosts."""

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.importers.loop import (
    HEAD,
    LATER,
    PRD,
    RUN,
    START,
    Fetch,
    Project,
    at,
    block,
    documented,
    iteration,
    metrics,
    prd,
    story,
    whole,
)


async def test_a_run_with_stories_iterations_and_log(project: Project, fetch: Fetch) -> None:
    whole(project)
    report = await project.run()
    assert (report.files, report.skipped_count, report.waiting) == (4, 0, [])
    run = (await fetch("SELECT r.*, p.name, h.name AS host FROM runs r, projects p, hosts h WHERE p.id = project_id"))[
        0
    ]
    assert (run["external_id"], run["status"], run["title"], run["name"]) == (RUN, "RUNNING", "Sell things", "shop")
    assert run["origin"] == f"claude-loop:laptop:{project.root}"
    assert (run["reported_cost_usd"], run["elapsed_ms"], run["started_at"]) == (Decimal("0.3"), 120_000, START)
    assert run["git_branch"] == "feature/shop"
    assert json.loads(run["metrics"])["cache"]["hits"] == 3
    stories = await project.rows("SELECT key, status, complexity, priority FROM stories ORDER BY key")
    assert stories == [
        ("US-1", "COMPLETED", "COMPLEX", 1),
        ("US-2", "PENDING", "UNKNOWN", 2),
        ("US-3", "PENDING", "UNKNOWN", 1),
    ]
    joined = "SELECT s.key, o.key FROM story_dependencies d JOIN stories s ON s.id = story_id JOIN stories o"
    assert await project.rows(f"{joined} ON o.id = depends_on_id ORDER BY 1") == [("US-2", "US-1"), ("US-3", "US-2")]
    columns = (
        "external_id, source, status, source_status, title, model, input_tokens, cost_usd,"
        " (SELECT key FROM stories s WHERE s.id = story_id), (SELECT name FROM agents a WHERE a.id = agent_id)"
    )
    model = "claude-sonnet-4-5"
    cost = Decimal("0.15")
    assert await project.tasks(columns) == [
        (f"{RUN}/1", "CLAUDE_LOOP", "COMPLETED", "success", "US-1 · Story US-1", model, 5000, cost, "US-1",
         "backend-architect"),
        (f"{RUN}/2", "CLAUDE_LOOP", "FAILED", "failure", "US-2 · Story US-2", model, 5000, cost, "US-2", "a"),
    ]  # fmt: skip
    lines = "SELECT t.external_id, l.stream, l.text FROM log_lines l JOIN tasks t ON t.id = task_id ORDER BY 1, l.seq"
    assert await project.rows(lines) == [
        (f"{RUN}/1", "SYSTEM", "2026-01-13 20:00:50 (no timezone given: read as UTC)"),
        (f"{RUN}/1", "STDOUT", "**Story**: US-1 - Story US-1"),
        (f"{RUN}/1", "STDOUT", "**Status**: Complete"),
        (f"{RUN}/1", "STDOUT", "- Made it"),
        (f"{RUN}/1", "STDOUT", "- Tested it"),
        (f"{RUN}/2", "SYSTEM", "Agents used: a, b"),
    ]
    calls = "SELECT reported_cost_usd, computed_cost_usd, cost_source FROM usage_records"
    assert await project.rows(calls) == [(cost, Decimal("0.045"), "REPORTED")] * 2


async def test_importing_twice_changes_nothing(project: Project) -> None:
    whole(project)
    await project.run()
    before = await project.counts()
    revisions = await project.rows(
        "SELECT xmin::text, revision FROM runs UNION ALL SELECT xmin::text, revision FROM tasks"
    )
    told = len(project.events)
    report = await project.run(now=LATER)
    assert (report.unchanged_files, report.files) == (4, 4)
    # Touched without a change they have nothing new; neither has a file that is written again as it was.
    for path in project.root.rglob("*.json"):
        os.utime(path, (1, 1))
    assert (await project.run()).unchanged_files == 4
    project.write("prd.json", json.dumps(PRD))
    await project.run()
    assert await project.counts() == before
    again = "SELECT xmin::text, revision FROM runs UNION ALL SELECT xmin::text, revision FROM tasks"
    assert await project.rows(again) == revisions
    assert len(project.events) == told


async def test_the_documented_shape(project: Project) -> None:
    told: dict[str, Any] = {"tokens_in": 5000, "tokens_out": 2000, "cost": 0.15, "agents_used": []}
    first = {"story_id": "US-1", "status": "success", "elapsed_ms": 180_000, **told}
    second = {"story_id": "US-2", "status": "failure", "elapsed_ms": 60_000, **told}
    project.metrics(documented(first, second))
    await project.run()
    run = "SELECT reported_cost_usd, elapsed_ms, started_at, updated_at::text FROM runs"
    assert await project.rows(run) == [(Decimal("2.5"), 3_600_000, START, "2026-01-13 21:00:00+00")]
    assert await project.tasks("external_id, status, (ended_at - started_at)::text, model, cost_usd") == [
        (f"{RUN}/1", "COMPLETED", "00:03:00", None, Decimal("0.15")),
        (f"{RUN}/2", "FAILED", "00:01:00", None, Decimal("0.15")),
    ]
    # Without a PRD stories are known by their iterations.
    assert await project.stories() == [("US-1", "COMPLETED"), ("US-2", "PENDING")]
    assert await project.rows("SELECT DISTINCT model, computed_cost_usd FROM usage_records") == [("unknown", None)]


async def test_a_run_that_grows(project: Project) -> None:
    project.metrics(metrics())
    project.write("prd.json", prd(story("US-1"), story("US-2")))
    project.write("progress.txt", HEAD)
    await project.run()
    assert await project.tasks() == []
    # The agent writes its log while its iteration runs; the metrics number it only afterwards.
    log = HEAD + block("US-1", "2026-01-13 20:00:50", "- One")
    project.write("progress.txt", log)
    await project.run()
    assert await project.tasks() == [(f"{RUN}/1", "RUNNING")]
    project.metrics(metrics(iteration(1, "US-1")))
    project.write("prd.json", prd(story("US-1", passes=True), story("US-2")))
    await project.run()
    assert await project.tasks("external_id, status, call_count") == [(f"{RUN}/1", "COMPLETED", 1)]
    assert await project.stories() == [("US-1", "COMPLETED"), ("US-2", "PENDING")]
    project.write("progress.txt", log + block("US-2", "2026-01-13 20:01:50", "- Two"))
    project.metrics(metrics(iteration(1, "US-1"), iteration(2, "US-2")))
    project.write("prd.json", prd(story("US-1", passes=True), story("US-2", passes=True)))
    report = await project.run()
    assert report.written["new_log_lines"] == 4
    assert await project.tasks() == [(f"{RUN}/1", "COMPLETED"), (f"{RUN}/2", "COMPLETED")]
    assert await project.rows("SELECT status, revision > 1, ended_at IS NOT NULL FROM runs") == [
        ("COMPLETED", True, True)
    ]
    assert (await project.counts())["log_lines"] == 8


async def test_half_written_metrics_wait(project: Project) -> None:
    whole(project)
    text = json.dumps(metrics(iteration(1, "US-1")))
    path = project.metrics(text[: len(text) // 2])
    report = await project.run()
    assert [(Path(one.path), one.reason) for one in report.waiting] == [(path, "not written to its end yet")]
    # What is there is shown; the log waits, for its iterations have no numbers yet.
    assert await project.tasks() == []
    assert len(await project.stories()) == 3
    project.metrics(text)
    report = await project.run()
    assert report.waiting == []
    assert await project.tasks() == [(f"{RUN}/1", "COMPLETED")]
    # The next state half written: what is stored stays, and the rest comes with the next pass.
    before = await project.counts()
    grown = json.dumps(metrics(iteration(1, "US-1"), iteration(2, "US-2")))
    project.metrics(grown[:-20])
    project.write("progress.txt", HEAD + block("US-1", "2026-01-13 20:00:50", "- Made it"))
    assert len((await project.run()).waiting) == 1
    assert await project.counts() == before
    project.metrics(grown)
    await project.run()
    assert len(await project.tasks()) == 2


async def test_titles_with_quotes_are_mended(project: Project) -> None:
    text = json.dumps(metrics(iteration(1, "US-1", story_title="TITLE")), indent=2)
    project.metrics(text.replace("TITLE", 'Say "hello" to all'))
    report = await project.run()
    assert report.skipped_count == 0
    assert await project.tasks("title") == [('US-1 · Say "hello" to all',)]


async def test_what_is_no_json_is_skipped_with_its_line(project: Project) -> None:
    whole(project)
    project.metrics('{\n  "started_at": oops,\n  "a": 1}')
    project.write("prds/active/x/prd.json", b"[1, 2]")
    project.write("prds/active/y/prd.json", {"project": "y"})
    report = await project.run()
    reasons = {(Path(one.path).relative_to(project.root).as_posix(), one.line, one.reason) for one in report.skipped}
    assert reasons == {
        (f".claude-loop/runs/{RUN}/metrics.json", 2, "not JSON: Expecting value"),
        ("prds/active/x/prd.json", 0, "no JSON object"),
        ("prds/active/y/prd.json", 0, "no stories in it (userStories)"),
    }
    assert await project.rows("SELECT external_id FROM runs") == [(RUN,)]


async def test_a_template_is_skipped(project: Project) -> None:
    path = project.write("templates/prd-bugfix.json", prd(story("{{PRD_ID}}-001"), project="{{PROJECT_NAME}}"))
    whole(project)
    report = await project.run()
    assert [(one.path, one.reason) for one in report.skipped] == [
        (str(path), "a template: {{PROJECT_NAME}} was never filled in")
    ]
    assert (await project.counts())["runs"] == 1
    assert (await project.run()).unchanged_files == 5


async def test_a_run_without_metrics_shows_what_is_there(project: Project) -> None:
    project.write(
        f".claude-loop/runs/{RUN}/summary.json",
        {"stories": {"total": 2, "completed": 1, "failed": 1}, "cost": {"total_usd": 1.5}, "duration": {"wall_ms": 5}},
    )
    project.write("prd.json", prd(story("US-1", passes=True), story("US-2")))
    project.write("progress.txt", HEAD + block("US-1", "2026-01-13 20:00:50", "- One"))
    await project.run()
    run = "SELECT external_id, status, source_status, reported_cost_usd, elapsed_ms FROM runs"
    assert await project.rows(run) == [(RUN, "FAILED", "summary", Decimal("1.5"), 5)]
    assert await project.tasks() == [(f"{RUN}/US-1/1", "COMPLETED")]
    assert (await project.counts())["usage_records"] == 0


async def test_the_same_names_on_two_hosts_stay_apart(project: Project) -> None:
    whole(project)
    await project.run(host="laptop")
    one = await project.counts()
    report = await project.run(host="desktop")
    assert report.unchanged_files == 0
    two = await project.counts()
    for table in ("runs", "stories", "tasks", "log_lines", "usage_records"):
        assert two[table] == 2 * one[table], table
    hosts = "SELECT h.name, a.name FROM agents a JOIN hosts h ON h.id = host_id ORDER BY 1, 2"
    both = [("a",), ("backend-architect",)]
    assert await project.rows(hosts) == [("desktop", *name) for name in both] + [("laptop", *name) for name in both]


async def test_two_projects_of_one_host_stay_apart(project: Project, tmp_path: Path) -> None:
    whole(project)
    other = Project(project.database, project.fetch, tmp_path / "other")
    whole(other)
    await project.run(tmp_path)
    assert await project.rows("SELECT count(DISTINCT origin), count(*) FROM runs") == [(2, 2)]
    assert len(await project.stories()) == 6


async def test_lines_of_provider_usage_are_the_calls_of_their_iterations(project: Project) -> None:
    whole(project)
    call = {
        "story_id": "US-1",
        "provider": "anthropic",
        "model": "claude-haiku-4-5",
        "input_tokens": 10,
        "output_tokens": 20,
        "cost_usd": 0.01,
        "latency_ms": 900,
    }
    rows = [
        {"timestamp": at(30), "iteration": 1, **call},
        {"timestamp": at(40), "iteration": 1, **call, "fallback_used": True},
        {"timestamp": at(150), "iteration": 3, **call, "story_id": "US-3"},
    ]
    project.write(".claude-loop/logs/provider_usage.jsonl", rows)
    await project.run()
    columns = "external_id, status, call_count, cost_usd"
    expected = [
        (f"{RUN}/1", "COMPLETED", 2, Decimal("0.02")),
        (f"{RUN}/2", "FAILED", 1, Decimal("0.15")),
        (f"{RUN}/3", "RUNNING", 1, Decimal("0.01")),  # its iteration is not in the metrics yet
    ]
    assert await project.tasks(columns) == expected
    # An hour later it never will be.
    await project.run(now=LATER)
    assert (await project.tasks(columns + ", source_status"))[2][1:] == ("CANCELLED", 1, Decimal("0.01"), "abandoned")


async def test_the_execution_log_adds_errors_and_tool_calls(project: Project) -> None:
    whole(project)
    action = {
        "tool": "Edit",
        "parameters": {"file_path": "/a.py"},
        "status": "success",
        "timestamp": at(70),
        "error": "",
    }
    row = {
        "story_id": "US-2",
        "timestamp_start": at(60),
        "timestamp_end": at(120),
        "status": "failure",
        "error_type": "validation",
        "error_message": "2 tests failed",
        "attempted_actions": [action],
    }
    lines = json.dumps(row) + "}\n" + "nonsense\n" + '{"story_id": "US-'
    path = project.write(".claude-loop/execution_log.jsonl", lines)
    report = await project.run()
    assert [(one.path, one.line) for one in report.skipped] == [(str(path), 2)]
    assert [(one.path, one.line) for one in report.waiting] == [(str(path), 3)]
    assert (await project.tasks("external_id, error_type, error_message"))[1] == (
        f"{RUN}/2",
        "validation",
        "2 tests failed",
    )
    calls = await project.rows("SELECT name, succeeded, input FROM tool_calls")
    assert calls == [("Edit", True, '{"file_path": "/a.py"}')]


async def test_each_run_has_its_part_of_the_log(project: Project) -> None:
    project.metrics(metrics(iteration(1, "US-1"), started_at="2026-01-10T08:00:00Z"), run="20260110_080000")
    project.metrics(metrics(iteration(1, "US-2")))
    project.write("prd.json", PRD)
    early, late = block("US-1", "2026-01-10 08:00:40", "- One"), block("US-2", "2026-01-13 20:00:40", "- Two")
    project.write("progress.txt", HEAD + early + late)
    await project.run()
    lines = (
        "SELECT t.external_id, l.text FROM log_lines l JOIN tasks t ON t.id = task_id WHERE text LIKE '- %' ORDER BY 1"
    )
    assert await project.rows(lines) == [("20260110_080000/1", "- One"), (f"{RUN}/1", "- Two")]
    owners = "SELECT r.external_id, count(*) FROM stories s JOIN runs r ON r.id = run_id GROUP BY 1 ORDER BY 1"
    assert await project.rows(owners) == [("20260110_080000", 1), (RUN, 3)]  # the PRD is the newest run's


async def test_prds_without_runs_are_runs_of_their_own(project: Project) -> None:
    project.write("prd.json", prd(story("US-1")))
    project.write("progress.txt", "# Ralph Progress Log\nStarted: 2026-01-13\n---\n## 2026-01-13 - US-1\n- Done\n---\n")
    project.write("archive/2026-01-01-cart/prd.json", prd(story("US-1", passes=True), branchName="ralph/cart"))
    project.write("prds/active/pay/prd-pay.json", prd(stories=[story("A")], userStories=None, branchName="pay"))
    await project.run()
    assert await project.rows("SELECT external_id, status FROM runs ORDER BY 1") == [
        ("archive/2026-01-01-cart/prd.json:ralph/cart", "COMPLETED"),
        ("prd.json:feature/shop", "RUNNING"),
        ("prds/active/pay/prd-pay.json:pay", "RUNNING"),
    ]
    assert await project.rows("SELECT count(DISTINCT origin), count(DISTINCT project_id) FROM runs") == [(1, 1)]
    assert await project.tasks() == [("prd.json:feature/shop/US-1/1", "COMPLETED")]
    # The next feature in the same file is another run.
    project.write("prd.json", prd(story("US-1"), branchName="ralph/next"))
    project.write("progress.txt", "# Ralph Progress Log\n")
    await project.run()
    assert (await project.counts())["runs"] == 4


async def test_a_log_of_another_prd_is_a_run_of_its_own(project: Project) -> None:
    project.write("archive/x_20260114_160707/prd.json", prd(story("US-1"), project="next", branchName="next"))
    log = HEAD + block("US-1", "2026-01-13 20:00", "- One") + block("US-2", "2026-01-13 21:00", status="In Progress")
    project.write("archive/x_20260114_160707/progress.txt", log)
    await project.run()
    assert await project.rows("SELECT external_id, title FROM runs ORDER BY 1") == [
        ("archive/x_20260114_160707/prd.json:next", "Sell things"),
        ("archive/x_20260114_160707/progress.txt:shop", "shop"),
    ]
    assert await project.stories() == [("US-1", "COMPLETED"), ("US-1", "PENDING"), ("US-2", "IN_PROGRESS")]


async def test_the_queue_is_tasks(project: Project) -> None:
    first = {"id": "q1", "prd_path": "prds/a.json", "status": "pending", "submitted_at": at(0)}
    second = {"id": "q2", "prd_path": "b.json", "status": "completed", "submitted_at": at(0), "completed_at": at(9)}
    project.write(".claude-loop/daemon/queue.json", {"tasks": [first, second, "?"]})
    await project.run()
    assert await project.tasks("external_id, status, title") == [
        ("queue/q1", "QUEUED", "prds/a.json"),
        ("queue/q2", "COMPLETED", "b.json"),
    ]
