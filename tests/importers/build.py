"""Transcript rows with everything that a test does not care about filled in."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from domain.records import Batch, TaskRecord
from ingest.claude_code.reader import Reader
from ingest.claude_code.rows import parse_line, row_id

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = START + timedelta(days=1)
ORIGIN = "claude-code:laptop"
SESSION = "11111111-2222-4333-8444-555555555555"
MODEL = "claude-sonnet-4-5-20250929"
Row = dict[str, Any]


def at(seconds: float) -> str:
    """So many seconds after the beginning, as transcripts write it."""
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def row(kind: str, uuid: str | None, seconds: float, **values: Any) -> Row:
    """A row of the session."""
    common: Row = {"type": kind, "sessionId": SESSION, "timestamp": at(seconds), "cwd": "/home/ada/shop"}
    if uuid is not None:
        common["uuid"] = uuid
    return {**common, "gitBranch": "main", "isSidechain": False, **values}


def prompt(uuid: str, text: Any = "Fix the bug", seconds: float = 0, **values: Any) -> Row:
    """A user's prompt."""
    return row("user", uuid, seconds, message={"role": "user", "content": text}, **values)


def answer(
    uuid: str,
    *blocks: Row | str,
    seconds: float = 1,
    stop: str | None = "end_turn",
    usage: Row | None = None,
    message_id: str | None = None,
    request_id: str | None = None,
    model: str = MODEL,
    **values: Any,
) -> Row:
    """An assistant's row; strings are text blocks."""
    content = [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks]
    message: Row = {"role": "assistant", "model": model, "content": content, "stop_reason": stop}
    if usage is not None:
        message["usage"] = usage
    if message_id is not None:
        message["id"] = message_id
    if request_id is not None:
        values["requestId"] = request_id
    return row("assistant", uuid, seconds, message=message, **values)


def use(call_id: str, name: str = "Bash", **arguments: Any) -> Row:
    """A tool_use block."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments or {"command": "ls"}}


def result(
    uuid: str, call_id: str, text: Any = "done", seconds: float = 2, *, error: bool = False, **values: Any
) -> Row:
    """The row of a tool's result."""
    block = {"type": "tool_result", "tool_use_id": call_id, "content": text, "is_error": error}
    return row("user", uuid, seconds, message={"role": "user", "content": [block]}, **values)


def tokens(output: int = 10, **values: Any) -> Row:
    """A usage object."""
    return {"input_tokens": 3, "output_tokens": output, "cache_read_input_tokens": 0, **values}


def line(value: Any) -> bytes:
    """A row as bytes; bytes stay."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def write(path: Path, rows: Iterable[Any]) -> Path:
    """A file of rows, each ended by a line feed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line(value) + b"\n" for value in rows))
    return path


def make_reader(**values: Any) -> Reader:
    """A reader of a session's file."""
    return Reader(
        **{
            "path": "a.jsonl",
            "host": "laptop",
            "state": {},
            "default_at": START,
            "default_session": SESSION,
            **values,
        }
    )


def read(*rows: Row, reader: Reader | None = None, now: datetime | None = LATER, known: Iterable[str] = ()) -> Batch:
    """The records of rows; `now` is when the file was found without further rows, None when it was not."""
    reader = reader or make_reader()
    seen = set(known)
    for number, value in enumerate(rows, 1):
        data = line(value)
        parsed = parse_line(data)
        name = row_id(parsed, data)
        reader.take(parsed, data, number, is_new=name is None or name not in seen)
        if name is not None:
            seen.add(name)
    if now is not None:
        reader.finish(now)
    return reader.take_batch()


def command(uuid: str, name: str) -> Row:
    """The row of a slash command."""
    return prompt(uuid, f"<command-name>/{name}</command-name><command-args></command-args>", 1)


def launch(agent_id: str = "a1", **told: Any) -> list[Row]:
    """A prompt whose turn launches a sub-agent, and what that told."""
    return [
        prompt("p"),
        answer("a", use("t", "Agent", subagent_type="Explore", description="Look", prompt="Look around"), stop=None),
        result("r", "t", "Found it", 3, toolUseResult={"agentId": agent_id, "prompt": "Look around", **told}),
    ]


def one(batch: Batch) -> TaskRecord:
    """The only task."""
    assert len(batch.tasks) == 1
    return batch.tasks[0]


def by_name(batch: Batch) -> dict[str, TaskRecord]:
    """Tasks by external id."""
    return {task.external_id: task for task in batch.tasks}
