"""One filled database for the folder: nothing in it changes."""

from collections.abc import AsyncIterator

import pytest

from db.database import open_database
from db.statements import raw_statement
from domain.ids import new_id, show_id
from domain.writer import apply
from tests.batching import fleet
from tests.conftest import MakeDatabase
from tests.differential.compare import Judge
from tests.differential.documents import Pool
from tests.filled import NEW_USER, START
from tests.filled import fleet as everything

KINDS = {
    "task": "tasks",
    "tool": "tool_calls",
    "agent": "agents",
    "conversation": "conversations",
    "message": "messages",
    "usage": "usage_records",
    "user": "users",
    "host": "hosts",
    "project": "projects",
}


@pytest.fixture(scope="session")
async def judge(make_database: MakeDatabase, migrated: str) -> AsyncIterator[Judge]:
    """Compares on tasks that have everything, and on such that have long, short and no lists."""
    async with make_database(migrated) as url:
        database = await open_database(url, read_size=4, write_size=1)
        filled = await fleet.fill(database)
        owners = [new_id(START) for _ in range(3)]
        async with database.write() as transaction:
            users = [(id_, f"owner{n}", f"owner{n}@example.org", START) for n, id_ in enumerate(owners)]
            await transaction.execute_many(raw_statement(NEW_USER), users)
        async with database.write() as transaction:
            await apply(transaction, everything(3, owners), now=START)
        ids = {kind: [show_id(kind, row["id"]) for row in await filled.every(table)] for kind, table in KINDS.items()}
        yield Judge(database, ids)
        await database.close()


@pytest.fixture(scope="session")
async def pool(judge: Judge) -> Pool:
    """What documents ask for."""
    return Pool(judge.ids, ["agent0", "agent1", "agent3"])
