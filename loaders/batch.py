"""Rows to answers: one per key, in key order, for shuffled, doubled and missing keys alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from db.handles import Handle
from db.models.base import Row
from db.pages import Order, Page, PageRequest, cut

R = TypeVar("R", bound=Row)
K = TypeVar("K", bound=Hashable)


def align(keys: Sequence[K], rows: Iterable[R], key: Callable[[R], Any]) -> list[R | None]:
    """The row of each key, None where there is none."""
    found = {key(row): row for row in rows}
    return [found.get(wanted) for wanted in keys]


def group(keys: Sequence[K], rows: Iterable[R], key: Callable[[R], Any]) -> list[list[R]]:
    """The rows of each key, in the rows' order."""
    found: dict[Any, list[R]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return [found.get(wanted, []) for wanted in keys]


def pages(
    handle: Handle,
    keys: Sequence[K],
    rows: Iterable[R],
    request: PageRequest,
    order: Order,
    topic: str,
    select: Callable[[K], Any] = lambda key: None,
) -> list[Page[R]]:
    """The page of each key, from rows with `parent_key` (db.pages.keyset_select)."""
    grouped = group(keys, rows, lambda row: row["parent_key"])
    return [
        cut(found, request, order, handle.epoch, f"{topic}{key}" if topic.endswith(":") else topic, select(key))
        for key, found in zip(keys, grouped, strict=True)
    ]
