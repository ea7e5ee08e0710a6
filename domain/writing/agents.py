"""Agents that a batch tells of or names: found by host and name, or made; the topic `agents` hears of changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.models.agents import AGENT_STATUSES, AGENT_TYPES
from db.queries.writes import agents
from domain.errors import InvalidInput
from domain.ids import new_id
from domain.records import Batch
from domain.text import name as fit_name
from domain.writing.values import instant, merge

TOPIC = "agents"
UNSPECIFIC = "CUSTOM"  # what a record says that does not know the type: it replaces no other
TOLD = ("type", "status", "last_seen_at", "is_controllable")
SHOWN = ("type", "status", "is_controllable")

Key = tuple[UUID | None, str]


async def write_agents(
    transaction: WriteTransaction, batch: Batch, hosts: Mapping[str, UUID], now: datetime
) -> dict[Key, tuple[UUID, str]]:
    """Id and type of every agent that the batch names, by (host id, name)."""
    told = _told(batch, hosts)
    if not told:
        return {}
    keys = sorted(told, key=lambda key: (str(key[0]), key[1]))
    stored = await agents.by_name(transaction, keys)
    missing = [_new(key, told[key], now) for key in keys if key not in stored]
    inserted: set[UUID] = set()
    if missing:
        inserted = await agents.insert(transaction, missing)
        stored = await agents.by_name(transaction, keys)
    states = {row.id: dict(row.items()) for row in stored.values()}
    names = {row.id: key for key, row in stored.items()}
    behind = sorted(id_ for id_, key in names.items() if _advance(dict(states[id_]), told[key], now) is not None)
    visible = set(inserted)
    before: dict[UUID, dict[str, Any]] = {}
    if behind:
        before = {row.id: dict(row.items()) for row in await agents.lock(transaction, behind)}
        states |= {id_: dict(state) for id_, state in before.items()}
        advanced = {id_: _advance(states[id_], told[names[id_]], now) for id_ in behind}
        await agents.update(transaction, [states[id_] for id_ in behind if advanced[id_] is not None])
        visible |= {id_ for id_, shows in advanced.items() if shows}
    _tell(transaction, [(before.get(id_), states[id_]) for id_ in names if id_ in visible])
    return {key: (row.id, states[row.id]["type"]) for key, row in stored.items()}


def _told(batch: Batch, hosts: Mapping[str, UUID]) -> dict[Key, dict[str, Any]]:
    """What the batch says of each agent, several records of one joined; a task only names it."""
    told: dict[Key, dict[str, Any]] = {}
    for task in batch.tasks:
        if task.agent_name:
            told.setdefault(agent_key(task.host, task.agent_name, hosts), dict.fromkeys(TOLD))
    for record in batch.agents:
        if record.type not in AGENT_TYPES:
            raise InvalidInput(f"{record.type!r} is no type of agent; types are {', '.join(AGENT_TYPES)}", ("type",))
        if record.status is not None and record.status not in AGENT_STATUSES:
            raise InvalidInput(
                f"{record.status!r} is no status of an agent; statuses are {', '.join(AGENT_STATUSES)}", ("status",)
            )
        said = {
            "type": None if record.type == UNSPECIFIC else record.type,
            "status": record.status,
            "last_seen_at": instant(record.last_seen_at),
            "is_controllable": record.is_controllable,
        }
        merge(told.setdefault(agent_key(record.host, record.name, hosts), dict.fromkeys(TOLD)), said, TOLD)
    return told


def agent_key(host: str | None, name: str, hosts: Mapping[str, UUID]) -> Key:
    """What an agent is found by."""
    return (hosts[host] if host else None, fit_name(name))


def _new(key: Key, told: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(now),
        "revision": 1,
        "host_id": key[0],
        "name": key[1],
        "type": told["type"] or UNSPECIFIC,
        "status": told["status"] or "OFFLINE",
        "last_seen_at": told["last_seen_at"],
        "is_controllable": told["is_controllable"] or False,
        "created_at": now,
        "updated_at": now,
    }


def _advance(state: dict[str, Any], told: Mapping[str, Any], now: datetime) -> bool | None:
    """Move an agent on to what is told. None: nothing changed; True: so much that it is a new revision.

    When it was last seen moves with every batch; by itself it is a revision and an event once a minute at most.
    """
    before = dict(state)
    merge(state, told, TOLD)
    if state == before:
        return None
    shows = any(state[name] != before[name] for name in SHOWN) or _minute(state) != _minute(before)
    if shows:
        state["revision"] += 1
        state["updated_at"] = now
    return shows


def _minute(state: Mapping[str, Any]) -> datetime | None:
    seen: datetime | None = state["last_seen_at"]
    return None if seen is None else seen.replace(second=0, microsecond=0)


def _tell(transaction: WriteTransaction, changes: Iterable[tuple[Mapping[str, Any] | None, Mapping[str, Any]]]) -> None:
    for before, after in changes:
        facts = {
            "id": str(after["id"]),
            "revision": after["revision"],
            "before": _facts(before),
            "after": _facts(after),
        }
        transaction.emit(TOPIC, "AgentChanged", facts)


def _facts(state: Mapping[str, Any] | None) -> dict[str, str | None] | None:
    if state is None:
        return None
    host = state["host_id"]
    return {"host": str(host) if host else None, "type": state["type"], "status": state["status"]}
