"""Gathers what the reader finds into one batch: one record per task and session, with what they refer to.

Records say what is new since the last batch; fields that were not seen stay None and change nothing in the store.
"""

from __future__ import annotations

from datetime import datetime

from domain.records import (
    AgentRecord,
    Batch,
    ConversationRecord,
    LogRecord,
    MessageRecord,
    ProjectRecord,
    Ref,
    TaskRecord,
)
from ingest.claude_code.progress import Session, Thread
from ingest.claude_code.rows import CONTENT_LIMIT, bounded

SOURCE = "CLAUDE_CODE"
MAIN_AGENT = "claude-code"
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_AGENT_TYPES = {MAIN_AGENT: "EXECUTOR", "Plan": "PLANNING"}


class BatchWriter:
    """Builds batches for one host. `take` hands the batch over and starts the next."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.origin = f"claude-code:{host}"
        self.batch = Batch()
        self._tasks: dict[str, TaskRecord] = {}
        self._projects: dict[str, str] = {}
        self._agents: dict[str, datetime] = {}
        self._sessions: dict[str, Session] = {}
        self._refs: dict[str, Ref] = {}

    def ref(self, external_id: str) -> Ref:
        """A task or conversation of this host."""
        ref = self._refs.get(external_id)
        if ref is None:
            ref = self._refs[external_id] = Ref(self.origin, external_id)
        return ref

    def task(self, external_id: str, at: datetime) -> TaskRecord:
        """The batch's record of a task; the caller fills in what it knows."""
        record = self._tasks.get(external_id)
        if record is None:
            record = TaskRecord(
                origin=self.origin,
                external_id=external_id,
                source=SOURCE,
                created_at=at,
                updated_at=at,
                host=self.host,
            )
            self._tasks[external_id] = record
            self.batch.tasks.append(record)
        record.updated_at = max(record.updated_at, at)
        return record

    def place(self, record: TaskRecord, session_id: str, session: Session) -> None:
        """Say where a new task belongs: session, project, branch."""
        record.conversation = self.ref(session_id)
        record.session_id = session_id
        record.git_branch = session.branch
        record.project_key = self.project(session)
        self.conversation(session_id, session)

    def project(self, session: Session) -> str | None:
        """The key of the folder that the session was started in."""
        if not session.cwd:
            return None
        key = f"{self.host}:{session.cwd}"
        name = session.cwd.replace("\\", "/").rstrip("/").rpartition("/")[2]
        self._projects[key] = name or session.cwd
        return key

    def agent(self, name: str, at: datetime) -> str:
        """Note that an agent worked at that time; returns its name."""
        seen = self._agents.get(name)
        self._agents[name] = at if seen is None else max(seen, at)
        return name

    def conversation(self, session_id: str, session: Session) -> None:
        """Have the session's record in the batch, as it is when the batch is taken."""
        self._sessions[session_id] = session

    def status(self, thread: Thread) -> None:
        """Put a thread's status on the record of its task."""
        if thread.task is None or thread.updated_at is None:
            return
        record = self.task(thread.task, thread.created_at or thread.updated_at)
        record.updated_at = max(record.updated_at, thread.updated_at)
        record.status = thread.status
        record.source_status = thread.source_status
        if thread.status in FINAL:
            record.ended_at = thread.updated_at
        if thread.status == "FAILED":
            record.error_type = thread.error_type

    def log(self, task: str, at: datetime, stream: str, text: str, level: str = "INFO") -> None:
        """One line of a task's log; an empty one is left out."""
        if text:
            self.batch.logs.append(LogRecord(self.ref(task), at, level, stream, bounded(text, CONTENT_LIMIT)))

    def message(self, session_id: str, role: str, at: datetime, text: str, row_id: str, task: str | None) -> None:
        """A message of the session's conversation."""
        self.batch.messages.append(
            MessageRecord(
                conversation=self.ref(session_id),
                role=role,
                at=at,
                text=text,
                external_id=row_id,
                task=None if task is None else self.ref(task),
            )
        )

    def unnamed_tasks(self) -> list[tuple[str, datetime]]:
        """Tasks that something in the batch belongs to and that have no record in it, with the time of the first."""
        batch = self.batch
        found: dict[str, datetime] = {}
        for records in (batch.logs, batch.messages, batch.usage):
            for record in records:
                if record.task is not None and record.task.id is None:
                    found.setdefault(record.task.external_id, record.at)
        for call in batch.tool_calls:
            at = call.started_at or call.ended_at
            if at is not None:
                found.setdefault(call.task.external_id, at)
        return [(task, at) for task, at in found.items() if task not in self._tasks]

    def take(self) -> Batch:
        """What was gathered since the last call."""
        batch = self.batch
        for session_id, session in self._sessions.items():
            if session.created_at is None or session.updated_at is None:
                continue
            batch.conversations.append(
                ConversationRecord(
                    origin=self.origin,
                    external_id=session_id,
                    created_at=session.created_at,
                    updated_at=session.updated_at,
                    title=session.title,
                    host=self.host,
                    project_key=self.project(session),
                    session_id=session_id,
                )
            )
        batch.projects.extend(ProjectRecord(key, name) for key, name in self._projects.items())
        batch.agents.extend(
            AgentRecord(name, self.host, _AGENT_TYPES.get(name, "CUSTOM"), last_seen_at=at)
            for name, at in self._agents.items()
        )
        self.batch = Batch()
        self._tasks, self._projects, self._agents, self._sessions, self._refs = {}, {}, {}, {}, {}
        return batch
