"""Claude Code's transcripts as a format of the import loop."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ingest.claude_code.files import Transcript
from ingest.claude_code.reader import Reader
from ingest.claude_code.rows import parse_line, row_id
from ingest.lines import shown


class ClaudeCode:
    """The format; it knows which sub-agents have files of their own among those that are imported."""

    name = "claude-code"

    def __init__(self, transcripts: Iterable[Transcript]) -> None:
        self._present_agents: frozenset[str] = frozenset()
        self.add(transcripts)

    def add(self, transcripts: Iterable[Transcript]) -> None:
        """Hear of more files that are imported."""
        self._present_agents |= {file.agent_id for file in transcripts if file.agent_id is not None}

    def open(self, file: Transcript, host: str, state: dict[str, Any], modified_at: datetime) -> Reader:
        """A reader that goes on from `state`."""
        return Reader(
            shown(file.path),
            host,
            state,
            default_at=modified_at,
            default_session=file.session,
            agent_id=file.agent_id,
            present_agents=self._present_agents,
        )

    def parse(self, line: bytes) -> dict[str, Any]:
        """The row that a line holds. Raises NotARow."""
        return parse_line(line)

    def row_id(self, row: dict[str, Any], line: bytes) -> str | None:
        """What names the row in every copy of the file."""
        return row_id(row, line)
