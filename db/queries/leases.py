"""Leases of background jobs: one row each, held by one process until it expires or is given back."""

from __future__ import annotations

from datetime import datetime

from db.handles import Handle
from db.models.base import Row
from db.statements import raw_statement

HOLD = raw_statement(
    """
INSERT INTO leases AS l (name, holder, expires_at) VALUES ($1::text, $2::text, $3::timestamptz)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE l.holder = excluded.holder OR l.expires_at <= $4::timestamptz
RETURNING holder
""",
    Row,
)
RELEASE = raw_statement("DELETE FROM leases WHERE name = $1 AND holder = $2", Row)


async def hold(transaction: Handle, name: str, holder: str, until: datetime, now: datetime) -> bool:
    """Take or prolong a lease. False when another holds it."""
    return await transaction.fetch_row(HOLD, name, holder, until, now) is not None


async def release(transaction: Handle, name: str, holder: str) -> None:
    """Give a lease back; does nothing when another holds it by now."""
    await transaction.fetch(RELEASE, name, holder)
