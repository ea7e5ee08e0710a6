"""Which rows tell of the same model call, and which of them counts. Rules only: no database and no prices.

Rows that share a message id, a request id or a dedup key are one call. A row without any of them belongs to the call
of its session with the same model and token counts within two seconds; it never joins two calls that have ids.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

from domain.ids import EPOCH, MILLISECOND
from domain.records import UsageEntry
from domain.text import clean_or_none, name_or_none
from domain.text import name as fit_name

NEAR_MS = 2_000
# Two writers wait for each other only when their calls share a lock: with 256, single reports rarely do, and an
# import takes at most 256 entries of the server's lock table.
LOCK_COUNT = 256

# A transcript has the tiers of the cache and the ids; telemetry has sums; a report is what somebody says.
SOURCE_RANKS = {"CLAUDE_CODE": 4, "CLAUDE_LOOP": 4, "ENGINE": 3, "OTLP": 2, "API": 1}

Signature = tuple[str, str, int, int, int, int]
Node = int | UUID  # a new row by its place in the batch, or a stored record


@dataclass(slots=True)
class ToldRow:
    """A row that tells of a call, with the ids that its names were resolved to."""

    n: int
    entry: UsageEntry
    at_ms: int
    fingerprint: str
    keys: tuple[str, ...]
    signature: Signature | None
    task_id: UUID | None = None
    host_id: UUID | None = None
    project_id: UUID | None = None


class NearRecord(NamedTuple):
    """A stored record that has a row like new row `n`."""

    n: int
    record_id: UUID
    distance_ms: int


@dataclass(slots=True)
class CallGroup:
    """One call: its new rows, in the batch's order, and the stored records that turn out to be it."""

    rows: list[ToldRow] = field(default_factory=list)
    record_ids: list[UUID] = field(default_factory=list)


def milliseconds(at: datetime) -> int:
    """Whole milliseconds since 1970, as the tables keep them."""
    return (at - EPOCH) // MILLISECOND


def told_row(n: int, entry: UsageEntry) -> ToldRow:
    """Name a row: its fingerprint, the keys of its call, and what rows without keys are compared by."""
    at_ms = milliseconds(entry.at)
    entry = _fit(entry, at_ms)
    ids = (entry.message_id, entry.request_id, entry.dedup_key)
    said = (entry.source, entry.session_id, *ids, at_ms, entry.model, entry.is_sidechain, entry.tokens.values())
    kinds = ("message", "request", "dedup")
    return ToldRow(
        n,
        entry,
        at_ms,
        sha256(repr(said).encode()).hexdigest(),
        tuple(f"{kind}:{value}" for kind, value in zip(kinds, ids, strict=True) if value),
        signature(entry),
    )


def _fit(entry: UsageEntry, at_ms: int) -> UsageEntry:
    """The entry as it can be stored: nearly always itself, and a copy costs as much as all the rest of naming it."""
    model, provider, session_id = fit_name(entry.model), fit_name(entry.provider), name_or_none(entry.session_id)
    ids = [name_or_none(name) for name in (entry.message_id, entry.request_id, entry.dedup_key)]
    location = clean_or_none(entry.location)
    said = [entry.model, entry.provider, entry.session_id, entry.message_id, entry.request_id, entry.dedup_key]
    if [model, provider, session_id, *ids] == said and location == entry.location and not entry.at.microsecond % 1000:
        return entry
    return replace(
        entry,
        at=EPOCH + at_ms * MILLISECOND,
        model=model,
        provider=provider,
        message_id=ids[0],
        request_id=ids[1],
        dedup_key=ids[2],
        session_id=session_id,
        location=location,
    )


def signature(entry: UsageEntry) -> Signature | None:
    """What rows without ids agree in. None without a session: such rows are like nothing but themselves.

    Telemetry tells neither the tiers of cache writes nor reasoning tokens, so these are not compared.
    """
    if not entry.session_id:
        return None
    tokens = entry.tokens
    written = tokens.cache_write_5m + tokens.cache_write_1h
    return (entry.session_id, entry.model, tokens.input, tokens.cache_read, written, tokens.output)


def lock_numbers(rows: Iterable[ToldRow]) -> list[int]:
    """The locks that keep two writers from judging the same call at the same time, in the order to take them."""
    names = {key for row in rows for key in row.keys} | {repr(row.signature or row.fingerprint) for row in rows}
    return sorted({crc32(name.encode()) % LOCK_COUNT for name in names})


def rank(row: UsageEntry) -> tuple[Any, ...]:
    """Of one call the row with the highest rank counts.

    No sidechain, then the larger total, the better source, the earlier time; the rest only makes the order total, so
    that the result does not depend on which row came first.
    """
    return (
        not row.is_sidechain,
        row.tokens.total,
        SOURCE_RANKS.get(row.source, 0),
        -milliseconds(row.at),
        row.reported_cost_usd is not None,
        row.reported_cost_usd or 0,
        row.tokens.values(),
        row.model,
        row.provider,
        row.message_id or "",
        row.request_id or "",
        row.session_id or "",
    )


def group_rows(
    rows: Sequence[ToldRow],
    record_by_key: Mapping[str, UUID],
    near: Sequence[NearRecord],
    keyed_records: frozenset[UUID],
) -> list[CallGroup]:
    """Put rows and stored records together, one group per call, in the order of their first rows.

    `near` are the stored records with a row like a new row; `keyed_records` those records that have keys.
    """
    by_n = {row.n: row for row in rows}
    sets = _Sets()
    holder: dict[str, Node] = dict(record_by_key)
    for row in rows:
        for key in row.keys:
            sets.join(row.n, holder.setdefault(key, row.n))

    links: list[tuple[int, Node, Node]] = []  # distance, a node without keys, a node with keys
    for n, record_id, distance in near:
        if by_n[n].keys:
            if record_id not in keyed_records:
                links.append((distance, record_id, n))
        elif record_id in keyed_records:
            links.append((distance, n, record_id))
        else:
            sets.join(n, record_id)
    links += _near_in_batch(rows, sets)

    chosen: dict[Node, tuple[int, Node]] = {}
    for distance, keyless, keyed in links:
        root = sets.root(keyless)
        if root not in chosen or distance < chosen[root][0]:
            chosen[root] = (distance, keyed)
    for root, (_, keyed) in chosen.items():
        sets.join(root, keyed)

    groups: defaultdict[Node, CallGroup] = defaultdict(CallGroup)
    for row in rows:
        groups[sets.root(row.n)].rows.append(row)
    for record_id in {*record_by_key.values(), *(hit.record_id for hit in near)}:
        group = groups.get(sets.root(record_id))
        if group is not None:  # a record that looked alike but belongs to another call
            group.record_ids.append(record_id)
    for group in groups.values():
        group.record_ids.sort()
    return list(groups.values())


def _near_in_batch(rows: Sequence[ToldRow], sets: _Sets) -> list[tuple[int, Node, Node]]:
    """Join rows without keys that are near each other; return their distances to rows with keys."""
    keyless: defaultdict[Signature, list[ToldRow]] = defaultdict(list)
    for row in rows:
        if not row.keys and row.signature is not None:
            keyless[row.signature].append(row)
    if not keyless:
        return []
    keyed: defaultdict[Signature, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        if row.keys and row.signature is not None and row.signature in keyless:
            keyed[row.signature].append((row.at_ms, row.n))
    links: list[tuple[int, Node, Node]] = []
    for like, found in keyless.items():
        found.sort(key=lambda row: row.at_ms)
        for earlier, later in pairwise(found):
            if later.at_ms - earlier.at_ms <= NEAR_MS:
                sets.join(earlier.n, later.n)
        moments = sorted(keyed[like])
        for row in found:
            low = bisect_left(moments, (row.at_ms - NEAR_MS, -1))
            high = bisect_right(moments, (row.at_ms + NEAR_MS, len(rows)))
            links += [(abs(at_ms - row.at_ms), row.n, n) for at_ms, n in moments[low:high]]
    return links


class _Sets:
    """Disjoint sets of nodes."""

    def __init__(self) -> None:
        self._parents: dict[Node, Node] = {}

    def root(self, node: Node) -> Node:
        parents = self._parents
        while (parent := parents.get(node, node)) != node:
            above = parents.get(parent, parent)
            parents[node] = above  # halves the way for the next one
            node = above
        return node

    def join(self, left: Node, right: Node) -> None:
        left, right = self.root(left), self.root(right)
        if left != right:
            self._parents[right] = left
