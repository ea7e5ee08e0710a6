"""Reading what may be half written, broken by the shell that wrote it, or not there: never more is lost than that.

A file that ends too early waits for the next pass. claude-loop puts story titles into its JSON by text substitution:
quotes in a title are mended; a line of JSON with one brace too many too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.formats import NotARow
from ingest.lines import shown
from ingest.report import Skipped

MAX_BYTES = 64 << 20  # a metrics.json of 100,000 iterations has half of it
_TITLE = re.compile(r'("(?:story_title|title|reason|error_message)"\s*:\s*")(.*?)("\s*(?:,\s*"\w+"\s*:|\}))')
_PLACEHOLDER = re.compile(r"\{\{\s*\w+\s*\}\}")


@dataclass(slots=True)
class Contents:
    """Files of a project, read once and only when asked for."""

    paths: set[Path]
    unreadable: list[Skipped]
    held: dict[Path, bytes] = field(default_factory=dict)

    def __contains__(self, path: Path) -> bool:
        return path in self.paths

    def read(self, path: Path) -> bytes:
        """The file's bytes; none when it cannot be read, which `unreadable` then says."""
        if path not in self.held and path in self.paths:
            try:
                self.held[path] = path.read_bytes()
            except OSError as error:
                self.paths.discard(path)
                self.unreadable.append(Skipped(shown(path), 0, error.strerror or str(error)))
        return self.held.get(path, b"")


@dataclass(slots=True)
class Findings:
    """What was not read, and why; what waits is read again next time."""

    waiting: list[Skipped] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def wait(self, path: Path, line: int = 0) -> None:
        """A file that is not whole yet."""
        self.waiting.append(Skipped(shown(path), line, "not written to its end yet"))

    def skip(self, path: Path, reason: str, line: int = 0) -> None:
        """Something that cannot be read."""
        self.skipped.append(Skipped(shown(path), line, reason))

    @property
    def paths(self) -> set[str]:
        """The files that have to be looked at again."""
        return {found.path for found in self.waiting}


def read_object(path: Path, data: bytes, findings: Findings) -> dict[str, Any] | None:
    """The JSON object that a file holds; None when it holds none, which `findings` then say."""
    text = data.decode("utf-8-sig", errors="replace")
    if len(data) > MAX_BYTES:
        findings.skip(path, f"larger than {MAX_BYTES >> 20} MB")
        return None
    if not text.strip():
        findings.wait(path)
        return None
    try:
        value = json.loads(text)
    except RecursionError:
        findings.skip(path, "nested too deeply")
        return None
    except json.JSONDecodeError as error:
        value = _mended(text)
        if value is None:
            if _ends_early(text, error):
                findings.wait(path)
            else:
                findings.skip(path, f"not JSON: {error.msg}", error.lineno)
            return None
    if not isinstance(value, dict):
        findings.skip(path, "no JSON object")
        return None
    return value


def read_rows(path: Path, data: bytes, findings: Findings) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, with their line numbers; other lines are skipped, a cut last one waits."""
    rows = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append((number, _row(line)))
        except NotARow as error:
            if number == len(lines):
                findings.wait(path, number)
            else:
                findings.skip(path, str(error), number)
    return rows


def placeholder(text: str) -> str | None:
    """The first `{{NAME}}` of a template that nobody filled in."""
    found = _PLACEHOLDER.search(text)
    return None if found is None else found[0]


def _row(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8-sig", errors="replace").strip()
    for candidate in (text, text.removesuffix("}")):
        try:
            value = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
        break
    raise NotARow("no JSON object")


def _mended(text: str) -> Any:
    """The value of JSON whose titles have quotes that nobody escaped; None when that is not what is wrong."""

    def escape(match: re.Match[str]) -> str:
        return match[1] + re.sub(r'(?<!\\)"', r"\"", match[2]) + match[3]

    try:
        return json.loads(_TITLE.sub(escape, text))
    except (ValueError, RecursionError):
        return None


def _ends_early(text: str, error: json.JSONDecodeError) -> bool:
    """Whether more text could still make it whole: the parser ran out of it, or a string never ends."""
    rest = text[error.pos :].strip()
    return not rest or error.msg.startswith("Unterminated string") or rest in ("t", "tr", "tru", "-", "n", "nu", "nul")
