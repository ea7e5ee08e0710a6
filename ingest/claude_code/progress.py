"""How far a transcript was read: sessions, and the task that each thread of work is at. Plain data, kept as JSON.

This is all that reading a file on from an offset needs; it stays small however long the file gets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import orjson

# Calls whose result has not come yet. More than these are calls that will never be answered: the oldest go.
OPEN_CALL_LIMIT = 256
SIDECHAIN_LIMIT = 64


@dataclass(slots=True)
class Pending:
    """Something that starts a task only if the agent works on it: a slash command, the end of a background task."""

    id: str
    at: datetime
    text: str
    title: str
    echoed: bool = False
    answered: bool = False  # the interface added instructions for the model: it will work


@dataclass(slots=True)
class OpenCall:
    """A tool call that waits for its result."""

    task: str
    name: str
    at: datetime
    agent: str | None = None
    title: str | None = None


@dataclass(slots=True)
class Thread:
    """A line of work: a session's own, or one sub-agent's. `task` is the external id of what it is at."""

    session: str
    agent: str | None = None
    task: str | None = None
    title: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    status: str = "RUNNING"
    source_status: str | None = None
    last: str = ""  # what came last: text, call, error
    error_type: str | None = None
    fresh: bool = False  # this file has added something to the task
    pending: Pending | None = None
    calls: dict[str, OpenCall] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """What is known of a session."""

    created_at: datetime | None = None
    updated_at: datetime | None = None
    cwd: str | None = None
    branch: str | None = None
    title: str | None = None
    title_rank: int = 0
    fresh: bool = False


@dataclass(slots=True)
class Progress:
    """The reader's whole state."""

    at: datetime | None = None
    session: str | None = None
    parent_known: bool = False
    sessions: dict[str, Session] = field(default_factory=dict)
    threads: dict[str, Thread] = field(default_factory=dict)
    # Of old versions' sub-agents, which stand in the session's own file: their newest row → their name.
    sidechains: dict[str, str] = field(default_factory=dict)
    # Sub-agents started in the background that have not ended: task → time of the start.
    background: dict[str, datetime] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """As JSON values."""
        return orjson.loads(orjson.dumps(self))  # type: ignore[no-any-return]


def load_progress(state: dict[str, Any]) -> Progress:
    """What `dump` wrote; an empty object is a file that was not read yet."""
    progress: Progress = _build(Progress, state)
    progress.sessions = {key: _build(Session, value) for key, value in progress.sessions.items()}  # type: ignore[arg-type]
    progress.threads = {key: _thread(value) for key, value in progress.threads.items()}  # type: ignore[arg-type]
    progress.background = {key: datetime.fromisoformat(str(at)) for key, at in progress.background.items()}
    return progress


def _thread(state: dict[str, Any]) -> Thread:
    thread: Thread = _build(Thread, state)
    if thread.pending is not None:
        thread.pending = _build(Pending, thread.pending)  # type: ignore[arg-type]
    thread.calls = {key: _build(OpenCall, value) for key, value in thread.calls.items()}  # type: ignore[arg-type]
    return thread


def _build(kind: Any, state: dict[str, Any]) -> Any:
    """An instance from its JSON; fields of another version of this program are left out."""
    names = {item.name for item in fields(kind)}
    values = {name: value for name, value in state.items() if name in names}
    for name in ("at", "created_at", "updated_at"):
        if isinstance(values.get(name), str):
            values[name] = datetime.fromisoformat(values[name])
    return kind(**values)
