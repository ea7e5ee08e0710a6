"""What changes behind pgbouncer in transaction mode: each transaction may run on another connection to PostgreSQL.

Statements have no names, for a name is known to one connection only, and settings last for one transaction. A read
costs two more round trips for its BEGIN and COMMIT, and one to have its statement described: `?statement_cache_size=0`
is for those who need it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from db.errors import DatabaseUnavailable

ADVICE = "add ?statement_cache_size=0 to DATABASE_URL, for a pooler such as pgbouncer"
# pgbouncer passes these on with each transaction, and refuses others when a client connects.
PASSED_ON = ("application_name", "timezone")


def statement_cache_size(query: Mapping[str, Any]) -> int | None:
    """What a URL's options say, in asyncpg's word or SQLAlchemy's: 0 is for a pooler, None is asyncpg's default.

    Raises DatabaseUnavailable.
    """
    for name in ("statement_cache_size", "prepared_statement_cache_size"):
        if name in query:
            text = str(query[name])
            if not (text.isascii() and text.isdecimal() and len(text) <= 6):
                raise DatabaseUnavailable(f"{name} in DATABASE_URL is {text!r}; it should be 0, or another number")
            return int(text)
    return None


def refused_by_pooler(error: BaseException) -> bool:
    """Whether it is what a pooler, or what is behind one, says to a client that takes it for PostgreSQL."""
    if isinstance(error, asyncpg.DuplicatePreparedStatementError | asyncpg.InvalidSQLStatementNameError):
        return True
    return pooler_says(error, "startup parameter")


def pooler_says(error: BaseException, *words: str) -> bool:
    """Whether it is pgbouncer's own complaint: it has one code for all, so that its words must tell them apart."""
    return isinstance(error, asyncpg.ProtocolViolationError) and any(word in str(error) for word in words)


def settle(settings: Mapping[str, str]) -> str:
    """The statements that give `settings` to a transaction, all but those that the pooler passes on."""
    return "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in settings.items() if name not in PASSED_ON)


@asynccontextmanager
async def read_transaction(connection: Any, settled: str) -> AsyncIterator[None]:
    """A transaction for one read, begun and settled in one round trip, where asyncpg's own takes two."""
    await connection.execute(f"BEGIN READ ONLY; {settled}")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("COMMIT")
