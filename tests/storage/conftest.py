"""A PostgreSQL of the suite's own and a fresh migrated database per test.

Every database watches itself: a COMMIT that changed a task without telling it by an event fails.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from db import migrate
from db.database import Database, connect_arguments, open_database
from local import LocalStores

# Raised at COMMIT, when the events of the transaction are written. The index keeps the look-up from growing.
WATCH_TASKS = """
CREATE INDEX test_event_task ON events ((facts ->> 'id')) WHERE topic = 'tasks';
CREATE FUNCTION test_task_has_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed tasks%ROWTYPE := coalesce(NEW, OLD);
    found bigint;
BEGIN
    SELECT count(*) INTO found FROM events
    WHERE topic = 'tasks' AND facts ->> 'id' = changed.id::text
          AND xmin = pg_current_xact_id()::xid
          AND (TG_OP = 'DELETE' OR EXISTS (
              SELECT FROM tasks t WHERE t.id = changed.id AND t.revision = (facts ->> 'revision')::bigint));
    IF found <> 1 THEN
        RAISE EXCEPTION '% of task % was told by % events', TG_OP, changed.id, found;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER test_task_has_event AFTER INSERT OR UPDATE OR DELETE ON tasks
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test_task_has_event();
"""

MakeDatabase = Callable[[str], AbstractAsyncContextManager[str]]


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL that lives as long as the session."""
    folder: Path = tmp_path_factory.mktemp("stores")
    with LocalStores(folder, valkey=False, durable=False) as urls:
        yield urls.database_url


@pytest.fixture(scope="session")
def make_database(stores: str) -> MakeDatabase:
    """Makes a database from a template by name (`template0` is empty) and drops it at the end of the block."""

    @asynccontextmanager
    async def make(template: str) -> AsyncIterator[str]:
        name = f"t_{uuid.uuid4().hex}"
        server = await asyncpg.connect(**connect_arguments(stores))
        try:
            await server.execute(f'CREATE DATABASE {name} TEMPLATE "{template}"')
            yield stores.replace("/fleetgraph?", f"/{name}?")
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await server.close()

    return make


@pytest.fixture(scope="session")
async def migrated(stores: str, make_database: MakeDatabase) -> AsyncIterator[str]:
    """The name of a template: migrated, and watching that every change of a task is told."""
    async with make_database("template0") as url:
        await migrate.upgrade(url)
        connection = await asyncpg.connect(**connect_arguments(url))
        await connection.execute(WATCH_TASKS)
        await connection.close()
        yield str(connect_arguments(url)["database"])


@pytest.fixture
async def empty_url(make_database: MakeDatabase) -> AsyncIterator[str]:
    """The URL of an empty database."""
    async with make_database("template0") as url:
        yield url


@pytest.fixture
async def database(make_database: MakeDatabase, migrated: str) -> AsyncIterator[Database]:
    """An open Database, fresh and migrated."""
    async with make_database(migrated) as url:
        opened = await open_database(url, read_size=2, write_size=4)
        yield opened
        await opened.close()


Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]


@pytest.fixture
async def fetch(database: Database) -> AsyncIterator[Fetch]:
    """Rows of any SQL, on a connection beside the pools."""
    connection = await asyncpg.connect(**connect_arguments(database.url))

    async def run(sql: str, *values: object) -> list[asyncpg.Record]:
        return list(await connection.fetch(sql, *values))

    yield run
    await connection.close()
