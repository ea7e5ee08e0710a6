"""Claims of idempotency keys. The primary key's lock makes a second request wait for the first one's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from db.handles import Handle
from db.models.ingest import IdempotencyRow
from db.statements import raw_statement

# A key that nobody has used becomes a row without a result; one that was used gives its row, unchanged and locked.
# While another transaction holds the key, this waits until that one has ended. A committed row has a result.
CLAIM = raw_statement(
    """
INSERT INTO idempotency_keys AS k (credential, mutation, key, request_sha256, result, created_at)
VALUES ($1::text, $2::text, $3::text, $4::text, '{}'::jsonb, $5::timestamptz)
ON CONFLICT (credential, mutation, key) DO UPDATE SET created_at = k.created_at
RETURNING request_sha256, result
""",
    IdempotencyRow,
)
KEEP = raw_statement(
    "UPDATE idempotency_keys SET result = $4::jsonb WHERE credential = $1 AND mutation = $2 AND key = $3"
    " RETURNING request_sha256, result",
    IdempotencyRow,
)


async def claim(
    transaction: Handle, credential: str, mutation: str, key: str, request_sha256: str, now: datetime
) -> IdempotencyRow:
    """The key's row: new, with an empty result, or that of the request which used it before."""
    row = await transaction.fetch_row(CLAIM, credential, mutation, key, request_sha256, now)
    if row is None:
        raise RuntimeError("claiming an idempotency key returned no row")
    return row


async def keep(transaction: Handle, credential: str, mutation: str, key: str, result: dict[str, Any]) -> None:
    """Store what the request wrote, in its own transaction."""
    await transaction.fetch(KEEP, credential, mutation, key, result)
