"""A set that keeps nothing alive, and is gone through often: a WeakSet takes 2 µs to go through one object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar
from weakref import ref

T = TypeVar("T")


class Weakly(Generic[T]):
    """Objects that can be dropped by whoever has them; compared by identity, unless they say otherwise."""

    __slots__ = ("_refs",)

    def __init__(self) -> None:
        self._refs: set[ref[T]] = set()

    def add(self, item: T) -> None:
        """Have it, as long as it lives."""
        self._refs.add(ref(item, self._refs.discard))

    def discard(self, item: T) -> None:
        """No longer; once more does no harm."""
        self._refs.discard(ref(item))

    def __len__(self) -> int:
        return len(self._refs)

    def __iter__(self) -> Iterator[T]:
        """Over those that live now: some may come and go meanwhile."""
        return iter([item for one in tuple(self._refs) if (item := one()) is not None])
