"""Files that share a transaction come out as if each had its own; one that cannot be written costs no other."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from db.database import Database, WriteTransaction
from domain.records import Batch, LogRecord
from ingest import group
from ingest.claude_code.files import Transcript, find_transcripts
from ingest.claude_code.format import ClaudeCode
from ingest.claude_code.reader import Reader
from ingest.report import Report
from ingest.run import import_files
from tests.importers.build import LATER, SESSION, answer, prompt, result, row, tokens, use, write

Fetch = Callable[..., Awaitable[list[Any]]]
TASKS = """
SELECT t.external_id, p.external_id, a.name, t.status, t.output_tokens FROM tasks t
LEFT JOIN tasks p ON p.id = t.parent_task_id LEFT JOIN agents a ON a.id = t.agent_id
ORDER BY t.external_id COLLATE "C"
"""


async def run(database: Database, folder: Path, format: type[ClaudeCode] = ClaudeCode) -> Report:
    async def publish(_transaction: WriteTransaction) -> None:
        return None

    files, report = find_transcripts([folder]), Report()
    await import_files(
        database, files, format(files), host="laptop", clock=lambda: LATER, publish=publish, report=report
    )
    return report


def launch(call: str, agent: str, seconds: float) -> list[Any]:
    """A sub-agent's launch and its result, which names it."""
    told = {"agentId": agent, "agentType": "Explore", "prompt": f"Look at {agent}", "status": "completed"}
    return [
        answer(f"{call}-a", use(call, "Task", description=f"Look {agent}"), seconds=seconds, stop="tool_use"),
        result(f"{call}-r", call, seconds=seconds + 1, toolUseResult=told),
    ]


def agent_rows(agent: str, *more: Any, seconds: float, **values: Any) -> list[Any]:
    """A sub-agent's file."""
    values = {"isSidechain": True, "agentId": agent, **values}
    return [
        prompt(f"{agent}-p", f"Look at {agent}", seconds, **values),
        *({**one, **values} for one in more),
        answer(f"{agent}-e", "Seen", seconds=seconds + 5, usage=tokens(7), message_id=f"m-{agent}", **values),
    ]


def write_fleet(folder: Path) -> None:
    """Sessions with sub-agents, launched by them and by each other; a copy; one that goes on with another's rows."""
    first = [
        prompt("p1"),
        *launch("c1", "a1", 1),
        answer("e1", "Done", seconds=9, usage=tokens(5), message_id="m1"),
        prompt("p2", "And now?", 20),
        answer("e2", "Fine", seconds=21, usage=tokens(6), message_id="m2"),
    ]
    write(folder / "a" / f"{SESSION}.jsonl", first)
    write(folder / "b" / f"{SESSION}.jsonl", [*first[:4], prompt("p3", "Elsewhere", 30)])
    write(folder / "a" / "next.jsonl", [*first, prompt("p4", "Go on", 40, sessionId="next")])
    agents = folder / "a" / SESSION / "subagents"
    write(agents / "agent-a1.jsonl", agent_rows("a1", *launch("c2", "a2", 4), seconds=3))
    write(agents / "agent-a2.jsonl", agent_rows("a2", seconds=5))
    write(agents / "agent-a3.jsonl", agent_rows("a3", seconds=22))  # nobody tells of its launch
    write(folder / "b" / SESSION / "subagents" / "agent-a3.jsonl", agent_rows("a3", row("system", "s", 24), seconds=22))
    write(folder / "a" / "next" / "subagents" / "agent-a4.jsonl", agent_rows("a4", seconds=41, sessionId="next"))


@pytest.mark.parametrize("lines", [1, 6, 800])
async def test_grouping_changes_nothing(
    database: Database, fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(group, "LINES_PER_TRANSACTION", lines)
    write_fleet(tmp_path)
    report = await run(database, tmp_path)
    assert not report.unreadable
    assert (report.files, report.lines, report.repeated_rows) == (8, 31, 12)
    assert [tuple(task) for task in await fetch(TASKS)] == [
        (f"{SESSION}/a1", "p1", "Explore", "COMPLETED", 7),
        (f"{SESSION}/a2", f"{SESSION}/a1", "Explore", "COMPLETED", 7),
        (f"{SESSION}/a3", "p2", "sub-agent", "COMPLETED", 7),
        ("next/a4", "p4", "sub-agent", "COMPLETED", 7),
        ("p1", None, "claude-code", "COMPLETED", 5),
        ("p2", None, "claude-code", "COMPLETED", 6),
        ("p3", None, "claude-code", "CANCELLED", 0),
        ("p4", None, "claude-code", "CANCELLED", 0),
    ]
    assert (await fetch("SELECT count(*) FROM usage_records"))[0][0] == 6
    sessions = "SELECT c.external_id, array_agg(m.external_id ORDER BY m.seq) FROM messages m"
    sessions += " JOIN conversations c ON c.id = m.conversation_id GROUP BY 1 ORDER BY 1"
    assert [tuple(one) for one in await fetch(sessions)] == [
        (SESSION, ["p1", "e1", "p2", "e2", "p3"]),
        ("next", ["p4"]),
    ]
    again = await run(database, tmp_path)
    assert (again.unchanged_files, again.lines) == (8, 0)


class Refused(Reader):
    """A reader whose records the writer refuses when they tell of a certain prompt."""

    def take_batch(self) -> Batch:
        batch = super().take_batch()
        if any(task.input == "Refuse me" for task in batch.tasks):
            batch.logs.append(LogRecord(self._writer.ref(batch.tasks[0].external_id), LATER, "LOUD", "SYSTEM", "no"))
        return batch


class Refusing(ClaudeCode):
    """Transcripts, some of which cannot be."""

    def open(self, file: Transcript, host: str, state: dict[str, Any], modified_at: datetime) -> Reader:
        return Refused(str(file.path), host, state, default_at=modified_at, default_session=file.session)


@pytest.mark.parametrize("lines", [1, 2, 800])
async def test_a_file_that_cannot_be_written_costs_no_other(
    database: Database, fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(group, "LINES_PER_TRANSACTION", lines)
    for name in "abcde":
        text = "Refuse me" if name in "bd" else "Begin"
        rows = [prompt(f"{name}1", text, sessionId=name), answer(f"{name}2", "Yes", seconds=2, sessionId=name)]
        write(tmp_path / f"{name}.jsonl", rows)
    report = await run(database, tmp_path, Refusing)
    assert [(Path(one.path).stem, one.reason.partition(";")[0]) for one in report.unreadable] == [
        ("b", "'LOUD' is no level"),
        ("d", "'LOUD' is no level"),
    ]
    assert [task[0] for task in await fetch("SELECT external_id FROM tasks ORDER BY 1")] == ["a1", "c1", "e1"]
    assert (await fetch("SELECT count(*) FROM import_offsets"))[0][0] == 3
    # What was refused is read again, and by a program that takes it, written.
    report = await run(database, tmp_path)
    assert (report.unchanged_files, report.written["new_tasks"], report.unreadable) == (3, 2, [])
