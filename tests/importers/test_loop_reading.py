"""Times, PRDs, progress logs and JSON as claude-loop and its users write them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ingest.claude_loop.documents import Findings, placeholder, read_object, read_rows
from ingest.claude_loop.files import find_loops
from ingest.claude_loop.metrics import read_metrics
from ingest.claude_loop.prd import read_prd
from ingest.claude_loop.progress import read_progress
from ingest.claude_loop.times import Times

TOKYO = Times(ZoneInfo("Asia/Tokyo"))
PATH = Path("/shop/metrics.json")


@pytest.mark.parametrize(
    ("text", "instant", "assumed"),
    [
        ("2026-01-28T12:45:00Z", "2026-01-28T12:45:00", None),
        ("2026-01-28T12:45:00.123456+02:00", "2026-01-28T10:45:00", None),
        ("2026-01-28 12:45:10 JST - US-001", "2026-01-28T03:45:10", None),
        ("2026-01-19 00:45 PST", "2026-01-19T08:45:00", None),
        ("2026-01-14 16:30:00", "2026-01-14T07:30:00", "Asia/Tokyo"),
        ("2026-01-24 10:20 AM", "2026-01-24T01:20:00", "Asia/Tokyo"),
        ("2026-01-24 12:20 AM", "2026-01-23T15:20:00", "Asia/Tokyo"),
        ("2026-01-24 9:20 PM", "2026-01-24T12:20:00", "Asia/Tokyo"),
        ("[2026-03-04] - US-013", "2026-03-03T15:00:00", "Asia/Tokyo"),
        ("2026-03-27 - US-010 through US-012", "2026-03-26T15:00:00", "Asia/Tokyo"),
        ("2026-03-27 LLM-001", "2026-03-26T15:00:00", "Asia/Tokyo"),
        ("2026-01-24 10:20 IST", "2026-01-24T01:20:00", "Asia/Tokyo"),  # India's, Israel's or Ireland's
        ("Fri Mar 27 07:42:26 AM UTC 2026", "2026-03-27T07:42:26", None),
        ("Thu Mar  5 02:15:42 PM Universal 2026", "2026-03-05T14:15:42", None),
        ("Wed Mar  4 09:37:11 2026", "2026-03-04T00:37:11", "Asia/Tokyo"),
    ],
)
def test_a_time(text: str, instant: str, assumed: str | None) -> None:
    found = TOKYO.find(text)
    assert found is not None
    assert found.at == datetime.fromisoformat(instant).replace(tzinfo=UTC, microsecond=found.at.microsecond)
    assert found.assumed == assumed
    assert found.raw in text.replace("]", "")
    assert ("read as Asia/Tokyo" in found.remark()) == (assumed is not None)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "US-001", "Fri Mao 27 07:42:26 2026"])
def test_no_time(text: str) -> None:
    assert TOKYO.find(text) is None


def test_times_of_folders_and_of_json() -> None:
    folder = TOKYO.folder("feature_cart_20260124_101803")
    assert folder is not None
    assert (folder.at, folder.is_date) == (datetime(2026, 1, 24, 1, 18, 3, tzinfo=UTC), False)
    dated = TOKYO.folder("2026-03-04-wallet-commands")
    assert dated is not None
    assert dated.is_date
    assert TOKYO.folder("feature") is None
    assert TOKYO.read(1_770_000_000) == datetime(2026, 2, 2, 2, 40, tzinfo=UTC)
    odd: list[object] = [None, True, 5, "x", float("nan"), {}]
    assert [TOKYO.read(value) for value in odd] == [None] * 6
    here = Times(None).find("2026-01-14 16:30:00")
    assert here is not None
    assert here.at == datetime(2026, 1, 14, 16, 30).astimezone(UTC)
    assert here.assumed


LOG = """# Progress Log: shop
# Created: 2026-01-13 19:00:00

## Codebase Patterns
- A pattern

---

## Session Start: 2026-01-13T19:30:00Z

### Iteration: 2026-01-13 20:00
**Story**: US-1 - First - one
**Status**: Complete

#### What was implemented
- A

---
between
### Iteration 2: 2026-01-13 21:00 - US-2 Second (Partial)

**Status**: In Progress (70% complete)
## Notes
- Not an iteration's
## [2026-01-14] - US-1
- Again
## 2026-01-14 - US-3 & US-4
### Iteration: some day
**Story**: US-2 & US-3 - Both
"""


def test_a_progress_log() -> None:
    log = read_progress(LOG, TOKYO)
    assert log.slug == "shop"
    assert log.started is not None
    assert log.started.raw == "2026-01-13 19:00:00"
    told = [(block.story, block.title, block.status, block.number, len(block.lines)) for block in log.blocks]
    assert told == [
        ("US-1", "First - one", "Complete", 1, 4),
        ("US-2", "US-2 Second (Partial)"[5:], "In Progress (70% complete)", 1, 1),
        ("US-1", None, None, 2, 1),
        ("US-3", "& US-4", None, 1, 0),
        ("US-2", "Both", None, 2, 1),
    ]
    assert log.blocks[-1].stamp is None


def test_stories_of_all_kinds() -> None:
    prd = read_prd(
        {
            "name": "shop",
            "stories": [
                {"id": 7, "name": "By name", "priority": "P2", "status": "In Progress", "complexity": "low"},
                {"title": "No id", "priority": "high", "passes": False, "status": "blocked", "dependencies": [7, None]},
                {"id": "x", "passes": True, "status": "failed", "priority": 1e99, "estimatedComplexity": "enormous"},
                {"id": "x", "title": "Again"},
                "nothing",
            ],
        }
    )
    assert (prd.project, prd.branch, prd.label) == ("shop", None, "shop")
    told = [(story.key, story.title, story.priority, story.status, story.complexity) for story in prd.stories]
    assert told == [
        ("7", "By name", 2, "IN_PROGRESS", "SIMPLE"),
        ("story-2", "No id", 1, "BLOCKED", "UNKNOWN"),
        ("x", None, 2**31 - 1, "COMPLETED", "UNKNOWN"),
    ]
    assert [story.depends_on for story in prd.stories] == [(), ("7",), ()]
    assert [story.source_status for story in prd.stories] == ["In Progress", "passes: false", "passes: true"]


def test_metrics_of_odd_values() -> None:
    entries = [
        {"iteration": 1, "cost_usd": "0.5", "tokens_in": "12", "agents_used": ["\x1b[0;34m[DEBUG]\x1b[0m x", "api", 7]},
        {"iteration": 1, "cost_usd": -1, "tokens_in": -5, "duration_ms": "soon", "agents_used": "none"},
        {"cost": 1e12, "tokens_in": None, "status": 5},
        "nothing",
    ]
    metrics = read_metrics({"iterations": entries, "totals": [], "total_cost": "2.5"}, TOKYO, None)
    assert [(one.name, one.cost, one.input_tokens, one.agents) for one in metrics.iterations] == [
        ("1", Decimal("0.5"), 12, ("api",)),
        ("1.2", None, 0, ()),
        ("3", None, 0, ()),
    ]
    assert (metrics.cost, metrics.elapsed_ms, metrics.started_at) == (Decimal("2.5"), None, None)


def test_iterations_without_times_follow_each_other() -> None:
    began = datetime(2026, 1, 13, tzinfo=UTC)
    metrics = read_metrics({"iterations": [{"elapsed_ms": 1000}, {"elapsed_ms": 2000}]}, TOKYO, began)
    assert [one.ended_at for one in metrics.iterations] == [began + timedelta(seconds=n) for n in (1, 3)]


@pytest.mark.parametrize("text", ["", " \n", "{", '{"a": "b', '{"a": 1, ', '{"a": tru', '{"a": [1,\n'])
def test_what_ends_too_early_waits(text: str) -> None:
    findings = Findings()
    assert read_object(PATH, text.encode(), findings) is None
    assert (len(findings.waiting), findings.skipped) == (1, [])
    assert findings.paths == {str(PATH)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "no JSON object"),
        ('{"a": 1}}', "not JSON: Extra data"),
        ("{a: 1}", "not JSON: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_object_is_skipped(text: str, reason: str) -> None:
    findings = Findings()
    assert read_object(PATH, text.encode(), findings) is None
    assert [found.reason for found in findings.skipped] == [reason]


def test_lines_of_json() -> None:
    findings = Findings()
    data = b'\xef\xbb\xbf{"a": 1}\n\n{"b": 2}}\nnone\n[3]\n{"c": 3}'
    assert read_rows(PATH, data, findings) == [(1, {"a": 1}), (3, {"b": 2}), (6, {"c": 3})]
    assert [found.line for found in findings.skipped] == [4, 5]


def test_placeholders() -> None:
    assert placeholder("fix/{{ PRD_ID }}-001") == "{{ PRD_ID }}"
    assert placeholder("a {{ b") is None


def test_what_belongs_to_which_project(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    names = [
        ".claude-loop/runs/20260113_200000/metrics.json",
        ".claude-loop/session-state.json",
        ".claude-loop/logs/provider_usage.jsonl",
        "prd.json",
        "prds/active/x/prd-x.json",
        "archive/y/progress.txt",
        "scripts/ralph/archive/z/prd.json",
        "scripts/ralph/prd.json",
    ]
    others = ["metrics.json", "queue.json", "prd.json.example", "node_modules/prd.json", "notes.md"]
    for name in names + others:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    found = find_loops([root, root / "prd.json", root])
    assert [loop.root for loop in found.loops] == [root]
    assert {path.relative_to(root).as_posix() for path in found.loops[0].files} == set(names)
    assert sorted(path.name for path in found.others) == ["metrics.json", "notes.md", "prd.json.example", "queue.json"]
