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


def group(keys: Sequence[K], rows: Sequence[R], key: Callable[[R], Any]) -> list[list[R]]:
    """The rows of each key, in the rows' order."""
    found: dict[Any, list[R]] = {wanted: [] for wanted in keys}
    for row, wanted in zip(rows, map(key, rows), strict=True):
        found[wanted].append(row)
    return [found[wanted] for wanted in keys]


def pages(
    handle: Handle,
    keys: Sequence[K],
    rows: Sequence[R],
    request: PageRequest,
    order: Order,
    topic: str,
    select: Callable[[K], Any] | None = None,
) -> list[Page[R]]:
    """The page of each key, from rows whose last column is the key's place among the different ones, from 1.

    See db.pages.pages_select.
    """
    different = list(dict.fromkeys(keys))
    grouped: list[list[R]] = [[] for _ in different]
    for row in rows:
        grouped[row[-1] - 1].append(row)
    epoch = handle.epoch
    found = [
        cut(
            some,
            request,
            order,
            epoch,
            f"{topic}{key}" if topic.endswith(":") else topic,
            None if select is None else select(key),
        )
        for key, some in zip(different, grouped, strict=True)
    ]
    if len(found) == len(keys):
        return found
    by_key = dict(zip(different, found, strict=True))
    return [by_key[key] for key in keys]
