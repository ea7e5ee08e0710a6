"""One filled database for the whole folder: its tests only read."""

from collections.abc import AsyncIterator

import pytest

from db.database import open_database
from tests.batching.fleet import Fleet, fill
from tests.conftest import MakeDatabase


@pytest.fixture(scope="session")
async def fleet(make_database: MakeDatabase, migrated: str) -> AsyncIterator[Fleet]:
    """A filled database."""
    async with make_database(migrated) as url:
        database = await open_database(url, read_size=2, write_size=1)
        yield await fill(database)
        await database.close()
