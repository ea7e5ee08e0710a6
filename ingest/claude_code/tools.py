"""Tool calls, and the sub-agents that some of them launch."""

from __future__ import annotations

import re
from datetime import datetime

import orjson

from domain.records import ToolCallRecord
from ingest.claude_code.progress import OPEN_CALL_LIMIT, OpenCall, Progress, Session, Thread
from ingest.claude_code.rows import (
    LOG_LIMIT,
    SHORT_LIMIT,
    Row,
    bounded,
    content_text,
    notification,
    optional_text,
    text_of,
    title_of,
)
from ingest.claude_code.writing import BatchWriter

# The tool that starts a sub-agent was renamed in 2.1.
LAUNCHING_TOOLS = frozenset({"Task", "Agent"})
_AGENT_ID = re.compile(r"\bagentId: ([0-9A-Za-z_-]+)")
_ENDS = {"completed": "COMPLETED", "failed": "FAILED", "killed": "CANCELLED", "stopped": "CANCELLED"}


class Tools:
    """The tool calls of one file."""

    def __init__(self, writer: BatchWriter, progress: Progress) -> None:
        self._writer = writer
        self._progress = progress

    def call(self, thread: Thread, block: Row, at: datetime, *, is_new: bool) -> None:
        """A `tool_use` block."""
        call_id, name = text_of(block.get("id")), text_of(block.get("name")) or "unknown"
        if not call_id or thread.task is None:
            return
        arguments = block.get("input")
        call = OpenCall(thread.task, name, at)
        if name in LAUNCHING_TOOLS and isinstance(arguments, dict):
            call.agent = optional_text(arguments.get("subagent_type"))
            call.title = optional_text(arguments.get("description"))
        thread.calls[call_id] = call
        while len(thread.calls) > OPEN_CALL_LIMIT:
            del thread.calls[next(iter(thread.calls))]
        if not is_new:
            return
        text = orjson.dumps(arguments).decode(errors="replace") if arguments is not None else ""
        self._writer.batch.tool_calls.append(
            ToolCallRecord(
                self._writer.ref(thread.task), call_id, name=name, started_at=at, input=bounded(text) or None
            )
        )
        short = text if len(text) <= SHORT_LIMIT else text[: SHORT_LIMIT - 1] + "…"
        self._writer.log(thread.task, at, "TOOL_CALL", f"{name} {short}".rstrip())

    def result(self, thread: Thread, session: Session, row: Row, block: Row, at: datetime, *, is_new: bool) -> None:
        """A `tool_result` block: it ends the call of its id."""
        call_id = text_of(block.get("tool_use_id"))
        call = thread.calls.pop(call_id, None)
        task = thread.task if call is None else call.task
        if task is None or not call_id or not is_new:
            return
        text = content_text(block.get("content"))
        failed = block.get("is_error") is True
        self._writer.batch.tool_calls.append(
            ToolCallRecord(
                self._writer.ref(task),
                call_id,
                name="unknown" if call is None else call.name,
                started_at=at if call is None else call.at,
                ended_at=None if call is None else max(at, call.at),
                succeeded=not failed,
                output=bounded(text) or None,
            )
        )
        self._writer.log(task, at, "TOOL_RESULT", bounded(text, LOG_LIMIT), "ERROR" if failed else "INFO")
        if call is not None:
            self._launched(thread, session, row, call, text, at, failed=failed)

    def _launched(
        self, thread: Thread, session: Session, row: Row, call: OpenCall, text: str, at: datetime, *, failed: bool
    ) -> None:
        """The result of a launch names the sub-agent: its task is a child of the one that called."""
        told = row.get("toolUseResult")
        told = told if isinstance(told, dict) else {}
        agent_id = optional_text(told.get("agentId"))
        if agent_id is None and call.name in LAUNCHING_TOOLS:
            found = _AGENT_ID.search(text)
            agent_id = found[1] if found else None
        if agent_id is None or call.name not in LAUNCHING_TOOLS:
            return
        child = f"{thread.session}/{agent_id}"
        record = self._writer.task(child, call.at)
        self._writer.place(record, thread.session, session)
        record.created_at = call.at
        record.started_at = call.at
        record.parent = self._writer.ref(call.task)
        name = optional_text(told.get("agentType")) or call.agent or "general-purpose"
        record.agent_name = self._writer.agent(name, at)
        prompt = optional_text(told.get("prompt"))
        record.title = title_of(call.title or prompt or "") or record.title
        record.input = prompt or record.input
        word = optional_text(told.get("status"))
        if word == "async_launched":
            record.status, record.source_status = "RUNNING", word
            self._progress.background[child] = call.at
            return
        record.status, record.source_status = "FAILED" if failed else "COMPLETED", word or "returned"
        record.ended_at = max(at, call.at)
        answer = content_text(told.get("content")) or text
        if failed:
            record.error_message = bounded(answer) or None
        else:
            record.result = bounded(answer) or None

    def notified(self, text: str, thread: Thread, at: datetime, *, is_new: bool) -> str:
        """A background task has ended; returns what is said of it."""
        told = notification(text)
        child = f"{thread.session}/{told.agent_id}"
        started = self._progress.background.pop(child, None)
        status = _ENDS.get(told.status)
        if started is not None and status is not None and is_new:
            record = self._writer.task(child, started)
            record.status, record.source_status = status, told.status
            record.updated_at = record.ended_at = max(at, started)
        return told.summary

    def give_up(self, before: datetime, present_agents: frozenset[str]) -> None:
        """Background sub-agents of which nothing was heard, and of which there is no file, were left behind."""
        for child, started in list(self._progress.background.items()):
            if started < before:
                del self._progress.background[child]
                if child.rpartition("/")[2] not in present_agents:
                    record = self._writer.task(child, started)
                    record.status, record.source_status = "CANCELLED", "abandoned"
                    record.ended_at = started
