"""The suite's own PostgreSQL and Valkey, a fresh migrated database per test, and a server on it to talk to.

With FLEETGRAPH_TEST_PGBOUNCER=1 all of it goes through a pgbouncer in transaction mode (`make test-pgbouncer`).
Every database watches itself: a COMMIT that changed a task without telling it by an event fails.
"""

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from db import migrate
from db.database import Database, connect_arguments, open_database
from local import LocalStores, StoreUrls
from settings import Settings
from tests.client import Server
from tests.filled import fill
from tests.pgbouncer import pgbouncer, straight
from tests.serving import serving

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
def store_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreUrls]:
    """A PostgreSQL and a Valkey that live as long as the session."""
    folder: Path = tmp_path_factory.mktemp("stores")
    with LocalStores(folder, durable=False) as urls:
        yield urls


@pytest.fixture(scope="session")
def pooler_url(store_urls: StoreUrls) -> Iterator[str]:
    """The same PostgreSQL through a pgbouncer that lives as long as the session."""
    with pgbouncer(store_urls.database_url) as url:
        yield url


@pytest.fixture(scope="session")
def way_in(store_urls: StoreUrls, request: pytest.FixtureRequest) -> str:
    """The URL by which the suite reaches PostgreSQL."""
    if os.environ.get("FLEETGRAPH_TEST_PGBOUNCER") == "1":
        return str(request.getfixturevalue("pooler_url"))
    return store_urls.database_url


# A pooler goes on holding connections that its clients have left.
END_SESSIONS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1"


@pytest.fixture(scope="session")
def make_database(store_urls: StoreUrls, way_in: str) -> MakeDatabase:
    """Makes a database from a template by name (`template0` is empty) and drops it at the end of the block."""

    @asynccontextmanager
    async def make(template: str) -> AsyncIterator[str]:
        name = f"t_{uuid.uuid4().hex}"
        server = await asyncpg.connect(**connect_arguments(store_urls.database_url))
        try:
            if way_in != store_urls.database_url:
                await server.fetch(END_SESSIONS, template)
            await server.execute(f'CREATE DATABASE {name} TEMPLATE "{template}"')
            yield way_in.replace("/fleetgraph?", f"/{name}?")
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await server.close()

    return make


@pytest.fixture(scope="session")
async def migrated(make_database: MakeDatabase) -> AsyncIterator[str]:
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
async def database_url(make_database: MakeDatabase, migrated: str) -> AsyncIterator[str]:
    """The URL of a fresh migrated database."""
    async with make_database(migrated) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open Database, fresh and migrated."""
    opened = await open_database(database_url, read_size=2, write_size=4)
    yield opened
    await opened.close()


Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]


@pytest.fixture
async def fetch(database: Database) -> AsyncIterator[Fetch]:
    """Rows of any SQL, on a connection beside the pools."""
    connection = await asyncpg.connect(**straight(database.url))

    async def run(sql: str, *values: object) -> list[asyncpg.Record]:
        return list(await connection.fetch(sql, *values))

    yield run
    await connection.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of `server`; a module may override them."""
    return Settings(data_dir=tmp_path / "data", redis_prefix=f"t{uuid.uuid4().hex}", host_name="testhost")


@pytest.fixture
async def server(settings: Settings, database_url: str, store_urls: StoreUrls) -> AsyncIterator[Server]:
    """A real server, over HTTP and WebSocket, on a fresh database and channels of its own."""
    async with serving(settings, database_url, store_urls.redis_url) as running:
        yield running


@pytest.fixture(scope="session")
async def filled(
    tmp_path_factory: pytest.TempPathFactory, make_database: MakeDatabase, migrated: str, store_urls: StoreUrls
) -> AsyncIterator[Server]:
    """A server on 50 items of everything (tests.filled), shared by tests that only read."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("filled"), redis_prefix=f"t{uuid.uuid4().hex}")
    async with make_database(migrated) as url, serving(settings, url, store_urls.redis_url) as running:
        await fill(running, 50)
        yield running
