"""Writes what model calls used and cost, each call once, however many rows of how many sources tell of it.

The rules of sameness are in domain.usage_calls; prices in domain.prices. Totals of tasks are not written here: the
caller adds the deltas under the tasks' row locks, in the same transaction.

Locks, in this order: `lock_usage` (advisory, sorted), then the records involved (by id). A transaction that also
locks or inserts rows which others touch should call `lock_usage` before those, so that all wait at the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from db.handles import Handle
from db.queries import usage_writes
from db.queries.usage_writes import Call, StoredCall
from domain.ids import new_id
from domain.prices import cost
from domain.records import Tokens, UsageEntry
from domain.usage_calls import (
    NEAR_MS,
    CallGroup,
    NearRecord,
    ToldRow,
    group_rows,
    lock_numbers,
    rank,
    told_row,
)

ATTEMPTS = 10  # each further one means that another writer merged two of our calls in between

_NANO = Decimal("1e-9")


@dataclass(slots=True)
class TotalsDelta:
    """What to add to the totals of a task; negative where a call moved away or turned out smaller."""

    tokens: Tokens = field(default_factory=Tokens)
    call_count: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced_call_count: int = 0

    def add(self, call: Call, sign: int) -> None:
        """Count a call in (+1) or out (-1)."""
        self.tokens.input += sign * call.input_tokens
        self.tokens.cache_read += sign * call.cache_read_tokens
        self.tokens.cache_write_5m += sign * call.cache_write_5m_tokens
        self.tokens.cache_write_1h += sign * call.cache_write_1h_tokens
        self.tokens.output += sign * call.output_tokens
        self.tokens.reasoning += sign * call.reasoning_tokens
        self.call_count += sign
        if call.cost_usd is None:
            self.unpriced_call_count += sign
        else:
            self.cost_usd += sign * call.cost_usd

    def __bool__(self) -> bool:
        return any(self.tokens.values()) or bool(self.call_count or self.cost_usd or self.unpriced_call_count)


@dataclass(slots=True)
class UsageOutcome:
    """What a batch came to: calls seen for the first time, rows of calls already known, and deltas by task."""

    new_calls: int = 0
    duplicate_calls: int = 0
    deltas: dict[UUID, TotalsDelta] = field(default_factory=dict)


@dataclass(slots=True)
class UsagePlan:
    """What `write_usage` will write; the calls involved are locked until the end of the transaction."""

    outcome: UsageOutcome
    merges: list[tuple[UUID, UUID]] = field(default_factory=list)
    updates: list[Call] = field(default_factory=list)
    inserts: list[Call] = field(default_factory=list)
    keys: list[tuple[str, UUID]] = field(default_factory=list)
    evidence: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def touched_task_ids(self) -> list[UUID]:
        """The tasks whose totals change, sorted: lock these before adding the deltas."""
        return sorted(self.outcome.deltas)


class _Place(NamedTuple):
    """Where a call belongs. The smallest is the call's: a row with a task, no sidechain, the earliest, first stored."""

    has_no_task: bool
    is_sidechain: bool
    at: datetime
    stored: tuple[int, int]
    task_id: UUID | None
    owner_id: UUID | None
    host_id: UUID | None
    project_id: UUID | None


async def apply_usage(
    transaction: Handle,
    entries: Sequence[UsageEntry],
    *,
    task_ids: Mapping[tuple[str, str], UUID],
    host_ids: Mapping[str, UUID],
    project_ids: Mapping[str, UUID],
    now: datetime,
) -> UsageOutcome:
    """Plan and write a batch of rows; names are looked up in the mappings as the entries have them."""
    plan = await plan_usage(
        transaction, entries, task_ids=task_ids, host_ids=host_ids, project_ids=project_ids, now=now
    )
    return await write_usage(transaction, plan)


async def lock_usage(transaction: Handle, entries: Sequence[UsageEntry]) -> None:
    """Wait for other writers of these calls, and keep later ones waiting until the transaction's end."""
    if entries:
        await usage_writes.lock(transaction, lock_numbers(told_row(n, entry) for n, entry in enumerate(entries)))


async def plan_usage(
    transaction: Handle,
    entries: Sequence[UsageEntry],
    *,
    task_ids: Mapping[tuple[str, str], UUID],
    host_ids: Mapping[str, UUID],
    project_ids: Mapping[str, UUID],
    now: datetime,
) -> UsagePlan:
    """Lock the calls that these rows tell of and decide what each of them is now. Writes nothing."""
    plan = UsagePlan(UsageOutcome(duplicate_calls=len(entries)))
    distinct: dict[str, ToldRow] = {}
    for n, entry in enumerate(entries):
        row = told_row(n, entry)
        distinct.setdefault(row.fingerprint, row)
    rows = list(distinct.values())
    if not rows:
        return plan
    await usage_writes.lock(transaction, lock_numbers(rows))
    known = await usage_writes.known_fingerprints(transaction, [row.fingerprint for row in rows])
    rows = [row for row in rows if row.fingerprint not in known]
    if not rows:
        return plan
    for row in rows:
        entry = row.entry
        if entry.task is not None:
            row.task_id = entry.task.id or task_ids.get((entry.task.origin, entry.task.external_id))
        row.host_id = host_ids.get(entry.host) if entry.host else None
        row.project_id = project_ids.get(entry.project_key) if entry.project_key else None
    groups, stored, record_by_key = await _find_calls(transaction, rows)
    evidence_ids = iter(sorted(new_id(now) for _ in rows))  # in order, so that "first stored" can be told
    for group in groups:
        _plan_call(plan, group, [stored[record_id] for record_id in group.record_ids], record_by_key, evidence_ids)
    plan.outcome.deltas = {task_id: delta for task_id, delta in plan.outcome.deltas.items() if delta}
    plan.outcome.new_calls = len(plan.inserts)
    plan.outcome.duplicate_calls = len(entries) - len(plan.inserts)
    return plan


async def write_usage(transaction: Handle, plan: UsagePlan) -> UsageOutcome:
    """Write what was planned in the same transaction."""
    if plan.merges:
        await usage_writes.merge_records(transaction, plan.merges)
    if plan.updates:
        await usage_writes.update_calls(transaction, plan.updates)
    if plan.inserts:
        await usage_writes.insert_calls(transaction, plan.inserts)
    if plan.keys:
        await usage_writes.insert_keys(transaction, plan.keys)
    if plan.evidence:
        await usage_writes.insert_evidence(transaction, plan.evidence)
    return plan.outcome


async def _find_calls(
    transaction: Handle, rows: Sequence[ToldRow]
) -> tuple[list[CallGroup], dict[UUID, StoredCall], dict[str, UUID]]:
    """The rows by call, with the stored calls that they belong to, locked; and the record of each stored key."""
    keys = sorted({key for row in rows for key in row.keys})
    probes = [(row.n, bool(row.keys), row.entry.at, *row.signature) for row in rows if row.signature is not None]
    for _ in range(ATTEMPTS):
        record_by_key = await usage_writes.records_by_key(transaction, keys)
        near = [NearRecord(*row) for row in await usage_writes.near_records(transaction, probes, NEAR_MS)]
        ids = sorted({*record_by_key.values(), *(hit.record_id for hit in near)})
        if not ids:
            return group_rows(rows, {}, [], frozenset()), {}, {}
        if await usage_writes.lock_records(transaction, ids) == len(ids):
            stored = await usage_writes.stored_calls(transaction, ids)
            keyed = frozenset(record_id for record_id, found in stored.items() if found.has_keys)
            return group_rows(rows, record_by_key, near, keyed), stored, record_by_key
    raise RuntimeError(f"the calls of a batch were merged by other writers {ATTEMPTS} times in a row")


def _plan_call(
    plan: UsagePlan,
    group: CallGroup,
    stored: Sequence[StoredCall],
    record_by_key: Mapping[str, UUID],
    evidence_ids: Iterator[UUID],
) -> None:
    """Add to the plan what becomes of one call."""
    places = [_stored_place(found) for found in stored] + [_place(row) for row in group.rows]
    best_new = max((row.entry for row in group.rows), key=rank)
    best_stored = max(stored, key=_stored_rank, default=None)
    record_id = stored[0].call.id if stored else new_id(best_new.at)
    if best_stored is not None and _stored_rank(best_stored) >= rank(best_new):
        call = replace(best_stored.call, id=record_id)
    else:
        call = _call(record_id, best_new)
    _, _, _, _, call.task_id, call.owner_id, call.host_id, call.project_id = min(places)

    if not stored:
        plan.inserts.append(call)
    elif call != stored[0].call:
        plan.updates.append(call)
    plan.merges += [(found.call.id, record_id) for found in stored[1:]]
    for found in stored:
        _count(plan.outcome, found.call, -1)
    _count(plan.outcome, call, +1)
    keys = {key for row in group.rows for key in row.keys if key not in record_by_key}
    plan.keys += [(key, record_id) for key in sorted(keys)]
    plan.evidence += [_evidence(next(evidence_ids), record_id, row) for row in group.rows]


def _count(outcome: UsageOutcome, call: Call, sign: int) -> None:
    if call.task_id is not None:
        outcome.deltas.setdefault(call.task_id, TotalsDelta()).add(call, sign)


def _call(record_id: UUID, entry: UsageEntry) -> Call:
    """The record of a call whose winning row is `entry`, priced."""
    speed = entry.raw.get("speed") if entry.raw else None
    computed, version = cost(
        entry.model, entry.provider, entry.tokens, entry.at, speed=speed if isinstance(speed, str) else None
    )
    reported = None if entry.reported_cost_usd is None else entry.reported_cost_usd.quantize(_NANO)
    usd = computed if reported is None else reported
    return Call(
        record_id,
        entry.at,
        entry.model,
        entry.provider,
        None,  # where it belongs is decided by all its rows
        None,
        None,
        None,
        *entry.tokens.values(),
        usd,
        reported,
        computed,
        "UNPRICED" if usd is None else "COMPUTED" if reported is None else "REPORTED",
        None if computed is None else version,
        entry.source,
        entry.session_id,
        entry.message_id,
        entry.request_id,
        entry.is_sidechain,
        entry.raw,
    )


def _evidence(evidence_id: UUID, record_id: UUID, row: ToldRow) -> tuple[Any, ...]:
    entry = row.entry
    return (
        evidence_id,
        record_id,
        row.fingerprint,
        entry.source,
        entry.location,
        entry.at,
        entry.model,
        entry.message_id,
        entry.request_id,
        entry.session_id,
        entry.is_sidechain,
        *entry.tokens.values(),
        entry.reported_cost_usd,
        row.task_id,
        entry.raw,
    )


def _place(row: ToldRow) -> _Place:
    entry = row.entry
    return _Place(
        row.task_id is None,
        entry.is_sidechain,
        entry.at,
        (1, row.n),
        row.task_id,
        entry.owner_id,
        row.host_id,
        row.project_id,
    )


def _stored_place(found: StoredCall) -> _Place:
    call = found.call
    return _Place(
        call.task_id is None,
        found.place_is_sidechain,
        found.place_at,
        (0, found.place_id.int),
        call.task_id,
        call.owner_id,
        call.host_id,
        call.project_id,
    )


def _stored_rank(found: StoredCall) -> tuple[Any, ...]:
    call = found.call
    tokens = Tokens(
        call.input_tokens,
        call.cache_read_tokens,
        call.cache_write_5m_tokens,
        call.cache_write_1h_tokens,
        call.output_tokens,
        call.reasoning_tokens,
    )
    return rank(
        UsageEntry(
            call.at,
            call.model,
            call.provider,
            tokens,
            call.source,
            message_id=call.message_id,
            request_id=call.request_id,
            session_id=call.session_id,
            is_sidechain=call.is_sidechain,
            reported_cost_usd=call.reported_cost_usd,
        )
    )
