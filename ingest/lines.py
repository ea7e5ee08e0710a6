"""Lines of a file that may still be growing: whole lines from an offset on, in chunks, split at line feeds only.

A last line without its line feed is given as `rest`: the caller decides whether it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 20
# What tells one file from another with the same name: its start, and what stood before the offset.
MARK_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines, without their line feeds, and the offset behind them; or, at the end, the rest without one."""

    lines: list[bytes]
    end: int
    rest: bytes = b""


def read_chunks(path: Path, offset: int, *, most_lines: int) -> Iterator[Chunk]:
    """Chunks of at most `most_lines` lines from `offset` to the end of the file as it is now."""
    with path.open("rb") as file:
        file.seek(offset)
        position = offset
        parts: list[bytes] = []
        while block := file.read(BLOCK_BYTES):
            if b"\n" not in block:  # a line longer than a block
                parts.append(block)
                continue
            lines = (b"".join(parts) + block).split(b"\n")
            parts = [lines.pop()]
            for start in range(0, len(lines), most_lines):
                some = lines[start : start + most_lines]
                position += sum(map(len, some)) + len(some)
                yield Chunk(some, position)
        rest = b"".join(parts)
        if rest:
            yield Chunk([], position, rest)


def fingerprint(file: BinaryIO, offset: int) -> str:
    """A hash over the file's first bytes and the last before `offset`: another file of that name has another one."""
    file.seek(0)
    mark = sha256(file.read(min(MARK_BYTES, offset)))
    file.seek(max(0, offset - MARK_BYTES))
    mark.update(file.read(min(MARK_BYTES, offset)))
    return mark.hexdigest()


def shown(path: Path) -> str:
    """A path as text that can be stored and shown, whatever bytes its name has."""
    return os.fsencode(path).decode(errors="replace")
