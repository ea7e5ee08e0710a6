"""Tasks: what records say joined with what is stored, by the transition table; one revision and one event per change.

A final status is not marked in the task's log: who follows `log:{task}` reads the task's status (pubsub's hub).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.models.base import TASK_STATUSES, TOKEN_COUNTS
from db.models.tasks import TASK_SOURCES
from db.queries.writes import tasks
from domain.errors import InvalidInput, InvalidTransition
from domain.ids import new_id
from domain.records import Applied, Batch, Ref, TaskRecord
from domain.text import clean_or_none, name_or_none, title_line
from domain.transitions import FINAL, allowed, reachable, status_of
from domain.usage import TotalsDelta
from domain.writing import commands
from domain.writing.agents import Key, agent_key
from domain.writing.references import Name, References, name_of, resolve
from domain.writing.runs import Runs
from domain.writing.values import instant, merge

TOPIC = "tasks"
# What comes with a status: when the step is refused, these are too, lest a completed task shows another's error.
OUTCOME = ("source_status", "result", "error_type", "error_message", "ended_at")
ALWAYS = tuple(name for name in tasks.TOLD if name != "status" and name not in OUTCOME)
SEARCHED = ("title", "input")
SEARCHED_CHARACTERS = 10_000  # of a prompt that is longer, the rest is a pasted file: its index would be larger than it
# Facts of an event by their column; `agent_type` is joined to it. Ids and filterable values only, never content.
FACTS = {
    "status": "status",
    "source": "source",
    "model": "model",
    "agent": "agent_id",
    "agent_type": "agent_type",
    "owner": "owner_id",
    "host": "host_id",
    "project": "project_id",
    "run": "run_id",
    "conversation": "conversation_id",
    "parent": "parent_task_id",
    "flow": "flow_id",
    "branch": "git_branch",
}


@dataclass(frozen=True, slots=True)
class Names:
    """Ids of what task records name."""

    hosts: Mapping[str, UUID]
    projects: Mapping[str, UUID]
    agents: Mapping[Key, tuple[UUID, str]]
    conversations: References
    runs: Runs


@dataclass(slots=True)
class Told:
    """What the batch says of its tasks, by name, in the batch's order, and which of them it made."""

    references: References
    records: dict[Name, list[TaskRecord]]
    names: Names
    inserted: set[UUID] = field(default_factory=set)


async def insert_tasks(transaction: WriteTransaction, batch: Batch, names: Names) -> Told:
    """Make the tasks that are new; resolve every task that the batch names.

    A parent that is new itself is set later, under the row locks: the order of inserts is that of names, for all
    writers, so that two who make the same tasks wait for each other in one direction only.
    """
    records: dict[Name, list[TaskRecord]] = {}
    for record in batch.tasks:
        records.setdefault(name_of(record.origin, record.external_id), []).append(record)
    told = Told(await resolve(transaction, "task", tasks.find, records, _refs(batch)), records, names)
    by_name = told.references.by_name
    new = [_new(name, records[name], told) for name in sorted(records) if name not in by_name]
    if new:
        told.inserted = await tasks.insert(transaction, new)
        by_name |= {(row["origin"], row["external_id"]): row["id"] for row in new if row["id"] in told.inserted}
        if len(told.inserted) < len(new):
            by_name |= (await tasks.find(transaction, sorted(records), []))[0]
    return told


async def write_tasks(
    transaction: WriteTransaction,
    told: Told,
    deltas: Mapping[UUID, TotalsDelta],
    used_at: Mapping[UUID, datetime],
    applied: Applied,
    *,
    also_lock: set[UUID],
    now: datetime,
    strict: bool,
) -> None:
    """Lock every task that the batch may change, in one order for all writers, and write those that changed."""
    by_name = told.references.by_name
    names = {by_name[name]: name for name in told.records}
    locked = await _lock(transaction, names.keys() | deltas.keys() | also_lock)
    agent_types = dict(told.names.agents.values())
    changed: list[dict[str, Any]] = []
    stepped: dict[UUID, str] = {}
    texts: list[tuple[UUID, str]] = []
    for id_ in [*names, *(id_ for id_ in deltas if id_ not in names)]:
        before = locked.get(id_)
        if before is None:
            continue  # erased since the batch began
        state = dict(before)
        if id_ in told.inserted:
            _set_parent(state, told.records[names[id_]], told)
        elif id_ in names:
            _advance(state, told.records[names[id_]], told, applied, strict=strict)
        if id_ in used_at:
            state["updated_at"] = max(state["updated_at"], used_at[id_])
        if state == before and id_ not in deltas and id_ not in told.inserted:
            continue
        if id_ not in told.inserted:
            state["revision"] += 1
            applied.changed_tasks += 1
        if state["status"] != before["status"]:
            stepped[id_] = state["status"]
        state["agent_type"] = agent_types.get(state["agent_id"], state["agent_type"])
        if id_ in told.inserted or any(state[name] != before[name] for name in SEARCHED):
            texts.append((id_, _searched(state)))
        if state != before or id_ in deltas:
            changed.append({**state, **_totals(deltas.get(id_))})
        emit_change(transaction, None if id_ in told.inserted else before, state)
    if changed:
        await tasks.write(transaction, changed)
    if any(text for _, text in texts):
        await tasks.write_texts(transaction, [(id_, text) for id_, text in texts if text])
    await commands.settle(transaction, stepped, now)
    applied.new_tasks += len(told.inserted)
    applied.task_ids |= by_name


def _searched(state: Mapping[str, Any]) -> str:
    """What a task is found by: its title and the beginning of its input."""
    return "\n".join(text[:SEARCHED_CHARACTERS] for name in SEARCHED if (text := state[name]))


async def rewrite(
    transaction: WriteTransaction, changes: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> None:
    """Write locked tasks that something else than a record changed, each from before to after: revision and event."""
    written = [{**after, "revision": before["revision"] + 1} for before, after in changes]
    if not written:
        return
    await tasks.write(transaction, [{**after, **_totals(None)} for after in written])
    for (before, _), after in zip(changes, written, strict=True):
        emit_change(transaction, before, after)


def emit_change(
    transaction: WriteTransaction, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> None:
    """Tell of a task that is new, changed or, without `after`, deleted."""
    row = after or before
    assert row is not None  # noqa: S101 - nothing to tell of nothing
    facts = {"id": str(row["id"]), "revision": row["revision"], "before": _facts(before), "after": _facts(after)}
    transaction.emit(TOPIC, "TaskDeleted" if after is None else "TaskChanged", facts)


def _facts(state: Mapping[str, Any] | None) -> dict[str, str | None] | None:
    if state is None:
        return None
    return {fact: None if (value := state[column]) is None else str(value) for fact, column in FACTS.items()}


def _refs(batch: Batch) -> list[Ref | None]:
    parents = [record.parent for record in batch.tasks]
    named = [
        record.task for records in (batch.messages, batch.logs, batch.tool_calls, batch.usage) for record in records
    ]
    return [*parents, *named]


async def _lock(transaction: WriteTransaction, ids: set[UUID]) -> dict[UUID, dict[str, Any]]:
    if not ids:
        return {}
    return {row.id: dict(row.items()) for row in await tasks.lock(transaction, sorted(ids))}


def _totals(delta: TotalsDelta | None) -> dict[str, Any]:
    delta = delta or TotalsDelta()
    return {
        **dict(zip(TOKEN_COUNTS, delta.tokens.values(), strict=True)),
        "call_count": delta.call_count,
        "cost_usd": delta.cost_usd,
        "unpriced_call_count": delta.unpriced_call_count,
    }


def _told(record: TaskRecord, told: Told) -> dict[str, Any]:
    """What a record says, by column."""
    names = told.names
    agent = names.agents[agent_key(record.host, record.agent_name, names.hosts)] if record.agent_name else None
    return {
        "source_status": name_or_none(record.source_status),
        "title": title_line(record.title),
        "error_type": name_or_none(record.error_type),
        "owner_id": record.owner_id,
        "host_id": names.hosts[record.host] if record.host else record.host_id,
        "project_id": names.projects[record.project_key] if record.project_key else record.project_id,
        "agent_id": agent[0] if agent else record.agent_id,
        "conversation_id": names.conversations.find(record.conversation),
        "run_id": names.runs.references.find(record.run),
        "story_id": names.runs.story(record.run, record.story),
        "parent_task_id": told.references.find(record.parent),
        "retry_of_id": record.retry_of_id,
        "session_id": name_or_none(record.session_id),
        "flow_id": name_or_none(record.flow_id),
        "git_branch": name_or_none(record.git_branch),
        "model": name_or_none(record.model),
        "created_at": instant(record.created_at),
        "started_at": instant(record.started_at),
        "ended_at": instant(record.ended_at),
        "updated_at": instant(record.updated_at),
        "input": clean_or_none(record.input),
        "result": clean_or_none(record.result),
        "error_message": clean_or_none(record.error_message),
    }


def _status(record: TaskRecord) -> str | None:
    """The status that a record tells: its own, or what the source's word means."""
    status = record.status
    if status is None:
        return status_of(record.source_status) if record.source_status else None
    if status not in TASK_STATUSES:
        raise InvalidInput(f"{status!r} is no status; statuses are {', '.join(TASK_STATUSES)}", ("status",))
    return status


def _new(name: Name, records: Sequence[TaskRecord], told: Told) -> dict[str, Any]:
    """A task at first sight: with any status, or, told none, as far as its times say it got."""
    first = records[0]
    if first.source not in TASK_SOURCES:
        raise InvalidInput(f"{first.source!r} is no source; sources are {', '.join(TASK_SOURCES)}", ("source",))
    untold = "COMPLETED" if first.ended_at else "RUNNING" if first.started_at else "QUEUED"
    state: dict[str, Any] = {
        **dict.fromkeys(tasks.TOLD),
        "id": None,
        "origin": name[0],
        "external_id": name[1],
        "source": first.source,
        "status": _status(first) or untold,
    }
    merge(state, _told(first, told), (*ALWAYS, *OUTCOME))
    _set_times(state, None, state["created_at"], state["updated_at"])
    _advance(state, records[1:], told, Applied(), strict=False)
    return {**state, "id": new_id(state["created_at"])}


def _advance(
    state: dict[str, Any], records: Sequence[TaskRecord], told: Told, applied: Applied, *, strict: bool
) -> None:
    """Move a task on by records, in their order. A refused step changes neither status nor what comes with it."""
    for record in records:
        status, values, before = _status(record), _told(record, told), state["status"]
        newer = values["updated_at"] >= state["updated_at"]
        if values["parent_task_id"] == state["id"]:
            values["parent_task_id"] = None
        merge(state, values, ALWAYS)
        if status is None or status == before or (allowed if strict else reachable)(before, status):
            state["status"] = status or before
            merge(state, values, OUTCOME)
            _set_times(state, before, values["updated_at"], values["updated_at"])
        elif strict:
            message = f"The task is {before}, which {'is final' if before in FINAL else 'cannot become ' + status}."
            raise InvalidTransition(message, ("status",), task_id=state["id"])
        elif newer:  # what an old record says of a state that is past is no news
            applied.refused_transitions.append((state["external_id"], before, status))


def _set_times(state: dict[str, Any], before: str | None, started: datetime, ended: datetime) -> None:
    """A source that tells a status and no times means: now."""
    status = state["status"]
    if status == before:
        return
    state.update(dict.fromkeys(tasks.MARKS))  # what moves is not stuck
    if status == "RUNNING" and state["started_at"] is None:
        state["started_at"] = started
    if status in FINAL and state["ended_at"] is None:
        state["ended_at"] = ended


def _set_parent(state: dict[str, Any], records: Sequence[TaskRecord], told: Told) -> None:
    for record in records:
        parent = told.references.find(record.parent)
        if parent is not None and parent != state["id"]:
            state["parent_task_id"] = parent
