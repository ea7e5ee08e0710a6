"""Makes records of one run: the run with its stories, its iterations as tasks, their logs, tool calls and model calls.

Everything is named so that reading the files again names it the same: iterations by their number where metrics tell
it, else by their story and which of its blocks in the log they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from domain.records import (
    AgentRecord,
    Batch,
    LogRecord,
    ProjectRecord,
    Ref,
    RunRecord,
    StoryRecord,
    TaskRecord,
    Tokens,
    ToolCallRecord,
    UsageEntry,
)
from domain.transitions import status_of
from ingest.claude_loop.metrics import Iteration, Metrics, count, text
from ingest.claude_loop.plan import RunFiles, is_run_folder
from ingest.claude_loop.progress import Block
from ingest.claude_loop.project import SOURCE, UNKNOWN, Surroundings, call_entry
from ingest.lines import shown

AGENT = "claude-loop"
# Work that was begun and of which nothing was heard for so long will not be ended: the loop was stopped.
ABANDONED_AFTER = timedelta(hours=1)
CONTENT_LIMIT = 1 << 20  # characters of one text
# Sources of a PRD in these folders are no longer worked on: that their files are new says nothing.
_SHELVED = frozenset({"archive", "completed", "abandoned", "drafts"})
_RUNNING = ("RUNNING", "STALLED")
Rows = Sequence[tuple[int, dict[str, Any]]]


@dataclass(slots=True)
class Told:
    """A run's records. `lines` are log lines with what they are known by; `is_open`: time alone may change a task."""

    batch: Batch
    lines: list[tuple[str, LogRecord]] = field(default_factory=list)
    line_counts: dict[str, int] = field(default_factory=dict)
    is_open: bool = False


class RunBuilder:
    """Builds the records of one run."""

    def __init__(
        self,
        run: RunFiles,
        around: Surroundings,
        metrics: Metrics | None,
        modified_at: datetime,
        calls: Rows = (),
        executions: Rows = (),
    ) -> None:
        self._run, self._around, self._metrics = run, around, metrics
        self._calls, self._executions, self._modified_at = calls, executions, modified_at
        self._ref = Ref(around.origin, run.name)
        self._told = Told(Batch())
        self._stories: dict[str, StoryRecord] = {story.key: story for story in run.prd.stories} if run.prd else {}
        self._tasks: dict[str, TaskRecord] = {}
        self._agents: dict[str, datetime] = {}
        self._moments: dict[datetime, int] = {}
        archived = around.times.folder(run.folder.name) if run.folder.parent.name == "archive" else None
        self._archived_at = archived.at if archived else None
        self._session = run.session or {}
        self._blocks = [
            block for block in (run.log.blocks if run.log else ()) if run.since <= _local(block) < run.until
        ]
        self._began = self._beginning()

    def build(self) -> Told:
        """All records. Without metrics that should be there, the log waits: it could not be named for good."""
        iterations = self._metrics.iterations if self._metrics else []
        for iteration in iterations:
            self._iteration(iteration)
        self._more_executions()
        if self._metrics is not None or self._run.metrics is None:
            for block, name in zip(self._blocks, self._block_names(iterations), strict=True):
                self._block(block, name)
        self._model_calls(iterations)
        run = self._run_record()
        self._current(run)
        self._settle(run)
        for task in self._tasks.values():
            if task.agent_name is None:
                self._works(task, AGENT, task.updated_at)
        batch, around = self._told.batch, self._around
        batch.runs.append(run)
        batch.tasks += self._tasks.values()
        batch.projects.append(ProjectRecord(around.project_key, around.project))
        batch.agents += [
            AgentRecord(name, around.host, "EXECUTOR" if name == AGENT else "CUSTOM", last_seen_at=at)
            for name, at in self._agents.items()
        ]
        return self._told

    # The run

    def _beginning(self) -> datetime:
        """When the run began, as far as anything tells."""
        times, run, metrics = self._around.times, self._run, self._metrics
        told = [metrics.started_at if metrics else None, times.read(self._session.get("started_at"))]
        if not any(told):
            folder = times.folder(run.name) if is_run_folder(run.name) else None
            told = [folder.at if folder else None]
        if not any(told):
            started = run.log.started.at if run.log and run.log.started else None
            told = [times.read(run.prd.generated_at) if run.prd else None, started]
            told += [block.stamp.at for block in self._blocks if block.stamp]
        return min([at for at in told if at is not None] or [self._archived_at or self._modified_at])

    def _last_heard(self) -> datetime:
        times, run, metrics = self._around.times, self._run, self._metrics
        told = [metrics.updated_at if metrics else None, times.read(self._session.get("last_saved_at"))]
        told += [task.updated_at for task in self._tasks.values()]
        heard = [at for at in (*told, self._archived_at) if at is not None]
        is_shelved = bool(_SHELVED & set(run.folder.parts)) or self._is_complete()
        is_told = (metrics is not None and metrics.updated_at is not None) or bool(self._session)
        if not is_told and not (is_shelved and heard):
            heard.append(self._modified_at)
        return max([*heard, self._began])

    def _is_complete(self) -> bool:
        run = self._run
        if run.prd is None and run.metrics is not None and run.is_newest:
            return False  # stories that are known by their iterations only: the next one may bring another
        return bool(self._stories) and all(story.status == "COMPLETED" for story in self._stories.values())

    def _run_record(self) -> RunRecord:
        run, around, metrics, prd = self._run, self._around, self._metrics, self._run.prd
        updated_at = self._last_heard()
        status, word = self._status()
        return RunRecord(
            origin=around.origin,
            external_id=run.name,
            status=status,
            source_status=word,
            created_at=self._began,
            updated_at=updated_at,
            title=(prd.title if prd else None) or (run.log.slug if run.log else None),
            git_branch=(prd.branch if prd else None) or text(self._session.get("branch")),
            host=around.host,
            project_key=around.project_key,
            elapsed_ms=metrics.elapsed_ms if metrics else None,
            reported_cost_usd=metrics.cost if metrics else None,
            metrics=metrics.rest if metrics else None,
            started_at=self._began if metrics or self._session or self._blocks else None,
            ended_at=None if status in _RUNNING else updated_at,
            stories=list(self._stories.values()),
        )

    def _status(self) -> tuple[str, str | None]:
        """Whether the run is over. One that is not is RUNNING here: readers see by its age that it has stalled."""
        if self._is_complete():
            return "COMPLETED", None
        summary = self._metrics.rest.get("summary") if self._metrics else None
        stories = summary.get("stories") if isinstance(summary, dict) else None
        if isinstance(stories, dict) and self._run.summary is not None:
            total, done, failed = (count(stories.get(name)) for name in ("total", "completed", "failed"))
            if total and done == total:
                return "COMPLETED", "summary"
            if failed:
                return "FAILED", "summary"
        if self._session.get("clean_shutdown") is True:
            return "RUNNING", "clean_shutdown"
        return "RUNNING", text(self._session.get("current_phase"))

    def _current(self, run: RunRecord) -> None:
        """What the loop is at, if it says so and has not ended."""
        key = text(self._session.get("current_story"))
        if key is None or run.status not in _RUNNING or self._session.get("clean_shutdown") is True:
            return
        story = self._story(key)
        run.current_story = key
        if story.status != "COMPLETED":
            story.status = "IN_PROGRESS"
        run.stories = list(self._stories.values())
        number = count(self._session.get("current_iteration"))
        last = self._around.times.read(self._session.get("last_saved_at")) or run.updated_at
        if number:
            name = f"{self._run.name}/{number}"
            if name not in self._tasks:
                record = self._task(name, last, key, story.title)
                record.status = "RUNNING"

    def _settle(self, run: RunRecord) -> None:
        """What was begun and never ended was abandoned; until then the run is looked at again without a change."""
        for task in self._tasks.values():
            if task.status != "RUNNING":
                continue
            if run.status not in _RUNNING or self._around.now - run.updated_at > ABANDONED_AFTER:
                task.status, task.source_status, task.ended_at = "CANCELLED", "abandoned", task.updated_at
            else:
                self._told.is_open = True

    # Iterations

    def _story(self, key: str, title: str | None = None) -> StoryRecord:
        """A story by its key; one that no PRD lists is known by its iterations."""
        story = self._stories.get(key)
        if story is None:
            story = self._stories[key] = StoryRecord(key, title)
        elif story.title is None:
            story.title = title
        return story

    def _task(self, name: str, at: datetime, story: str | None, title: str | None) -> TaskRecord:
        record = self._tasks.get(name)
        if record is None:
            around = self._around
            record = self._tasks[name] = TaskRecord(
                origin=around.origin,
                external_id=name,
                source=SOURCE,
                created_at=at,
                updated_at=at,
                host=around.host,
                project_key=around.project_key,
                run=self._ref,
                git_branch=self._run.prd.branch if self._run.prd else text(self._session.get("branch")),
                session_id=self._metrics.session_id if self._metrics else text(self._session.get("session_id")),
            )
        record.updated_at = max(record.updated_at, at)
        if story is not None:
            record.story = story
            record.title = " · ".join(part for part in (story, self._story(story, title).title) if part)
        elif record.title is None:
            record.title = title
        return record

    def _works(self, record: TaskRecord, agent: str, at: datetime) -> None:
        record.agent_name = agent
        self._agents[agent] = max(at, self._agents.get(agent, at))

    def _iteration(self, iteration: Iteration) -> None:
        ended = iteration.ended_at or (self._metrics.updated_at if self._metrics else None) or self._began
        name = f"{self._run.name}/{iteration.name}"
        record = self._task(name, iteration.started_at or ended, iteration.story, iteration.title)
        record.updated_at = max(record.updated_at, ended)
        record.source_status = iteration.status
        record.status = status_of(iteration.status or "") or "COMPLETED"
        record.started_at, record.ended_at = iteration.started_at, ended
        record.model = iteration.model
        if iteration.agents:
            self._works(record, iteration.agents[0], ended)
        if len(iteration.agents) > 1:
            self._line(name, ended, "SYSTEM", "Agents used: " + ", ".join(iteration.agents))
        story = None if iteration.story is None else self._story(iteration.story)
        if story is not None and self._run.prd is None and record.source_status in ("success", "complete"):
            story.status = "COMPLETED"

    def _more_executions(self) -> None:
        """What execution_log.jsonl adds to iterations: errors and tool calls, each to the next of its story."""
        free: dict[str, list[TaskRecord]] = {}
        for task in self._tasks.values():
            free.setdefault(task.story or "", []).append(task)
        for number, row in self._executions:
            key, times = text(row.get("story_id")), self._around.times
            started, ended = times.read(row.get("timestamp_start")), times.read(row.get("timestamp_end"))
            if key is None or started is None:
                continue
            waiting = free.get(key)
            if waiting:
                record = waiting.pop(0)
            elif self._run.metrics is None:
                record = self._task(f"{self._run.name}/execution/{number}", started, key, text(row.get("story_title")))
                record.source_status, record.started_at, record.ended_at = text(row.get("status")), started, ended
            else:
                continue  # its iteration is not in the metrics yet
            record.error_type = text(row.get("error_type"))
            record.error_message = text(row.get("error_message"))
            actions = row.get("attempted_actions")
            for index, action in enumerate(actions if isinstance(actions, list) else []):
                if isinstance(action, dict):
                    self._tool_call(record, f"{number}.{index}", action, started)

    def _tool_call(self, task: TaskRecord, name: str, action: dict[str, Any], started: datetime) -> None:
        word = text(action.get("status"))
        self._told.batch.tool_calls.append(
            ToolCallRecord(
                Ref(task.origin, task.external_id),
                name,
                name=text(action.get("tool")) or UNKNOWN,
                started_at=self._around.times.read(action.get("timestamp")) or started,
                succeeded=None if word in (None, "pending") else word == "success",
                input=json.dumps(action.get("parameters"))[:CONTENT_LIMIT],
                output=text(action.get("error")),
            )
        )

    # The log

    def _block_names(self, iterations: Sequence[Iteration]) -> list[str]:
        """The task of each block: the next iteration of its story that succeeded, else the next of any outcome."""
        run = self._run
        free = list(iterations)
        names = []
        for block in self._blocks:
            of_story = [iteration for iteration in free if block.story and iteration.story == block.story]
            chosen = next((one for one in of_story if one.status == "success"), next(iter(of_story), None))
            if chosen is not None:
                free.remove(chosen)
                names.append(f"{run.name}/{chosen.name}")
            elif run.metrics is not None and block is self._blocks[-1]:
                # Written while its iteration runs, which the metrics will number so.
                names.append(f"{run.name}/{max((one.number for one in iterations), default=0) + 1}")
            else:
                names.append(f"{run.name}/{block.story or 'block'}/{block.number}")
        return names

    def _block(self, block: Block, name: str) -> None:
        at = block.stamp.at if block.stamp else self._began
        # Of blocks with one date and no time the order must not be lost: a millisecond apart.
        self._moments[at] = self._moments.get(at, -1) + 1
        at += timedelta(milliseconds=self._moments[at])
        is_new = name not in self._tasks
        record = self._task(name, at, block.story, block.title or block.heading)
        if is_new:
            record.source_status = block.status
            if name == f"{self._run.name}/{block.story or 'block'}/{block.number}":
                failed = (block.status or "").lower().startswith(("fail", "blocked"))
                record.status, record.ended_at = "FAILED" if failed else "COMPLETED", at
            else:
                record.status = "RUNNING"
        if block.story is not None and not (self._run.prd and block.story in {s.key for s in self._run.prd.stories}):
            done = (block.status or "complete").lower().startswith(("complete", "enhanced"))
            self._story(block.story).status = "COMPLETED" if done else "IN_PROGRESS"
        if block.stamp is not None:
            self._line(name, at, "SYSTEM", block.stamp.remark())
        for line in block.lines:
            self._line(name, at, "STDOUT", line)

    def _line(self, task: str, at: datetime, stream: str, line: str) -> None:
        record = LogRecord(Ref(self._around.origin, task), at, "INFO", stream, line[:CONTENT_LIMIT])
        number = self._told.line_counts[task] = self._told.line_counts.get(task, 0) + 1
        self._told.lines.append((f"{task}\n{number}\n{line}", record))

    # Model calls

    def _model_calls(self, iterations: Sequence[Iteration]) -> None:
        """Tokens and cost: the lines of provider_usage.jsonl, and of iterations without any what the metrics say."""
        told: dict[str, int] = {}
        named = {(one.number, one.story): one.name for one in iterations}
        for _, row in self._calls:
            number, key = count(row.get("iteration")), text(row.get("story_id"))
            at = self._around.times.read(row.get("timestamp"))
            if number is None or at is None:
                continue
            short = named.get((number, key), str(number))
            name = f"{self._run.name}/{short}"
            if name not in self._tasks:
                self._task(name, at, key, None).status = "RUNNING"
            told[short] = told.get(short, 0) + 1
            self._told.batch.usage.append(call_entry(row, at, self._around, f"{name}#{told[short]}", name))
        for one in iterations:
            if one.name not in told and (one.input_tokens or one.output_tokens or one.cost):
                name = f"{self._run.name}/{one.name}"
                entry = UsageEntry(
                    at=one.ended_at or self._began,
                    model=one.model or UNKNOWN,
                    provider="anthropic",
                    tokens=Tokens(input=one.input_tokens, output=one.output_tokens),
                    source=SOURCE,
                    dedup_key=f"{self._around.origin}:{name}#1",
                    reported_cost_usd=one.cost,
                    task=Ref(self._around.origin, name),
                    host=self._around.host,
                    project_key=self._around.project_key,
                    location=shown(self._run.metrics) if self._run.metrics else None,
                )
                self._told.batch.usage.append(entry)


def _local(block: Block) -> str:
    """A block's own clock, as run folders are named; one that tells no time comes first."""
    if block.stamp is None:
        return ""
    # A date alone counts for runs of that day.
    return block.stamp.local.strftime("%Y%m%d_%H%M%S" if not block.stamp.is_date else "%Y%m%d_999999")
