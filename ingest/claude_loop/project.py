"""What all runs of a project share, and what belongs to none of them: the daemon's queue, and how a call is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.records import Batch, ProjectRecord, Ref, TaskRecord, Tokens, UsageEntry
from ingest.claude_loop.metrics import count, kept, money, text
from ingest.claude_loop.times import Times

SOURCE = "CLAUDE_LOOP"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all runs of a project share."""

    host: str
    root: str
    project: str
    times: Times
    now: datetime

    @property
    def origin(self) -> str:
        """Kind, host and project: the same run, story and agent names on another host are others."""
        return f"claude-loop:{self.host}:{self.root}"

    @property
    def project_key(self) -> str:
        """The folder on its host, as transcripts name it."""
        return f"{self.host}:{self.root}"


def call_entry(row: dict[str, Any], at: datetime, around: Surroundings, key: str, task: str | None) -> UsageEntry:
    """A line of provider_usage.jsonl."""
    told = ("complexity", "latency_ms", "success", "fallback_used", "story_id", "iteration")
    return UsageEntry(
        at=at,
        model=text(row.get("model")) or UNKNOWN,
        provider=text(row.get("provider")) or "anthropic",
        tokens=Tokens(input=count(row.get("input_tokens")) or 0, output=count(row.get("output_tokens")) or 0),
        source=SOURCE,
        dedup_key=f"{around.origin}:{key}",
        reported_cost_usd=money(row.get("cost_usd")),
        task=None if task is None else Ref(around.origin, task),
        host=around.host,
        project_key=around.project_key,
        raw=kept({name: row[name] for name in told if name in row}),
    )


def queue_batch(value: dict[str, Any], around: Surroundings, modified_at: datetime) -> Batch:
    """The PRDs that wait for claude-loop's daemon, or were run by it: a task each."""
    batch = Batch(projects=[ProjectRecord(around.project_key, around.project)])
    listed = value.get("tasks")
    for entry in listed if isinstance(listed, list) else []:
        name = text(entry.get("id")) if isinstance(entry, dict) else None
        if name is None:
            continue
        times = around.times
        submitted, started, ended = (
            times.read(entry.get(key)) for key in ("submitted_at", "started_at", "completed_at")
        )
        created = submitted or started or ended or modified_at
        result = entry.get("result")
        batch.tasks.append(
            TaskRecord(
                origin=around.origin,
                external_id=f"queue/{name}",
                source=SOURCE,
                created_at=created,
                updated_at=max(at for at in (created, started, ended) if at is not None),
                source_status=text(entry.get("status")),
                title=text(entry.get("prd_path")) or name,
                result=result if isinstance(result, str) else None if result is None else json.dumps(result),
                host=around.host,
                project_key=around.project_key,
                started_at=started,
                ended_at=ended,
            )
        )
    return batch
