"""Whatever stands in claude-loop's files, the import ends, says what it skipped, and reads the other projects."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.database import Database
from tests.importers.loop import RUN, Fetch, Project, block, iteration, metrics, prd, story

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["US-1", "success", "2026-01-13T20:00:00Z", "0001-01-01", "9999-12-31 23:59:59", "\x00", "\ud800"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner), max_leaves=8
)


def _object(*names: str, **given_values: Any) -> Any:
    """An object with some of these keys, each of any value."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES) | given_values)


STORY = _object("id", "title", "description", "priority", "passes", "notes", "status", "dependencies", "complexity")
ITERATION = _object(
    *("iteration", "story_id", "story_title", "tokens_in", "tokens_out", "cost_usd", "cost", "model", "duration_ms"),
    *("elapsed_ms", "status", "agents_used", "timestamp"),
)
FILES = st.fixed_dictionaries(
    {
        f".claude-loop/runs/{RUN}/metrics.json": _object(
            *("session_id", "started_at", "updated_at", "last_update", "elapsed_time_s", "totals", "cache", "parallel"),
            iterations=st.lists(ITERATION, max_size=4),
        ),
        f".claude-loop/runs/{RUN}/summary.json": _object("stories", "tokens", "cost", "duration"),
        "prd.json": _object("project", "branchName", "description", userStories=st.lists(STORY, max_size=4)),
        ".claude-loop/session-state.json": _object(
            *("session_id", "branch", "prd_file", "current_phase", "current_story", "current_iteration", "started_at"),
            *("last_saved_at", "clean_shutdown"),
        ),
        ".claude-loop/daemon/queue.json": _object(
            "tasks", tasks=st.lists(_object("id", "prd_path", "status", "submitted_at", "completed_at", "result"))
        ),
    }
)
LINES = st.lists(
    _object("timestamp", "timestamp_start", "timestamp_end", "story_id", "iteration", "model", "input_tokens", "status")
    | _object("cost_usd", "attempted_actions", "error_type", "error_message", "timestamp_start", "story_id"),
    max_size=3,
)


async def test_values_of_any_kind(database: Database, fetch: Fetch, tmp_path: Path) -> None:
    number = 0

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(FILES, LINES, st.text(max_size=200))
    def write(files: dict[str, Any], lines: list[dict[str, Any]], log: str) -> None:
        nonlocal number
        number += 1
        project = Project(database, fetch, tmp_path / f"p{number}")
        for name, value in files.items():
            project.write(name, json.dumps(value))
        project.write(".claude-loop/logs/provider_usage.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        project.write(".claude-loop/execution_log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        text = "### Iteration: 2026-01-13 20:00\n**Story**: US-1 - x\n" + log
        project.write("progress.txt", text.encode(errors="surrogatepass"))

    write()
    good = Project(database, fetch, tmp_path / "zz")
    good.metrics(metrics(iteration(1, "US-1")))
    report = await Project(database, fetch, tmp_path).run()
    assert report.unreadable == []
    assert len(await fetch("SELECT FROM runs WHERE origin LIKE '%/zz'")) == 1
    assert (await fetch("SELECT count(*) FROM runs"))[0][0] > number / 2
    before = await good.counts()
    await Project(database, fetch, tmp_path).run()
    assert await good.counts() == before


async def test_long_and_unfit_texts(database: Database, fetch: Fetch, tmp_path: Path) -> None:
    project = Project(database, fetch, tmp_path / "shop")
    key, text = "US-" + "9" * 5000, "a\x00b\ud800" + "x" * 100_000
    project.write("prd.json", prd(story(key, title=text, notes=text, description=text), branchName=text))
    project.metrics(metrics(iteration(1, key, story_title=text, model=text, status=text, agents_used=["a" * 300])))
    log = block("US-1", "2026-01-13 20:00:50", "x" * 200_000).encode() + b"\xff\xfe"
    project.write("progress.txt", log)
    await project.run()
    assert await project.tasks("status, length(model) <= 200, length(title) <= 300") == [
        ("COMPLETED", True, True),
        ("RUNNING", None, True),
    ]
    assert await project.rows("SELECT max(length(text)), bool_or(truncated) FROM log_lines") == [(65536, True)]
