"""What every server is asked, in its own words, and its answers in one form, so that they can be compared.

Q1: one task with its agent. Q2: 50 tasks of 12 fields each, with agent and conversation. Q3: 50 tasks with 10
lines of log each. Pages are of one status, the newest tasks first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

QUESTIONS = {
    "q1": "Q1: one task with its agent",
    "q2": "Q2: 50 tasks of 12 fields each, with agent and conversation",
    "q3": "Q3: 50 tasks with 10 lines of log each",
}


@dataclass(frozen=True, slots=True)
class Case:
    """The values of one request: a task for Q1, a status for the others.

    `after` is the cursor that a page of Q2 begins behind, by the name of the server that made it.
    """

    task: UUID | None = None
    status: str | None = None
    after: Mapping[str, str] | None = None

    def variables(self, server: str, *, is_ours: bool) -> dict[str, Any]:
        """As variables of an operation; the service's own ids have a prefix."""
        if self.task is not None:
            return {"id": f"task_{self.task.hex}" if is_ours else str(self.task)}
        after = {} if self.after is None else {"after": self.after[server]}
        return {"status": self.status, **after}


FIELDS = "revision status title source model createdAt startedAt endedAt"
COUNTS = "costUsd inputTokens outputTokens"

OURS = {
    "q1": f"query Q1($id: ID!) {{ task(id: $id) {{ id {FIELDS} usage {{ {COUNTS} }} agent {{ id name status }} }} }}",
    "q2": (
        "query Q2($status: TaskStatus!, $after: String) { tasks(filter: {status: [$status]}, first: 50, after: $after)"
        f" {{ nodes {{ id {FIELDS} usage {{ {COUNTS} }} agent {{ name }} conversation {{ title }} }} }} }}"
    ),
    "q3": (
        "query Q3($status: TaskStatus!) { tasks(filter: {status: [$status]}, first: 50)"
        " { nodes { id title status logs(first: 10) { nodes { seq at stream text } } } } }"
    ),
}
_PAGE = "condition: {status: $status}, orderBy: [CREATED_AT_DESC, ROW_ID_DESC], first: 50"
POSTGRAPHILE = {
    "q1": (
        "query Q1($id: UUID!) { task: taskByRowId(rowId: $id)"
        f" {{ id: rowId {FIELDS} {COUNTS} agent: agentByAgentId {{ id: rowId name status }} }} }}"
    ),
    "q2": (
        f"query Q2($status: String!, $after: Cursor) {{ tasks: allTasks({_PAGE}, after: $after)"
        f" {{ nodes {{ id: rowId {FIELDS} {COUNTS} agent: agentByAgentId {{ name }}"
        " conversation: conversationByConversationId { title } } } }"
    ),
    "q3": (
        f"query Q3($status: String!) {{ tasks: allTasks({_PAGE}) {{ nodes {{ id: rowId title status"
        " logs: logLinesByTaskId(first: 10, orderBy: SEQ_ASC) { nodes { seq at stream text } } } } }"
    ),
}
MERCURIUS = {
    "q1": f"query Q1($id: ID!) {{ task(id: $id) {{ id {FIELDS} {COUNTS} agent {{ id name status }} }} }}",
    "q2": (
        "query Q2($status: String!) { tasks(status: $status, first: 50)"
        f" {{ id {FIELDS} {COUNTS} agent {{ name }} conversation {{ title }} }} }}"
    ),
    "q3": (
        "query Q3($status: String!) { tasks(status: $status, first: 50)"
        " { id title status logs(first: 10) { seq at stream text } } }"
    ),
}
LIMIT = {name: name for name in QUESTIONS}


def plain(answer: Mapping[str, Any]) -> list[Any]:
    """The rows of an answer without what differs by taste: prefixes, envelopes, texts for numbers and times."""
    if answer.get("errors"):
        raise ValueError(f"an answer has errors: {str(answer['errors'])[:500]}")
    (found,) = answer["data"].values()
    rows = found.get("nodes", [found]) if isinstance(found, dict) else found
    return [_plain("", row) for row in rows]


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"nodes"}:
            return _plain(name, value["nodes"])
        flat = {**value, **value.get("usage", {})}
        return {key: _plain(key, flat[key]) for key in sorted(flat) if key != "usage"}
    if isinstance(value, list):
        return [_plain(name, item) for item in value]
    if name == "id":
        return UUID(value.rpartition("_")[2])
    if value is not None and (name == "at" or name.endswith("At")):
        return datetime.fromisoformat(value).astimezone(UTC)
    if name in ("revision", "seq", *COUNTS.split()):
        return float(value)
    return value
