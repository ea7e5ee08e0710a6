"""Checks of single input values of mutations. Each says what is wrong and names the field; none looks at the store.

Sizes are bounded here, below what an index entry of PostgreSQL can hold (2,704 bytes) where a column is indexed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from domain.errors import InvalidInput, NotFound
from domain.ids import parse_id
from domain.text import MAX_TITLE, clean, title_line

MAX_WORD = 200  # characters of a key, model or type: 800 bytes at most, and these are indexed
MAX_FLOW_ID = 300
MAX_TAGS = 50
MAX_CONTENT_BYTES = 256 * 1024  # of a message, result or error: what a person can still read
MAX_CHOICES = 500  # of a filter's list: each is looked up in an index, and kept by whoever follows
MAX_BATCH = 1_000  # lines or records: one transaction of some 50 ms

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # before any agent: a clock that was never set
CLOCK_SKEW = timedelta(days=1)  # clocks differ, and local times are sometimes taken for UTC

Path = tuple[str, ...]
T = TypeVar("T")


def shown(text: str) -> str:
    """A client's value in a message of ours: quoted, and short."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def not_found(kind: str, text: str, path: Path) -> NotFound:
    """The failure of an id that nothing has."""
    return NotFound(f"There is no {kind} with the id {shown(text)}.", path)


def known_id(kind: str, text: str, path: Path) -> UUID:
    """The uuid of an id. Raises NotFound when it has another form: nothing can have it."""
    value = parse_id(kind, text)
    if value is None:
        raise not_found(kind, text, path)
    return value


def word(text: str, path: Path, most: int = MAX_WORD) -> str:
    """A key, name or type. Raises InvalidInput when it is empty, too long, or holds what cannot be stored."""
    if not text.strip() or len(text) > most:
        raise InvalidInput(f"{path[-1]} must have 1 to {most} characters; it has {len(text)}.", path)
    if clean(text) != text:
        raise InvalidInput(f"{path[-1]} holds NUL or half a surrogate pair; leave such characters out.", path)
    return text


def optional_word(text: str | None, path: Path, most: int = MAX_WORD) -> str | None:
    """`word`, for what may be absent."""
    return None if text is None else word(text, path, most)


def choices(values: Sequence[T]) -> Sequence[T]:
    """The values of a filter's list. Raises InvalidInput when they are too many."""
    if len(values) > MAX_CHOICES:
        raise InvalidInput(
            f"A list of a filter may have up to {MAX_CHOICES} values; one has {len(values)}.", ("filter",)
        )
    return values


def phrase(text: str, path: Path) -> str:
    """A text to look for in lines. Raises InvalidInput when it has more than 200 characters."""
    if len(text) > MAX_WORD:
        raise InvalidInput(f"{path[-1]} must have at most {MAX_WORD} characters; it has {len(text)}.", path)
    return clean(text)


def search_text(text: str, path: Path) -> str:
    """A text to look for. Raises InvalidInput without three letters or digits in a row: no index knows less."""
    wanted = word(text, path).strip()
    if not re.search(r"[^\W_]{3}", wanted):
        raise InvalidInput(f"{path[-1]} is {shown(text)}; it must have 3 letters or digits in a row.", path)
    return wanted


def title(text: str | None) -> str | None:
    """A title on one line. Raises InvalidInput when it has more than 300 characters."""
    if text is not None and len(text) > MAX_TITLE:
        raise InvalidInput(f"title must have at most {MAX_TITLE} characters; it has {len(text)}.", ("title",))
    return title_line(text)


def content(text: str, path: Path) -> str:
    """Text that people or agents wrote, fit to be stored. Raises InvalidInput when it has more than 256 KiB."""
    fit = clean(text)
    size = len(fit.encode())
    if size > MAX_CONTENT_BYTES:
        raise InvalidInput(f"{path[-1]} must have at most {MAX_CONTENT_BYTES} bytes; it has {size}.", path)
    return fit


def optional_content(text: str | None, path: Path) -> str | None:
    """`content`, for what may be absent."""
    return None if text is None else content(text, path)


def instant(at: datetime, now: datetime, path: Path) -> datetime:
    """A time that can be true. Raises InvalidInput when it lies before 2000 or more than a day ahead of our clock."""
    if not EARLIEST <= at <= now + CLOCK_SKEW:
        raise InvalidInput(f"{path[-1]} is {at.isoformat()}; it must lie between 2000 and now.", path)
    return at


def tags(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Tags, each once, in the order given. Raises InvalidInput."""
    if len(texts) > MAX_TAGS:
        raise InvalidInput(f"tags must be at most {MAX_TAGS}; there are {len(texts)}.", ("tags",))
    return tuple(dict.fromkeys(word(text, ("tags", str(n))) for n, text in enumerate(texts)))


def batch_size(count: int, path: Path) -> None:
    """Raise InvalidInput unless a batch has 1 to 1,000 entries."""
    if not 1 <= count <= MAX_BATCH:
        raise InvalidInput(f"{path[-1]} must have 1 to {MAX_BATCH} entries; it has {count}.", path)
