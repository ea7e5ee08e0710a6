"""Behind pgbouncer in transaction mode: nothing relies on a session, nothing is left in one, and limits hold.

`make test-pgbouncer` runs the whole suite there.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

import db.database
from db import migrate
from db.database import Database, connect_arguments, open_database
from db.errors import DatabaseUnavailable, StatementTimeout
from db.models.base import Row
from db.statements import raw_statement
from local import StoreUrls
from settings import Settings
from tests.cli.conftest import fleetgraph
from tests.client import Server
from tests.pgbouncer import CONNECTIONS, pgbouncer
from tests.serving import serving

LIMITS = raw_statement(
    "SELECT current_setting('statement_timeout') AS timeout, current_setting('jit') AS jit,"
    " current_setting('timezone') AS zone, current_setting('application_name') AS name",
    Row,
)
SLOW = raw_statement("SELECT pg_sleep(20)", Row)
OURS = ("9s", "off", "UTC", "fleetgraph")
NAMED = "SELECT name FROM pg_prepared_statements WHERE name <> ''"
CREATE = """
mutation Create($title: String!) {
  createConversation(input: {title: $title}) { ... on CreateConversationSuccess { conversation { id title } } }
}
"""
PAGE = "{ conversations(first: 20) { nodes { title usage { callCount } messages { nodes { id } } } } }"


@pytest.fixture
def url(database_url: str, pooler_url: str) -> str:
    """A fresh migrated database, through the pooler."""
    return make_url(pooler_url).set(database=make_url(database_url).database).render_as_string(hide_password=False)


@pytest.fixture
async def pooled(url: str) -> AsyncIterator[Database]:
    opened = await open_database(url, read_size=4 * CONNECTIONS, write_size=2 * CONNECTIONS)
    yield opened
    await opened.close()


@pytest.fixture
async def server(settings: Settings, url: str, store_urls: StoreUrls) -> AsyncIterator[Server]:
    async with serving(settings, url, store_urls.redis_url) as running:
        yield running


async def test_reads_and_writes_have_our_settings_and_leave_none(pooled: Database, url: str) -> None:
    """More clients than connections: each gets whichever is free."""

    async def write() -> tuple[object, ...]:
        async with pooled.write() as transaction:
            return tuple((await transaction.fetch(LIMITS))[0])

    reads = [pooled.read.fetch(LIMITS) for _ in range(8 * CONNECTIONS)]
    read, written = await asyncio.gather(
        asyncio.gather(*reads), asyncio.gather(*(write() for _ in range(4 * CONNECTIONS)))
    )
    assert {tuple(rows[0]) for rows in read} | set(written) == {OURS}
    others = [await asyncpg.connect(**connect_arguments(url)) for _ in range(CONNECTIONS)]
    try:
        for other in others:
            await other.execute("BEGIN")  # one connection of the pooler for each
        left = [
            (await other.fetchval("SELECT current_setting('statement_timeout')"), *await other.fetch(NAMED))
            for other in others
        ]
    finally:
        for other in others:
            await other.close()
    assert left == [("0",)] * CONNECTIONS


async def test_many_requests_over_few_connections(server: Server) -> None:
    written = await asyncio.gather(*(server.query(CREATE, title=f"number {n}") for n in range(30)))
    pages = await asyncio.gather(*(server.query(PAGE) for _ in range(60)))
    titles = [answer["createConversation"]["conversation"]["title"] for answer in written]
    assert titles == [f"number {n}" for n in range(30)]
    assert all(len(answer["conversations"]["nodes"]) == 20 for answer in pages)


async def test_a_slow_statement_is_stopped(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db.database, "STATEMENT_TIMEOUT_MS", 200)
    monkeypatch.setitem(db.database.SETTINGS, "statement_timeout", "200")
    opened = await open_database(url, read_size=1, write_size=1)
    try:
        with pytest.raises(StatementTimeout):
            await opened.read.fetch(SLOW)
        with pytest.raises(StatementTimeout):
            async with opened.write() as transaction:
                await transaction.fetch(SLOW)
        assert len(await opened.read.fetch(LIMITS)) == 1
    finally:
        await opened.close()


async def test_migrations_need_no_word_in_the_url(empty_url: str, pooler_url: str) -> None:
    plain = make_url(pooler_url).difference_update_query(["statement_cache_size"])
    url = plain.set(database=make_url(empty_url).database).render_as_string(hide_password=False)
    assert await migrate.pending(url)
    await asyncio.gather(*(migrate.upgrade(url) for _ in range(3)))
    await migrate.run(url, migrate.check)
    await migrate.run(url, migrate.downgrade)
    assert await migrate.pending(url)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "is not PostgreSQL itself (unsupported startup parameter: statement_timeout)"),
        ("ignore_startup_parameters = statement_timeout, jit", "did not get the settings of our connection"),
    ],
)
async def test_without_the_word_one_line_says_what_to_do(
    more: str, told: str, database_url: str, store_urls: StoreUrls
) -> None:
    direct = make_url(store_urls.database_url).set(database=make_url(database_url).database)
    with pgbouncer(direct.render_as_string(hide_password=False), more) as pooled_url:
        plain = make_url(pooled_url).difference_update_query(["statement_cache_size"])
        with pytest.raises(DatabaseUnavailable) as caught:
            await open_database(plain.render_as_string(hide_password=False))
    assert told in str(caught.value)
    assert str(caught.value).endswith("; add ?statement_cache_size=0 to DATABASE_URL, for a pooler such as pgbouncer")


def test_the_program_works_there(empty_url: str, pooler_url: str, store_urls: StoreUrls, tmp_path: Path) -> None:
    url = make_url(pooler_url).set(database=make_url(empty_url).database).render_as_string(hide_password=False)
    stores = {"DATABASE_URL": url, "REDIS_URL": store_urls.redis_url}
    done = fleetgraph(tmp_path / "data", "migrate", **stores)
    assert done.returncode == 0, done.stderr
    looked = fleetgraph(tmp_path / "data", "doctor", "--json", **stores)
    found = {check["name"]: check["state"] for check in json.loads(looked.stdout)["checks"]}
    assert (found["database"], found["migrations"], found["clock"]) == ("ok", "ok", "ok")
