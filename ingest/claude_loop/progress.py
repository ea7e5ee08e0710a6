"""progress.txt: the log that the loop's agent writes, in Markdown, one block per iteration.

Headings differ between users and days; what is under no iteration's heading (patterns, plans) is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ingest.claude_loop.times import Stamp, Times

_ITERATION = re.compile(r"(?P<marks>#{2,4}) +Iteration\b[^:]*:(?P<rest>.*)")
_DATED = re.compile(r"(?P<marks>#{2,3}) +(?P<rest>\[?\d{4}-\d\d-\d\d.*)")
_HEADING = re.compile(r"(#{1,6}) ")
_STORY = re.compile(r"\*\*Story\*\*:\s*(?P<key>\S+)(?:\s+(?:&|and|through)\s+\S+)*(?:\s*[-:]\s*(?P<title>.+))?")
_IN_HEADING = re.compile(r" - (?P<key>[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+)(?P<title>.*)")
_STATUS = re.compile(r"\*\*Status\*\*:\s*(.+)")
_SLUG = re.compile(r"# Progress Log:\s*([\w.-]+)\s*$")
_STARTED = re.compile(r"#?\s*(?:Created|Started):\s*(.+)")


@dataclass(slots=True)
class Block:
    """What was written of one iteration. `number` counts the blocks of its story."""

    stamp: Stamp | None
    heading: str
    story: str | None = None
    title: str | None = None
    status: str | None = None
    number: int = 0
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ProgressLog:
    """A whole log. `slug` is the project that claude-loop wrote into its head."""

    slug: str | None = None
    started: Stamp | None = None
    blocks: list[Block] = field(default_factory=list)


def read_progress(text: str, times: Times) -> ProgressLog:
    """A log from its text."""
    log = ProgressLog()
    block: Block | None = None
    depth = 0
    for line in text.splitlines():
        opening = _ITERATION.match(line) or _DATED.match(line)
        heading = _HEADING.match(line)
        if opening is not None:
            depth = len(opening["marks"])
            block = _open(opening["rest"], line, times)
            log.blocks.append(block)
        elif line.strip() == "---" or (heading is not None and block is not None and len(heading[1]) <= depth):
            block = None
        elif block is not None:
            _take(block, line)
        elif log.slug is None and (slug := _SLUG.match(line)):
            log.slug = slug[1]
        elif log.started is None and (started := _STARTED.match(line)):
            log.started = times.find(started[1])
    counts: dict[str | None, int] = {}
    for block in log.blocks:
        block.number = counts[block.story] = counts.get(block.story, 0) + 1
    return log


def _open(rest: str, line: str, times: Times) -> Block:
    block = Block(times.find(rest), line.lstrip("# ").strip())
    named = _IN_HEADING.search(rest)
    if named is not None:
        block.story, block.title = named["key"], named["title"].strip(" -:") or None
    return block


def _take(block: Block, line: str) -> None:
    story, status = _STORY.match(line), _STATUS.match(line)
    if story is not None:
        block.story, block.title = story["key"].rstrip(":"), story["title"] or block.title
    elif status is not None and block.status is None:
        block.status = status[1].strip()
    if line.strip():
        block.lines.append(line.rstrip())
