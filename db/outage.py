"""Which failures of a statement mean that PostgreSQL is away for a moment: whoever can wait tries again."""

from __future__ import annotations

import asyncpg


def is_outage(error: BaseException | None) -> bool:
    """Whether the same statement can succeed when the database is back. A statement that took too long is none."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return False
    return isinstance(
        error,
        OSError
        | asyncpg.PostgresConnectionError
        | asyncpg.OperatorInterventionError
        | asyncpg.TooManyConnectionsError
        | asyncpg.InterfaceError
        | asyncpg.InternalClientError,  # what asyncpg says of a connection that was cut within a statement
    )
