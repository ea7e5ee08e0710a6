"""The one writer: what importers and mutations hand over as records becomes rows, revisions and events.

It decides how records join what is stored; what is the same model call is domain.usage's. It opens no transaction and
publishes nothing: the caller does both.

Locks. Every writer takes them in this order, and within a step in the order of names or ids, so that none can deadlock
with another: names of hosts, projects, agents, conversations (inserts); rows of agents, of conversations (NO KEY
UPDATE); names of runs (inserts); rows of runs, which guard their stories; names of tasks (inserts); model calls
(domain.usage); rows of tasks, all that records or calls touch, by one sorted statement; open commands about tasks whose
status changed; heads of topics (the emit statement). Calls come before tasks because only they tell which other tasks
they move from; sums are added, so the order of writers does not matter to them. Rows that merely point to a task or
conversation take KEY SHARE there, which none of these locks excludes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from db.database import WriteTransaction
from domain.records import Applied, Batch
from domain.usage import UsageOutcome, apply_usage
from domain.writing import agents, conversations, details, places, runs, tasks
from domain.writing.references import References
from domain.writing.values import instant


async def apply(transaction: WriteTransaction, batch: Batch, *, now: datetime, strict: bool = False) -> Applied:
    """Write a batch, about 1,000 records, by a number of statements that does not depend on its size.

    The same batch again changes nothing, except that it appends its log lines again: they have no name to be known by.
    Returns counts and the ids of everything named. Raises NotFound for an id that does not exist, InvalidInput for a
    word or name that is not known and, if `strict`, InvalidTransition for a step that the status does not allow;
    otherwise such a step is left out and listed.
    """
    applied = Applied()
    now = instant(now)
    hosts = await places.host_ids(transaction, batch, now)
    projects = await places.project_ids(transaction, batch, now)
    known_agents = await agents.write_agents(transaction, batch, hosts, now)
    found = await conversations.lock_conversations(transaction, batch, hosts, projects)
    known_runs = await runs.write_runs(transaction, batch, hosts, projects, applied)
    names = tasks.Names(hosts, projects, known_agents, found.references, known_runs)
    told = await tasks.insert_tasks(transaction, batch, names)
    references = told.references
    outcome = await _apply_usage(transaction, batch, references, hosts, projects, now)
    await tasks.write_tasks(
        transaction,
        told,
        outcome.deltas,
        _used_at(batch, references, outcome),
        applied,
        also_lock={references.require(record.task) for record in batch.tool_calls},
        now=now,
        strict=strict,
    )
    await details.write_tool_calls(transaction, batch, references, applied, now)
    await conversations.write_messages(transaction, found, batch, references, applied)
    await conversations.write_conversations(transaction, found, applied)
    details.append_logs(transaction, batch, references, applied)
    applied.new_calls, applied.duplicate_calls = outcome.new_calls, outcome.duplicate_calls
    return applied


async def _apply_usage(
    transaction: WriteTransaction,
    batch: Batch,
    references: References,
    hosts: Mapping[str, UUID],
    projects: Mapping[str, UUID],
    now: datetime,
) -> UsageOutcome:
    if not batch.usage:
        return UsageOutcome()
    task_ids = {
        (entry.task.origin, entry.task.external_id): references.require(entry.task)
        for entry in batch.usage
        if entry.task
    }
    return await apply_usage(transaction, batch.usage, task_ids=task_ids, host_ids=hosts, project_ids=projects, now=now)


def _used_at(batch: Batch, references: References, outcome: UsageOutcome) -> dict[UUID, datetime]:
    """When each task whose totals change was last used: it was at work then."""
    latest: dict[UUID, datetime] = {}
    for entry in batch.usage:
        id_, at = references.find(entry.task), instant(entry.at)
        if id_ in outcome.deltas:
            latest[id_] = max(at, latest.get(id_, at))
    return latest
