"""Hosts and projects that a batch names: found, or made. They have no revision and emit nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from db.handles import Handle
from db.queries.writes import places
from domain.ids import new_id
from domain.records import Batch, ProjectRecord
from domain.text import clean, clean_or_none
from domain.text import name as fit_name


async def host_ids(transaction: Handle, batch: Batch, now: datetime) -> dict[str, UUID]:
    """The id of every host that the batch names."""
    records = (*batch.agents, *batch.conversations, *batch.runs, *batch.tasks, *batch.usage)
    given = {name for record in records if (name := getattr(record, "host", None))}
    clean_names = {name: fit_name(name) for name in given}
    names = sorted(set(clean_names.values()))
    if not names:
        return {}
    found = await places.host_ids(transaction, names)
    missing = [name for name in names if name not in found]
    if missing:
        await places.insert_hosts(transaction, [(new_id(now), name, now) for name in missing])
        found = await places.host_ids(transaction, names)
    return {name: found[cleaned] for name, cleaned in clean_names.items()}


async def project_ids(transaction: Handle, batch: Batch, now: datetime) -> dict[str, UUID]:
    """The id of every project that the batch names; a project record gives it its name and repository."""
    given = {record.key for record in batch.projects} | _keys(
        (*batch.conversations, *batch.runs, *batch.tasks, *batch.usage)
    )
    clean_keys = {key: fit_name(key) for key in given}
    records = {clean_keys[record.key]: record for record in batch.projects}
    keys = sorted(set(clean_keys.values()))
    if not keys:
        return {}
    stored = await places.projects_by_key(transaction, keys)
    missing = [key for key in keys if key not in stored]
    if missing:
        rows = [(new_id(now), key, _name(key, records), _repository(key, records), now) for key in missing]
        await places.insert_projects(transaction, rows)
        stored = await places.projects_by_key(transaction, keys)
    changed = [
        (row.id, _name(key, records), _repository(key, records))
        for key, row in stored.items()
        if key in records
        and (row.name != _name(key, records) or _repository(key, records) not in (None, row.repository))
    ]
    if changed:
        await places.update_projects(transaction, changed)
    return {key: stored[cleaned].id for key, cleaned in clean_keys.items()}


def _keys(records: Iterable[object]) -> set[str]:
    return {key for record in records if (key := getattr(record, "project_key", None))}


def _name(key: str, records: dict[str, ProjectRecord]) -> str:
    """The record's name; without a record, the last part of the key: a folder, or a repository."""
    record = records.get(key)
    return clean(record.name) if record else key.rstrip("/").rpartition("/")[2] or key


def _repository(key: str, records: dict[str, ProjectRecord]) -> str | None:
    record = records.get(key)
    return clean_or_none(record.repository) if record else None
