"""Migrations lead from nothing to what db.models say, exactly, and back."""

import asyncio
from functools import partial

import asyncpg
import pytest
from sqlalchemy import Connection

from db import migrate
from db.database import connect_arguments
from db.errors import DatabaseUnavailable
from db.models import metadata
from tests.conftest import MakeDatabase

# Everything that makes a table: alembic's comparison does not see check constraints, defaults of NULLS, or comments.
CATALOG = (
    """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
           col_description(c.oid, a.attnum)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         LEFT JOIN pg_attrdef d ON (adrelid, adnum) = (c.oid, attnum)
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
          AND c.relname <> 'alembic_version' ORDER BY 1, a.attnum
    """,
    """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1, 2
    """,
    """
    SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1, 2
    """,
)


async def _catalog(url: str) -> list[list[tuple[object, ...]]]:
    connection = await asyncpg.connect(**connect_arguments(url))
    try:
        return [[tuple(row) for row in await connection.fetch(sql)] for sql in CATALOG]
    finally:
        await connection.close()


async def test_an_empty_database_becomes_what_the_models_say(empty_url: str, make_database: MakeDatabase) -> None:
    await migrate.upgrade(empty_url)
    await migrate.run(empty_url, migrate.check)
    async with make_database("template0") as modelled_url:
        await migrate.run(modelled_url, partial(metadata.create_all, checkfirst=False))
        migrated, modelled = await _catalog(empty_url), await _catalog(modelled_url)
    assert migrated == modelled
    assert len(migrated[0]) > 200


async def test_pending_until_upgraded_and_upgrading_twice_changes_nothing(empty_url: str) -> None:
    assert await migrate.pending(empty_url)
    await migrate.upgrade(empty_url)
    before = await _catalog(empty_url)
    assert not await migrate.pending(empty_url)
    await migrate.upgrade(empty_url)
    assert await _catalog(empty_url) == before


async def test_downgrade_leaves_nothing(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    await migrate.run(empty_url, migrate.downgrade)
    assert await _catalog(empty_url) == [[], [], []]
    assert await migrate.pending(empty_url)
    await migrate.upgrade(empty_url)


async def test_many_processes_may_migrate_at_once(empty_url: str) -> None:
    await asyncio.gather(*(migrate.upgrade(empty_url) for _ in range(4)))
    assert not await migrate.pending(empty_url)


async def test_a_newer_schema_is_left_alone(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    await migrate.run(empty_url, _pretend_newer)
    assert not await migrate.pending(empty_url)
    await migrate.upgrade(empty_url)


def _pretend_newer(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'of-a-later-release'")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("host=", "host=/nowhere"), "no database answers at"),
        (("/t_", "/missing_"), "does not exist; create it"),
        (("postgresql+asyncpg", "mysql"), "needs PostgreSQL"),
        (("fleetgraph@", "stranger@"), "refused the user or password"),
    ],
)
async def test_a_database_that_cannot_be_used_is_one_line(empty_url: str, change: tuple[str, str], line: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await migrate.upgrade(empty_url.replace(*change))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_database_of_something_else_is_refused(empty_url: str) -> None:
    connection = await asyncpg.connect(**connect_arguments(empty_url))
    await connection.execute("CREATE TABLE tasks (name text)")
    await connection.close()
    with pytest.raises(DatabaseUnavailable, match="give Fleetgraph a database of its own"):
        await migrate.upgrade(empty_url)
    assert await migrate.pending(empty_url)
