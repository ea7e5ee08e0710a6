"""What an operator asks of a store: version, clock and timeout, tasks by status, unpriced models, files read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from db.handles import Handle
from db.models.base import Row
from db.statements import raw_statement


class ServerRow(Row):
    """The database's server."""

    version: str
    at: datetime


SERVER = raw_statement(
    "SELECT split_part(current_setting('server_version'), ' ', 1) AS version, clock_timestamp() AS at", ServerRow
)


class TimeoutRow(Row):
    """Whether the timeout of statements is what it should be."""

    holds: bool


TIMEOUT = raw_statement(
    "SELECT current_setting('statement_timeout')::interval = $1::bigint * interval '1 ms' AS holds", TimeoutRow
)


class CountRow(Row):
    """How many there are of one name."""

    name: str
    count: int


TASK_COUNTS = raw_statement("SELECT status AS name, count(*) AS count FROM tasks GROUP BY status", CountRow)
UNPRICED = raw_statement(
    "SELECT model AS name, count(*) AS count FROM usage_records WHERE cost_usd IS NULL GROUP BY model ORDER BY model",
    CountRow,
)


class ReadToRow(Row):
    """How far a file was read."""

    path: str
    byte_offset: int


# Of any host: --host gives this machine's files another name.
READ_TO = raw_statement(
    "SELECT path, max(byte_offset) AS byte_offset FROM import_offsets"
    " WHERE importer = $1 AND path = ANY($2::text[]) GROUP BY path",
    ReadToRow,
)


async def server(handle: Handle) -> ServerRow:
    """The server's version and its time."""
    return (await handle.fetch(SERVER))[0]


async def has_timeout(handle: Handle, milliseconds: int) -> bool:
    """Whether a statement runs under this timeout."""
    return (await handle.fetch(TIMEOUT, milliseconds))[0].holds


async def task_counts(handle: Handle) -> dict[str, int]:
    """Tasks by status; a status without tasks is missing."""
    return {row.name: row.count for row in await handle.fetch(TASK_COUNTS)}


async def unpriced_models(handle: Handle) -> dict[str, int]:
    """Calls without a price, by model."""
    return {row.name: row.count for row in await handle.fetch(UNPRICED)}


async def read_to(handle: Handle, importer: str, paths: Sequence[str]) -> dict[str, int]:
    """Bytes read of files, by path; files that were never read are missing."""
    return {row.path: row.byte_offset for row in await handle.fetch(READ_TO, importer, list(paths))}
