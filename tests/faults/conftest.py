"""One rig for all faults: two API processes on stores of their own, and writers beside them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.database import open_database
from pubsub.bus import Bus
from tests.faults.model import Writers
from tests.faults.rig import Rig, rig


@pytest.fixture(scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("faults")
    async with rig(folder) as made:
        yield made


@pytest.fixture
async def writers(running: Rig) -> AsyncIterator[Writers]:
    """Writers in this process, as if it were a third one."""
    database = await open_database(running.database_url)
    async with Bus(running.redis_url, epoch=database.epoch, prefix="faults", listen=False) as bus:
        made = Writers(database, bus)
        await made.start()
        yield made
    await database.close()
