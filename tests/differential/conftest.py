"""One filled database for the folder: nothing in it changes. And what a long run says at its end."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.database import open_database
from db.models import base
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
    "run": "runs",
    "story": "stories",
}


@pytest.fixture(autouse=True)
def narrow_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of all shapes: with the 48 of a server the first documents would use up what those behind them join by."""
    monkeypatch.setattr(base, "MAX_NARROW", 10_000)


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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the comparison has seen, over all parts, and the faults that it has found in the compiler."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind) if one.when == "call"]
    seen: Counter[str] = Counter()
    fallbacks: Counter[str] = Counter()
    for report in reports:
        told = dict(report.user_properties)
        seen.update(told.get("compared", {}))
        fallbacks.update(told.get("fallbacks", {}))
    if not seen["documents"]:
        return
    mismatches = seen.pop("mismatches")
    terminalreporter.section("plans compared with graphql-core")
    for name, count in seen.items():
        terminalreporter.line(f"{count:>9,}  {count / seen['documents']:>6.1%}  {name}")
    terminalreporter.line(f"{mismatches:>9,}          mismatches")
    covered = seen["without faults, by a plan alone"] / seen["without faults"]
    terminalreporter.line(f"of the documents without faults, plans answered {covered:.1%}")
    terminalreporter.line(f"why graphql-core ran: {dict(fallbacks.most_common())}")
    caught = [(report.outcome == "passed", report.nodeid) for report in reports if "test_mutants" in report.nodeid]
    for is_caught, name in sorted(caught):
        terminalreporter.line(f"{'caught' if is_caught else 'MISSED'}: {name.partition('[')[2].removesuffix(']')}")
