"""How far importers have read, and what mutations have already answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from db.models.base import Row, identity, instant, metadata

import_offsets = Table(
    "import_offsets",
    metadata,
    identity(),
    Column("importer", Text, nullable=False, comment="claude-code, claude-loop, …"),
    Column("host", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("byte_offset", BigInteger, nullable=False, server_default=text("0")),
    Column("line_count", BigInteger, nullable=False, server_default=text("0")),
    Column("head_sha256", Text, comment="of the file's first bytes and the last before byte_offset"),
    Column("state", JSONB, nullable=False, server_default=text("'{}'"), comment="what the reader carries on with"),
    instant("updated_at"),
    UniqueConstraint("importer", "host", "path"),
)

# The rows of transcripts that were taken in: by the source's id of the row, so that a file that was copied, moved,
# forked or rewritten adds only what is new. The key is the first half of a SHA-256 over importer and row id.
imported_rows = Table(
    "imported_rows",
    metadata,
    Column("host", Text, nullable=False),
    Column("key", Uuid(), nullable=False),
    PrimaryKeyConstraint("host", "key"),
)

# An answer is kept so that the same key with the same request is answered again and not done twice.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("credential", Text, nullable=False, comment="who asked: `local`, or the API key's id"),
    Column("mutation", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request_sha256", Text, nullable=False),
    Column("result", JSONB, nullable=False, comment="ids of what was written"),
    instant("created_at"),
    PrimaryKeyConstraint("credential", "mutation", "key"),
    Index(None, "created_at"),
)


class ImportOffsetRow(Row):
    """A row of `import_offsets`."""

    id: UUID
    importer: str
    host: str
    path: str
    byte_offset: int
    line_count: int
    head_sha256: str | None
    state: dict[str, Any]
    updated_at: datetime


class IdempotencyRow(Row):
    """A row of `idempotency_keys`."""

    request_sha256: str
    result: dict[str, Any]
