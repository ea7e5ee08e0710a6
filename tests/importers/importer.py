"""A folder of transcripts and its import, with what a test looks at behind it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from db.database import Database, WriteTransaction
from db.handles import Event
from ingest.claude_code.files import find_transcripts
from ingest.claude_code.format import ClaudeCode
from ingest.report import Report
from ingest.run import import_files
from tests.importers.build import LATER, answer, prompt, result, tokens, use

Fetch = Callable[..., Awaitable[list[Any]]]
TABLES = ("tasks", "conversations", "messages", "log_lines", "tool_calls", "usage_records", "usage_evidence", "events")


class Importer:
    """Imports a folder into a database, and keeps what was published."""

    def __init__(self, database: Database, fetch: Fetch, folder: Path) -> None:
        self.database, self.fetch, self.folder = database, fetch, folder
        self.events: list[Event] = []

    async def publish(self, transaction: WriteTransaction) -> None:
        self.events += transaction.emitted

    async def run(self, *folders: Path, now: datetime = LATER, clock: Callable[[], datetime] | None = None) -> Report:
        report = Report()
        files = find_transcripts(folders or [self.folder])
        await import_files(
            self.database,
            files,
            ClaudeCode(files),
            host="laptop",
            clock=clock or (lambda: now),
            publish=self.publish,
            report=report,
        )
        return report

    async def counts(self) -> dict[str, int]:
        query = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in TABLES)
        return dict((await self.fetch(query))[0])

    async def tasks(self, columns: str = "external_id, status") -> list[tuple[Any, ...]]:
        rows = await self.fetch(f"SELECT {columns} FROM tasks ORDER BY tasks.created_at, tasks.external_id")
        return [tuple(item) for item in rows]


def session_rows() -> list[Any]:
    """A prompt with a tool call, and an answer that is told in two rows."""
    return [
        prompt("p"),
        answer("a", use("t"), stop="tool_use", usage=tokens(5), message_id="m1", request_id="r1"),
        result("r", "t"),
        answer("b", "Fixed", seconds=3, usage=tokens(1), message_id="m2", request_id="r2", stop=None),
        answer("c", "Tested", seconds=4, usage=tokens(9), message_id="m2", request_id="r2"),
    ]
