"""Folders of claude-loop with everything that a test does not care about filled in, and their import."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from db.database import Database, WriteTransaction
from db.handles import Event
from ingest.claude_loop.files import find_loops
from ingest.claude_loop.run import import_loops
from ingest.report import Report

Fetch = Callable[..., Awaitable[list[Any]]]
START = datetime(2026, 1, 13, 20, 0, tzinfo=UTC)
RUN = "20260113_200000"
SOON = START + timedelta(minutes=10)
LATER = START + timedelta(days=2)
TABLES = ("runs", "stories", "tasks", "log_lines", "tool_calls", "usage_records", "usage_evidence", "events")


def at(seconds: float) -> str:
    """So many seconds after the beginning, as claude-loop writes it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def story(key: str, **values: Any) -> dict[str, Any]:
    """A story of a PRD."""
    return {"id": key, "title": f"Story {key}", "priority": 1, "passes": False, "notes": "", **values}


def prd(*stories: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A PRD."""
    return {
        "project": "shop",
        "branchName": "feature/shop",
        "description": "Sell things",
        "userStories": list(stories),
        **values,
    }


def iteration(number: int, key: str, **values: Any) -> dict[str, Any]:
    """An iteration of a minute, as claude-loop really writes it."""
    return {
        "iteration": number,
        "story_id": key,
        "story_title": f"Story {key}",
        "tokens_in": 5000,
        "tokens_out": 2000,
        "cost_usd": 0.15,
        "model": "claude-sonnet-4-5",
        "duration_ms": 60_000,
        "status": "success",
        "agents_used": ["backend-architect"],
        "timestamp": at(60 * number),
        **values,
    }


def metrics(*iterations: dict[str, Any], **values: Any) -> dict[str, Any]:
    """metrics.json as claude-loop really writes it."""
    done = len(iterations)
    return {
        "session_id": f"shop_{RUN}",
        "started_at": at(0),
        "updated_at": at(60 * done),
        "model_usage": {"sonnet": done},
        "cache": {"hits": 3, "misses": 1, "hit_rate": 0.75, "saved_tokens_estimate": 900},
        "parallel": {"enabled": True, "batches": 2, "workers_used": 3, "speedup_factor": 1.8},
        "totals": {"iterations": done, "cost_usd": round(0.15 * done, 2), "wall_duration_ms": 60_000 * done},
        "iterations": list(iterations),
        **values,
    }


def documented(*iterations: dict[str, Any], **values: Any) -> dict[str, Any]:
    """metrics.json as claude-loop's documentation has it."""
    return {
        "elapsed_time_s": 3600,
        "total_cost": 2.5,
        "total_iterations": len(iterations),
        "success_count": 1,
        "failure_count": 1,
        "last_update": at(3600),
        "iterations": list(iterations),
        **values,
    }


def block(key: str, clock: str, *lines: str, status: str = "Complete") -> str:
    """A block of progress.txt."""
    body = "\n".join(lines)
    return f"### Iteration: {clock}\n**Story**: {key} - Story {key}\n**Status**: {status}\n{body}\n\n---\n\n"


HEAD = "# Progress Log: shop\n# Created: 2026-01-13 19:00:00\n\n## Iteration History\n\n"


class Project:
    """A project's folder, and its import."""

    def __init__(self, database: Database, fetch: Fetch, root: Path) -> None:
        self.database, self.fetch, self.root = database, fetch, root
        self.events: list[Event] = []

    def write(self, name: str, value: object) -> Path:
        """A file: an object as JSON, a list as JSON lines, text and bytes as they are."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, dict):
            path.write_text(json.dumps(value, indent=2))
        elif isinstance(value, list):
            path.write_text("".join(json.dumps(row) + "\n" for row in value))
        elif isinstance(value, bytes):
            path.write_bytes(value)
        else:
            path.write_text(str(value))
        return path

    def metrics(self, value: object, run: str = RUN) -> Path:
        """A run's metrics.json."""
        return self.write(f".claude-loop/runs/{run}/metrics.json", value)

    async def publish(self, transaction: WriteTransaction) -> None:
        """Keep what was told."""
        self.events += transaction.emitted

    async def run(self, *folders: Path, host: str = "laptop", now: datetime = SOON, zone: str = "UTC") -> Report:
        """Import the folder."""
        report = Report()
        await import_loops(
            self.database,
            find_loops(folders or [self.root]),
            host=host,
            zone=ZoneInfo(zone),
            clock=lambda: now,
            publish=self.publish,
            report=report,
        )
        return report

    async def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        query = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in TABLES)
        return dict((await self.fetch(query))[0])

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows as tuples."""
        return [tuple(row) for row in await self.fetch(sql)]

    async def tasks(self, columns: str = "external_id, status") -> list[tuple[Any, ...]]:
        """Tasks in order of creation."""
        return await self.rows(f"SELECT {columns} FROM tasks ORDER BY tasks.created_at, tasks.external_id")

    async def stories(self) -> list[tuple[Any, ...]]:
        """Stories of all runs."""
        return await self.rows("SELECT key, status FROM stories ORDER BY key, status")


PRD = prd(
    story("US-1", passes=True, estimatedComplexity="high"),
    story("US-2", priority=2, dependencies=["US-1"]),
    story("US-3", dependencies=["US-2", "US-9"]),
)


def whole(project: Project) -> None:
    """A run with all of its files."""
    project.metrics(metrics(iteration(1, "US-1"), iteration(2, "US-2", status="failure", agents_used=["a", "b"])))
    project.write(f".claude-loop/runs/{RUN}/summary.json", {"cost": {"total_usd": 0.3}, "stories": {"total": 3}})
    project.write("prd.json", PRD)
    project.write("progress.txt", HEAD + block("US-1", "2026-01-13 20:00:50", "- Made it", "", "- Tested it"))
