"""What the rows of a transcript mean: a session is a conversation, a prompt with all the work until the next a task.

Pure: rows in, records out. Whether a row is new is the caller's knowledge; a row that is not new moves the reader's
state and writes nothing, so that copied, forked and rewritten files add only what they have more.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.records import Batch, Ref
from ingest.claude_code import system
from ingest.claude_code.progress import Pending, Session, Thread, load_progress
from ingest.claude_code.rows import (
    QUIET_KINDS,
    Row,
    blocks_of,
    bounded,
    command_text,
    content_text,
    instant,
    nested_row,
    optional_text,
    prompt_kind,
    row_id,
    short_json,
    tag,
    text_of,
    title_of,
)
from ingest.claude_code.threads import ABANDONED_AFTER, Threads
from ingest.claude_code.tools import Tools
from ingest.claude_code.usage import model_of, usage_entry
from ingest.claude_code.writing import MAIN_AGENT, BatchWriter
from ingest.formats import Question

_TITLES = {"custom-title": ("customTitle", 3), "ai-title": ("aiTitle", 2), "summary": ("summary", 1)}


class Reader:
    """Reads one file's rows in order. `progress` is what reading on from here needs."""

    def __init__(
        self,
        path: str,
        host: str,
        state: dict[str, Any],
        *,
        default_at: datetime,
        default_session: str,
        agent_id: str | None = None,
        present_agents: frozenset[str] = frozenset(),
    ) -> None:
        self.progress = load_progress(state)
        self.kinds: Counter[str] = Counter()
        self._path = path
        self._default_at = default_at
        self._default_session = default_session
        self._agent_id = agent_id
        self._present_agents = present_agents
        self._writer = BatchWriter(host)
        self._tools = Tools(self._writer, self.progress)
        self._threads = Threads(self._writer, self.progress, agent_id)
        self._line = 0

    def question(self, row: Row) -> Question | None:
        """What to look up before a sub-agent's first row is taken; None when nothing is."""
        if self._agent_id is None or self.progress.parent_known:
            return None
        session_id = text_of(row.get("sessionId")) or self._default_session
        at = instant(row.get("timestamp")) or self._default_at
        return Question(self._writer.origin, f"{session_id}/{self._agent_id}", session_id, at)

    def answer(self, parent: UUID | None, *, born: bool) -> None:
        """The question's answer: the task that launched this one, and whether this one is in the store."""
        self._threads.parent = None if parent is None else Ref(id=parent)
        self._threads.born = born
        self.progress.parent_known = True

    def take(self, row: Row, line: bytes, number: int, *, is_new: bool) -> None:
        """Read one row."""
        kind: str = row["type"]
        self.kinds[kind] += 1
        if kind in QUIET_KINDS:
            return
        self._line = number
        self._threads.is_new, self._threads.row_id = is_new, row_id(row, line) or ""
        agent = None
        if kind == "progress":
            nested = nested_row(row)
            if nested is None or nested["agentId"] in self._present_agents:
                return
            row, kind, agent = nested, nested["type"], nested["agentId"]
        progress = self.progress
        at = instant(row.get("timestamp")) or progress.at or self._default_at
        session_id = text_of(row.get("sessionId")) or progress.session or self._default_session
        if kind in _TITLES:
            self._title(row, kind)
            return
        progress.at, progress.session = at, session_id
        session = self._threads.session(row, session_id, at)
        thread = self._threads.thread(row, session_id, agent)
        if kind == "user":
            self._user(row, thread, session, at)
        elif kind == "assistant":
            self._assistant(row, thread, session, at)
        elif kind == "system":
            self._system(row, thread, session, at)
        elif kind == "attachment":
            self._attachment(row, thread, at)
        elif kind == "queue-operation":
            self._queued(text_of(row.get("content")), thread, at)
        elif thread.task is not None and self._threads.is_new:
            rest = {name: value for name, value in row.items() if name not in ("uuid", "parentUuid", "sessionId")}
            self._writer.log(thread.task, at, "SYSTEM", short_json(rest), "DEBUG")

    def finish(self, now: datetime) -> None:
        """Say how the open tasks stand when the file has no more rows at this time."""
        self._threads.conclude_all(now)
        self._tools.give_up(now - ABANDONED_AFTER, self._present_agents)

    @property
    def is_open(self) -> bool:
        """Whether time alone can still change a task of this file."""
        return self._threads.is_open

    def state(self) -> dict[str, Any]:
        """What reading on from here needs, as JSON values."""
        return self.progress.dump()

    def take_batch(self) -> Batch:
        """The records of what was read since the last call."""
        # A message may be the first that is heard of its session: a prompt typed before the first turn.
        for message in self._writer.batch.messages:
            session_id = message.conversation.external_id
            self._writer.conversation(session_id, self.progress.sessions[session_id])
        self._name_tasks()
        return self._writer.take()

    def _name_tasks(self) -> None:
        """Have a record of every task that something in the batch belongs to.

        Its first row may be known from another file that made no task of it: a broken copy. A record that only names
        a task changes nothing of one that is stored.
        """
        threads = {thread.task: thread for thread in self.progress.threads.values()}
        for task, at in self._writer.unnamed_tasks():
            thread = threads.get(task)
            record = self._writer.task(task, at if thread is None else thread.created_at or at)
            session = None if thread is None else self.progress.sessions.get(thread.session)
            if thread is not None and session is not None:
                self._writer.place(record, thread.session, session)

    def _user(self, row: Row, thread: Thread, session: Session, at: datetime) -> None:
        blocks = blocks_of(row)
        if any(block.get("type") == "tool_result" for block in blocks):
            self._threads.touch(thread, at)
            for block in blocks:
                if block.get("type") == "tool_result":
                    self._tools.result(thread, session, row, block, at, is_new=self._threads.is_new)
                elif text_of(block.get("text")).startswith("[Request interrupted by user"):
                    self._threads.interrupted(thread, at, text_of(block.get("text")))
            thread.last = "call"
            return
        message = row.get("message")
        text = content_text(message.get("content")) if isinstance(message, dict) else ""
        kind = prompt_kind(row, text)
        if kind == "interrupt":
            self._threads.interrupted(thread, at, text)
        elif kind == "notification":
            self._notified(text, thread, at)
        elif kind == "empty" or (kind == "meta" and thread.agent is not None):
            return
        elif thread.agent is not None and kind in ("prompt", "command"):
            self._agent_prompt(thread, session, at, text)
        elif kind == "prompt":
            self._threads.begin(thread, session, at, self._threads.row_id, text, title_of(text))
            if self._threads.is_new:
                self._writer.message(thread.session, "USER", at, text, self._threads.row_id, thread.task)
        elif kind == "command":
            command = command_text(text)
            thread.pending = Pending(self._threads.row_id, at, command, title_of(command))
        else:
            if thread.pending is not None:
                thread.pending.echoed |= kind == "echo"
                thread.pending.answered |= kind == "meta"
            if thread.task is not None and self._threads.is_new and kind != "meta":
                self._writer.log(thread.task, at, "SYSTEM", tag(text, "local-command-stdout") or text)

    def _agent_prompt(self, thread: Thread, session: Session, at: datetime, text: str) -> None:
        if thread.task is None:
            self._threads.begin(thread, session, at, f"{thread.session}/{thread.agent}", text, title_of(text))
            return
        self._threads.touch(thread, at)
        if self._threads.is_new:
            self._writer.log(thread.task, at, "SYSTEM", text)

    def _assistant(self, row: Row, thread: Thread, session: Session, at: datetime) -> None:
        message = row.get("message")
        if not isinstance(message, dict):
            return
        task = self._threads.ensure_task(thread, session, at)
        self._threads.touch(thread, at)
        texts: list[str] = []
        called = False
        blocks = blocks_of(row)
        for block in blocks:
            kind = block.get("type")
            if kind == "text":
                texts.append(text_of(block.get("text")).strip())
            elif kind == "thinking" and self._threads.is_new:
                self._writer.log(task, at, "THINKING", text_of(block.get("thinking")).strip())
            elif isinstance(kind, str) and kind.endswith("tool_use"):
                called = True
                self._tools.call(thread, block, at, is_new=self._threads.is_new)
            elif isinstance(kind, str) and kind.endswith("tool_result"):
                self._tools.result(thread, session, row, block, at, is_new=self._threads.is_new)
        text = "\n\n".join(text for text in texts if text)
        thread.last = "call" if called else "text" if text or not blocks else thread.last
        failed = row.get("isApiErrorMessage") is True
        if self._threads.is_new:
            self._record_answer(row, thread, session, task, at, text, failed=failed)
        if failed:
            thread.error_type = optional_text(row.get("error")) or thread.error_type or "api_error"
            self._threads.end(thread, "FAILED", "api_error")
        elif not called and message.get("model") != "<synthetic>":
            reason = optional_text(message.get("stop_reason"))
            if reason not in (None, "tool_use", "pause_turn"):
                self._threads.end(thread, "COMPLETED", reason)

    def _record_answer(
        self, row: Row, thread: Thread, session: Session, task: str, at: datetime, text: str, *, failed: bool
    ) -> None:
        """The records of an assistant row: model, text, usage."""
        writer = self._writer
        record = writer.task(task, at)
        record.model = model_of(row) or record.model
        if thread.agent is None:
            writer.agent(MAIN_AGENT, at)
        if text and failed:
            record.error_message = bounded(text)
            writer.log(task, at, "SYSTEM", text, "ERROR")
        elif text:
            record.result = bounded(text)
            writer.log(task, at, "STDOUT", text)
        if text and thread.agent is None:
            writer.message(thread.session, "SYSTEM" if failed else "ASSISTANT", at, text, self._threads.row_id, task)
        entry = usage_entry(
            row,
            at=at,
            session_id=thread.session,
            task=writer.ref(task),
            host=writer.host,
            project_key=writer.project(session),
            location=f"{self._path}:{self._line}",
        )
        if entry is not None:
            writer.batch.usage.append(entry)

    def _system(self, row: Row, thread: Thread, session: Session, at: datetime) -> None:
        subtype = text_of(row.get("subtype"))
        if subtype == "api_error":
            self._threads.ensure_task(thread, session, at)
            self._threads.touch(thread, at)
            thread.last, thread.error_type = "error", system.error_type(row)
        elif subtype == "turn_duration" and thread.last == "text":
            self._threads.end(thread, "COMPLETED", thread.source_status or subtype)
        if thread.task is not None and self._threads.is_new:
            self._writer.log(thread.task, at, "SYSTEM", system.text(row), system.level(row))

    def _attachment(self, row: Row, thread: Thread, at: datetime) -> None:
        """Attachments are context for the model; only a prompt that was typed during the turn says something."""
        attachment = row.get("attachment")
        if not isinstance(attachment, dict) or attachment.get("type") != "queued_command":
            return
        text = content_text(attachment.get("prompt"))
        if text.lstrip().startswith("<task-notification>"):
            self._notified(text, thread, at)
        elif text and self._threads.is_new:
            self._writer.message(thread.session, "USER", at, text, self._threads.row_id, thread.task)
            if thread.task is not None:
                self._writer.log(thread.task, at, "SYSTEM", f"Prompt during the turn: {text}")

    def _queued(self, text: str, thread: Thread, at: datetime) -> None:
        if text.lstrip().startswith("<task-notification>"):
            self._tools.notified(text, thread, at, is_new=self._threads.is_new)
        elif text and thread.task is not None and self._threads.is_new:
            self._writer.log(thread.task, at, "SYSTEM", f"Queued: {text}")

    def _notified(self, text: str, thread: Thread, at: datetime) -> None:
        """The end of a background task goes on with the prompt's work, or starts a task when that was ended early."""
        summary = self._tools.notified(text, thread, at, is_new=self._threads.is_new)
        if thread.task is None or thread.status in ("CANCELLED", "FAILED"):
            thread.pending = Pending(self._threads.row_id, at, text, title_of(summary or "Background task ended"))
        elif self._threads.is_new:
            self._writer.log(thread.task, at, "SYSTEM", summary or text)

    def _title(self, row: Row, kind: str) -> None:
        name, rank = _TITLES[kind]
        title = optional_text(row.get(name))
        session_id = optional_text(row.get("sessionId")) or self.progress.session
        # A summary at the top of a file is that of another session, which this one was resumed from.
        if title is None or session_id is None:
            return
        session = self.progress.sessions.setdefault(session_id, Session())
        if rank < session.title_rank or title == session.title:
            session.title_rank = max(rank, session.title_rank)
            return
        session.title, session.title_rank = title_of(title), rank
        if session.fresh:
            self._writer.conversation(session_id, session)
