"""One board for the tests that only read it; its service's clock stands still."""

import uuid
from collections.abc import AsyncIterator

import pytest

from local import StoreUrls
from settings import Settings
from tests.api.board import NOW, Board, fill
from tests.conftest import MakeDatabase
from tests.serving import serving


@pytest.fixture(scope="session")
async def board(
    tmp_path_factory: pytest.TempPathFactory, make_database: MakeDatabase, migrated: str, store_urls: StoreUrls
) -> AsyncIterator[Board]:
    """A filled board."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("board"), redis_prefix=f"t{uuid.uuid4().hex}")
    async with (
        make_database(migrated) as url,
        serving(settings, url, store_urls.redis_url, clock=lambda: NOW) as running,
    ):
        yield await fill(running)
