"""Conversations and their messages. The topic `conversations` hears of both; texts are never in an event.

A message's seq is given under its conversation's row lock, so that seqs have no holes and follow the order of commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.models.conversations import MESSAGE_ROLES
from db.queries.writes import conversations
from domain.errors import InvalidInput
from domain.ids import new_id
from domain.records import Applied, Batch, ConversationRecord, MessageRecord
from domain.text import clean_or_none, name_or_none, title_line
from domain.text import name as fit_name
from domain.writing.references import Name, References, name_of, resolve
from domain.writing.values import instant, merge

TOPIC = "conversations"
TOLD = ("title", "owner_id", "host_id", "project_id", "flow_id", "session_id", "created_at", "updated_at")


@dataclass(slots=True)
class Conversations:
    """The conversations of a batch: what they are called, and the locked ones as they will be written."""

    references: References
    states: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    inserted: set[UUID] = field(default_factory=set)
    before: dict[UUID, dict[str, Any]] = field(default_factory=dict)


async def lock_conversations(
    transaction: WriteTransaction, batch: Batch, hosts: Mapping[str, UUID], projects: Mapping[str, UUID]
) -> Conversations:
    """Make the conversations that are new, lock all that the batch may change, and join what it says of them."""
    told: dict[Name, list[dict[str, Any]]] = {}
    for record in batch.conversations:
        told.setdefault(name_of(record.origin, record.external_id), []).append(_told(record, hosts, projects))
    refs = [message.conversation for message in batch.messages] + [task.conversation for task in batch.tasks]
    found = Conversations(await resolve(transaction, "conversation", conversations.find, told, refs))
    by_name = found.references.by_name
    new = [_new(name, told[name]) for name in sorted(told) if name not in by_name]
    if new:
        found.inserted = await conversations.insert(transaction, new)
        by_name |= {(row["origin"], row["external_id"]): row["id"] for row in new if row["id"] in found.inserted}
        if len(found.inserted) < len(new):
            by_name |= (await conversations.find(transaction, sorted(told), []))[0]
    needed = {by_name[name] for name in told}
    needed |= {found.references.require(message.conversation) for message in batch.messages}
    if needed:
        rows = await conversations.lock(transaction, sorted(needed))
        found.states = {row.id: dict(row.items()) for row in rows}
        found.before = {id_: dict(state) for id_, state in found.states.items()}
    for name, records in told.items():
        if by_name[name] not in found.inserted:
            for values in records:
                _join(found.states[by_name[name]], values)
    return found


async def write_messages(
    transaction: WriteTransaction, found: Conversations, batch: Batch, tasks: References, applied: Applied
) -> None:
    """Write new messages in the order of the batch; one whose name its conversation knows is left as it is."""
    if not batch.messages:
        return
    targets = [(found.references.require(record.conversation), record) for record in batch.messages]
    names = {(id_, fit_name(record.external_id)) for id_, record in targets if record.external_id}
    known: dict[tuple[UUID, str], UUID] = {}
    if any(id_ not in found.inserted for id_, _ in names):
        known = await conversations.known_messages(transaction, sorted(names))
    rows: list[Sequence[Any]] = []
    for conversation_id, record in targets:
        name = (conversation_id, fit_name(record.external_id)) if record.external_id else None
        if name in known:
            applied.message_ids.append(known[name])
            continue
        row = _message(found.states[conversation_id], record, tasks)
        rows.append(row)
        applied.message_ids.append(row[0])
        if name is not None:
            known[name] = row[0]
        facts = {
            "id": str(row[0]),
            "conversation": str(conversation_id),
            "role": record.role,
            "task": None if row[7] is None else str(row[7]),
        }
        transaction.emit(TOPIC, "MessageAdded", facts)
    applied.new_messages += len(rows)
    if rows:
        await conversations.insert_messages(transaction, rows)


async def write_conversations(transaction: WriteTransaction, found: Conversations, applied: Applied) -> None:
    """Write the locked conversations that changed, one revision and one event each."""
    changed = [state for id_, state in found.states.items() if state != found.before[id_]]
    for state in changed:
        if state["id"] not in found.inserted:
            state["revision"] += 1
    if changed:
        await conversations.update(transaction, changed)
    applied.conversation_ids |= found.references.by_name
    applied.new_conversations += len(found.inserted)
    told = found.inserted | {state["id"] for state in changed}
    for id_, state in found.states.items():
        if id_ in told:
            transaction.emit(TOPIC, "ConversationChanged", {"id": str(id_), "revision": state["revision"]})


def _told(record: ConversationRecord, hosts: Mapping[str, UUID], projects: Mapping[str, UUID]) -> dict[str, Any]:
    return {
        "title": title_line(record.title),
        "owner_id": record.owner_id,
        "host_id": hosts[record.host] if record.host else None,
        "project_id": projects[record.project_key] if record.project_key else None,
        "flow_id": name_or_none(record.flow_id),
        "session_id": name_or_none(record.session_id),
        "tags": list(dict.fromkeys(fit_name(tag) for tag in record.tags)),
        "created_at": instant(record.created_at),
        "updated_at": instant(record.updated_at),
    }


def _new(name: Name, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    state: dict[str, Any] = {**dict.fromkeys(TOLD), "tags": []}
    for values in records:
        _join(state, values)
    return {**state, "id": new_id(state["created_at"]), "origin": name[0], "external_id": name[1]}


def _join(state: dict[str, Any], values: Mapping[str, Any]) -> None:
    merge(state, values, TOLD)
    state["tags"] = list(dict.fromkeys([*state["tags"], *values["tags"]]))


def _message(conversation: dict[str, Any], record: MessageRecord, tasks: References) -> tuple[Any, ...]:
    """The row of a new message, in the order of MESSAGE_COLUMNS; its conversation moves on with it."""
    if record.role not in MESSAGE_ROLES:
        raise InvalidInput(f"{record.role!r} is no role; roles are {', '.join(MESSAGE_ROLES)}", ("role",))
    at = instant(record.at)
    conversation["message_seq"] += 1
    conversation["updated_at"] = max(conversation["updated_at"], at)
    return (
        new_id(at),
        conversation["id"],
        conversation["message_seq"],
        name_or_none(record.external_id),
        record.role,
        "NOT_COLLECTED" if record.text is None else "FULL",
        at,
        tasks.require(record.task) if record.task else None,
        clean_or_none(record.text),
    )
