"""Statements by which domain.usage writes model calls. A fixed number per batch, whatever its size.

Which rows are one call, and which of them counts, is decided there; here is nothing but reading, locking and writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.expression import TableValuedAlias

from db.handles import Handle
from db.models.base import Row
from db.models.usage import usage_evidence, usage_identities, usage_records
from db.statements import Statement, compile_statement, raw_statement

LOCK_CLASS = 0x75736167  # our own first of the two numbers of an advisory lock


@dataclass(slots=True)
class Call:
    """A row of `usage_records`, money exact. Fields are the table's columns, in its order."""

    id: UUID
    at: datetime
    model: str
    provider: str
    task_id: UUID | None
    owner_id: UUID | None
    host_id: UUID | None
    project_id: UUID | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal | None
    reported_cost_usd: Decimal | None
    computed_cost_usd: Decimal | None
    cost_source: str
    price_version: str | None
    source: str
    session_id: str | None
    message_id: str | None
    request_id: str | None
    is_sidechain: bool
    raw: dict[str, Any] | None


class StoredCall(NamedTuple):
    """A call as it is stored: whether it has keys, and the row that its task comes from."""

    call: Call
    has_keys: bool
    place_at: datetime
    place_is_sidechain: bool
    place_id: UUID


class KeyRow(Row):
    """A key of a call."""

    key: str
    usage_record_id: UUID


class NearRow(Row):
    """A stored record that has a row like row `n` of the batch."""

    n: int
    record_id: UUID
    distance_ms: int


CALL_COLUMNS = tuple(field.name for field in fields(Call))
EVIDENCE_COLUMNS = tuple(column.name for column in usage_evidence.c)
IDENTITY_COLUMNS = ("key", "usage_record_id")


def _given(table: Table, names: Sequence[str]) -> TableValuedAlias:
    """Rows given as one array per column: `n` rows are one statement of fixed text."""
    arrays = [bindparam(name, type_=ARRAY(table.c[name].type)) for name in names]
    return func.unnest(*arrays).table_valued(*names).render_derived(name="given")


def _insert(table: Table, names: Sequence[str]) -> Statement[Row]:
    given = _given(table, names)
    return compile_statement(insert(table).from_select(list(names), select(*given.c)), Row, *names)


def _update(table: Table, names: Sequence[str]) -> Statement[Row]:
    given = _given(table, names)
    changed = {name: given.c[name] for name in names if name != "id"}
    return compile_statement(update(table).values(changed).where(table.c.id == given.c.id), Row, *names)


LOCK = raw_statement("SELECT pg_advisory_xact_lock($1::int, n) FROM unnest($2::int[]) AS l(n)", Row)
# One look-up per name, not `= ANY($1)`: the plan of that, kept from the time when the table was small, reads all of it
# until the next ANALYZE (measured in an import that outgrew it: 241 µs a row, and 3 by look-ups).
KNOWN_FINGERPRINTS = raw_statement(
    "SELECT e.fingerprint FROM unnest($1::text[]) AS f(fingerprint) CROSS JOIN LATERAL"
    " (SELECT e.fingerprint FROM usage_evidence e WHERE e.fingerprint = f.fingerprint LIMIT 1) e",
    Row,
)
RECORDS_BY_KEY = raw_statement(
    "SELECT i.key, i.usage_record_id FROM unnest($1::text[]) AS k(key) CROSS JOIN LATERAL"
    " (SELECT i.key, i.usage_record_id FROM usage_identities i WHERE i.key = k.key LIMIT 1) i",
    KeyRow,
)
NEAR = raw_statement(
    """
SELECT p.n, e.usage_record_id, min(abs(extract(epoch FROM e.at - p.at)) * 1000)::bigint
FROM unnest($1::int[], $2::bool[], $3::timestamptz[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[])
     AS p(n, has_keys, at, session_id, model, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens)
JOIN usage_evidence e
  ON e.session_id = p.session_id AND e.model = p.model
 AND e.at BETWEEN p.at - make_interval(secs => $10 / 1000.0) AND p.at + make_interval(secs => $10 / 1000.0)
 AND e.input_tokens = p.input_tokens AND e.cache_read_tokens = p.cache_read_tokens
 AND e.cache_write_5m_tokens + e.cache_write_1h_tokens = p.cache_write_tokens AND e.output_tokens = p.output_tokens
WHERE NOT p.has_keys OR NOT EXISTS (SELECT FROM usage_identities i WHERE i.usage_record_id = e.usage_record_id)
GROUP BY p.n, e.usage_record_id
ORDER BY p.n, e.usage_record_id
""",
    NearRow,
)
LOCK_RECORDS = raw_statement(
    "SELECT r.id FROM unnest($1::uuid[]) AS k(id) CROSS JOIN LATERAL"
    " (SELECT r.id FROM usage_records r WHERE r.id = k.id FOR UPDATE) r",
    Row,
)
STORED_CALLS = raw_statement(
    f"""
SELECT {", ".join(f"r.{name}" for name in CALL_COLUMNS)},
       EXISTS (SELECT FROM usage_identities i WHERE i.usage_record_id = r.id),
       coalesce(e.at, r.at), coalesce(e.is_sidechain, r.is_sidechain), coalesce(e.id, r.id)
FROM unnest($1::uuid[]) AS k(id)
CROSS JOIN LATERAL (SELECT r.* FROM usage_records r WHERE r.id = k.id LIMIT 1) r
LEFT JOIN LATERAL (
    SELECT e.at, e.is_sidechain, e.id FROM usage_evidence e
    WHERE e.usage_record_id = r.id AND e.task_id IS NOT DISTINCT FROM r.task_id
    ORDER BY e.is_sidechain, e.at, e.id LIMIT 1
) e ON true
""",  # noqa: S608
    Row,
)
MOVE_EVIDENCE: Statement[Row] = raw_statement(
    "UPDATE usage_evidence e SET usage_record_id = m.kept FROM unnest($1::uuid[], $2::uuid[]) AS m(gone, kept)"
    " WHERE e.usage_record_id = m.gone"
)
MOVE_KEYS: Statement[Row] = raw_statement(
    "UPDATE usage_identities i SET usage_record_id = m.kept FROM unnest($1::uuid[], $2::uuid[]) AS m(gone, kept)"
    " WHERE i.usage_record_id = m.gone"
)
DELETE_RECORDS: Statement[Row] = raw_statement("DELETE FROM usage_records WHERE id = ANY($1::uuid[])")
UPDATE_CALLS = _update(usage_records, CALL_COLUMNS)
INSERT_CALLS = _insert(usage_records, CALL_COLUMNS)
INSERT_KEYS = _insert(usage_identities, IDENTITY_COLUMNS)
INSERT_EVIDENCE = _insert(usage_evidence, EVIDENCE_COLUMNS)


async def lock(transaction: Handle, numbers: Sequence[int]) -> None:
    """Take these of our locks until the transaction's end, in the order given."""
    await transaction.fetch(LOCK, LOCK_CLASS, list(numbers))


async def known_fingerprints(transaction: Handle, fingerprints: Sequence[str]) -> set[str]:
    """Those of the fingerprints that are stored."""
    return {row[0] for row in await transaction.fetch(KNOWN_FINGERPRINTS, list(fingerprints))}


async def records_by_key(transaction: Handle, keys: Sequence[str]) -> dict[str, UUID]:
    """The record of each key that is stored."""
    return {row.key: row.usage_record_id for row in await transaction.fetch(RECORDS_BY_KEY, list(keys))}


async def near_records(transaction: Handle, probes: Sequence[Sequence[Any]], near_ms: int) -> list[NearRow]:
    """Records that have a row like a probe's within `near_ms`: for a probe with keys only records without any.

    A probe is (n, has_keys, at, session_id, model, input, cache read, cache written, output).
    """
    if not probes:
        return []
    return await transaction.fetch(NEAR, *_columns(probes), near_ms)


async def lock_records(transaction: Handle, ids: Sequence[UUID]) -> int:
    """Lock records until the transaction's end, in the order given. Returns how many are still there."""
    return len(await transaction.fetch(LOCK_RECORDS, list(ids)))


async def stored_calls(transaction: Handle, ids: Sequence[UUID]) -> dict[UUID, StoredCall]:
    """Calls by id."""
    n = len(CALL_COLUMNS)
    rows = await transaction.fetch(STORED_CALLS, list(ids))
    return {row[0]: StoredCall(Call(*row[:n]), *row[n:]) for row in rows}


async def merge_records(transaction: Handle, merges: Sequence[tuple[UUID, UUID]]) -> None:
    """Move the keys and rows of each first record to the second, and delete the first."""
    gone, kept = _columns(merges)
    await transaction.fetch(MOVE_EVIDENCE, gone, kept)
    await transaction.fetch(MOVE_KEYS, gone, kept)
    await transaction.fetch(DELETE_RECORDS, gone)


async def update_calls(transaction: Handle, calls: Sequence[Call]) -> None:
    """Give stored records new values."""
    await transaction.fetch(UPDATE_CALLS, *_columns([_values(call) for call in calls]))


async def insert_calls(transaction: Handle, calls: Sequence[Call]) -> None:
    """Store new records."""
    await transaction.fetch(INSERT_CALLS, *_columns([_values(call) for call in calls]))


async def insert_keys(transaction: Handle, keys: Sequence[tuple[str, UUID]]) -> None:
    """Store keys of records; a key that is stored already is an error, since it would be a call counted twice."""
    await transaction.fetch(INSERT_KEYS, *_columns(keys))


async def insert_evidence(transaction: Handle, rows: Sequence[Sequence[Any]]) -> None:
    """Store rows that told of calls: values in the order of EVIDENCE_COLUMNS."""
    await transaction.fetch(INSERT_EVIDENCE, *_columns(rows))


def _values(call: Call) -> tuple[Any, ...]:
    return tuple(getattr(call, name) for name in CALL_COLUMNS)


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
