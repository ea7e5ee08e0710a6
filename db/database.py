"""Connections: the read pool, write transactions with their events, the realtime connection's settings, the epoch.

Statements come from db.queries; this module runs them. It relies on no state in a PostgreSQL session but prepared
statements and settings sent when a connection opens, and on none at all behind a pooler (db/pooler.py).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.engine import make_url

from db.errors import DatabaseUnavailable, StatementTimeout
from db.handles import Event, NewEvent, NewLogLine
from db.instants import keep_instants
from db.kept import KeptConnections
from db.models.base import Row
from db.pooler import ADVICE, PASSED_ON, pooler_says, refused_by_pooler, settle, statement_cache_size
from db.queries import diagnosis, events
from db.statements import Statement

R = TypeVar("R", bound=Row)

READ_POOL_SIZE = 10  # a request holds one for each statement that it waits for
WRITE_POOL_SIZE = 5
# Transactions of a process that may be between their emit statement and the end of COMMIT: one holds the topic's row,
# one is next in line. Of more that wait for a row, PostgreSQL wakes several at each commit, to wait again. Measured
# with 32 writers over 20 connections, one event a transaction: 1,800-2,000/s with two, 1,300-1,500/s without a bound.
EMITTING = 2
CONNECT_TIMEOUT_S = 10
# From its sixth use on a statement keeps its plan, and one that was made while a table was small reads all of it until
# PostgreSQL's next ANALYZE, up to a minute later: the work of an import grew with the square of its size.
PLANS_KEPT = 8  # transactions, at first
STATEMENT_TIMEOUT_MS = 9_000  # below the 10 s that an operation may take
SETTINGS = {
    "application_name": "fleetgraph",
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "timezone": "UTC",
    "jit": "off",  # compiling costs more than any of our statements
}


class ReadHandle:
    """Runs each statement on a connection of the read pool, held for that statement only.

    `settled`, not empty behind a pooler, is what gives our settings to a transaction.
    """

    def __init__(self, pool: asyncpg.Pool[Any], settled: str = "") -> None:
        self.connections = KeptConnections(pool, settled)
        self.statement_count = 0
        self.epoch = UUID(int=0)  # set by open_database

    async def fetch(self, statement: Statement[R], *values: Any) -> list[R]:
        """All rows."""
        self.statement_count += 1
        try:
            return await self.connections.fetch(statement.sql, statement.arguments(values), statement.row)
        except asyncpg.QueryCanceledError as error:
            raise StatementTimeout from error

    async def fetch_row(self, statement: Statement[R], *values: Any) -> R | None:
        """The first row, or None."""
        rows = await self.fetch(statement, *values)
        return rows[0] if rows else None


@dataclass(slots=True)
class WriteTransaction:
    """One transaction. Collects events and log lines, and writes them by one statement, the last before COMMIT."""

    connection: Any
    epoch: UUID
    turn: asyncio.Semaphore
    emitted: list[Event] = field(default_factory=list)
    log_heads: dict[UUID, int] = field(default_factory=dict)
    _events: list[NewEvent] = field(default_factory=list)
    _lines: list[NewLogLine] = field(default_factory=list)
    _has_turn: bool = False

    async def fetch(self, statement: Statement[R], *values: Any) -> list[R]:
        """All rows."""
        try:
            return await self.connection.fetch(  # type: ignore[no-any-return]
                statement.sql, *statement.arguments(values), record_class=statement.row
            )
        except asyncpg.QueryCanceledError as error:
            raise StatementTimeout from error

    async def fetch_row(self, statement: Statement[R], *values: Any) -> R | None:
        """The first row, or None."""
        rows = await self.fetch(statement, *values)
        return rows[0] if rows else None

    async def execute_many(self, statement: Statement[Row], rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once per row of values, in one round trip."""
        try:
            await self.connection.executemany(statement.sql, [statement.arguments(tuple(row)) for row in rows])
        except asyncpg.QueryCanceledError as error:
            raise StatementTimeout from error

    def emit(self, topic: str, kind: str, facts: dict[str, Any]) -> None:
        """Have an event written at the end of this transaction."""
        self._events.append(NewEvent(topic, kind, facts))

    def append_log(self, lines: Iterable[NewLogLine]) -> None:
        """Have log lines appended at the end of this transaction."""
        self._lines.extend(lines)

    async def finish(self) -> None:
        """Write what was collected since the last call. The database handle calls it before COMMIT.

        Who needs a log's new head earlier calls it as the last but one step, and then waits for nobody: topics stay
        locked from here on, and it is its turn (see EMITTING) until the transaction ends.
        """
        if self._events or self._lines:
            if not self._has_turn:
                await self.turn.acquire()
                self._has_turn = True
            told, lines = self._events, self._lines
            self._events, self._lines = [], []
            emitted, heads = await events.emit(self, told, lines)
            self.emitted += emitted
            self.log_heads |= heads

    def end_turn(self) -> None:
        """Let the next one emit. The database handle calls it behind COMMIT or ROLLBACK."""
        if self._has_turn:
            self._has_turn = False
            self.turn.release()


class Database:
    """The pools of one process."""

    def __init__(
        self, url: str, read_pool: asyncpg.Pool[Any], write_pool: asyncpg.Pool[Any], settled: str = ""
    ) -> None:
        self.url = url
        self.read = ReadHandle(read_pool, settled)
        self._settled = settled
        self._read_pool = read_pool
        self._write_pool = write_pool
        self._write_count = 0
        self._planned: dict[int, int] = {}
        self._turn = asyncio.Semaphore(EMITTING)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteTransaction]:
        """One transaction: commits at the end of the block, rolls back when it raises.

        After the block `transaction.emitted` holds the committed events: hand them to pubsub.
        """
        async with self._write_pool.acquire() as connection:
            transaction = WriteTransaction(connection, self.read.epoch, self._turn)
            try:
                async with connection.transaction():
                    if self._settled:
                        await connection.execute(self._settled)
                    else:
                        await self._plan_anew(connection)
                    yield transaction
                    await transaction.finish()
            finally:
                transaction.end_turn()

    async def _plan_anew(self, connection: Any) -> None:
        """Forget a connection's plans whenever the transactions of this process have doubled (see PLANS_KEPT)."""
        self._write_count += 1
        doublings = max(self._write_count // PLANS_KEPT, 1).bit_length()
        if self._planned.setdefault(connection.get_server_pid(), doublings) != doublings:
            self._planned[connection.get_server_pid()] = doublings
            await connection.execute("DISCARD PLANS")

    @property
    def epoch(self) -> UUID:
        """The identity of this database's history of events."""
        return self.read.epoch

    async def close(self) -> None:
        """Close all connections; those that are still busy after 5 s are cut."""
        await self.read.connections.close()
        for pool in (self._read_pool, self._write_pool):
            try:
                await asyncio.wait_for(pool.close(), 5)
            except TimeoutError:
                pool.terminate()


def connect_arguments(url: str) -> dict[str, Any]:
    """Asyncpg's arguments for a URL such as ``postgresql+asyncpg://user:password@host:5432/name?host=/socket/folder``.

    Raises DatabaseUnavailable when it is no PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except Exception as error:
        raise DatabaseUnavailable(
            "DATABASE_URL is not a URL; it should look like postgresql+asyncpg://user:password@host:5432/name"
        ) from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise DatabaseUnavailable(
            f"DATABASE_URL names {parsed.get_backend_name()}; Fleetgraph needs PostgreSQL:"
            " postgresql+asyncpg://user:password@host:5432/name"
        )
    query = dict(parsed.query)
    arguments: dict[str, Any] = {
        "user": parsed.username or query.pop("user", None),
        "password": parsed.password or query.pop("password", None),
        "database": parsed.database,
        "host": query.pop("host", None) or parsed.host,
        "port": parsed.port or query.pop("port", None),
    }
    ssl = query.pop("sslmode", None) or query.pop("ssl", None)
    if ssl:
        arguments["ssl"] = ssl
    arguments["statement_cache_size"] = statement_cache_size(query)
    return {name: value for name, value in arguments.items() if value is not None}


# An escaped NUL, which jsonb refuses, behind an even number of backslashes: behind an odd one it is plain text.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def _encode_json(value: Any) -> str:
    encoded = orjson.dumps(value)
    text = encoded.decode()
    return _NUL.sub(r"\1\\ufffd", text) if b"\\u0000" in encoded else text


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=_encode_json,
        decoder=orjson.loads,
        format="text",
    )


async def _prepare_for_reading(connection: Any) -> None:
    await _prepare(connection)
    await keep_instants(connection)


async def _no_reset(_connection: Any) -> None:
    """Reads leave nothing behind in a session, so the RESET round trip at each release is not needed."""


async def open_database(url: str, *, read_size: int = READ_POOL_SIZE, write_size: int = WRITE_POOL_SIZE) -> Database:
    """Open the pools and read the epoch. Raises DatabaseUnavailable with one line that says what to do."""
    arguments = connect_arguments(url)
    has_pooler = arguments.get("statement_cache_size") == 0
    settings = {name: value for name, value in SETTINGS.items() if name in PASSED_ON} if has_pooler else SETTINGS
    common: dict[str, Any] = {
        **arguments,
        "timeout": CONNECT_TIMEOUT_S,
        "server_settings": settings,
        "init": _prepare,
        "reset": _no_reset,
    }
    where = describe(url)
    try:
        for_reading = {**common, "init": _prepare_for_reading}
        read_pool = await asyncpg.create_pool(min_size=1, max_size=read_size, **for_reading)
        write_pool = await asyncpg.create_pool(min_size=1, max_size=write_size, **common)
        database = Database(url, read_pool, write_pool, settle(SETTINGS) if has_pooler else "")
        await _check_settings(database, where)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(explain(error, where)) from error
    database.read.epoch = await events.ensure_epoch(database)
    return database


async def _check_settings(database: Database, where: str) -> None:
    """A pooler may drop settings without a word (ignore_startup_parameters); statements would run without a limit."""
    if not await diagnosis.has_timeout(database.read, STATEMENT_TIMEOUT_MS):
        await database.close()
        raise DatabaseUnavailable(f"the database at {where} did not get the settings of our connection; {ADVICE}")


def describe(url: str) -> str:
    """The URL without its password and options, for messages."""
    parsed = make_url(url)
    host = (parsed.host or "").rpartition("@")[2]  # an @ in a password that was not written as %40
    place = {name: parsed.query[name] for name in ("host", "port") if name in parsed.query}
    return parsed.set(host=host, query=place).render_as_string(hide_password=True)


def explain(error: BaseException, where: str) -> str:
    """One line about why a database cannot be used, and what to do."""
    no_access = asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError
    if isinstance(error, no_access) or pooler_says(error, "authentication failed", "no such user"):
        return f"the database at {where} refused the user or password; correct DATABASE_URL"
    if isinstance(error, asyncpg.InvalidCatalogNameError) or pooler_says(error, "does not exist", "no such database"):
        return f"the database named in {where} does not exist; create it (createdb), or correct DATABASE_URL"
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return f"what answers at {where} is no PostgreSQL, or does not do TLS as sslmode asks; correct DATABASE_URL"
    if refused_by_pooler(error):
        return f"what answers at {where} is not PostgreSQL itself ({error}); {ADVICE}"
    if isinstance(error, OSError | TimeoutError):
        return f"no database answers at {where}; start PostgreSQL there, or correct DATABASE_URL"
    return f"the database at {where} cannot be used: {error}"
