"""What was made and may be wanted again: the last used, up to a number and a weight of all together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Things by key."""

    def __init__(self, most: int, heaviest: int) -> None:
        self._most = most
        self._heaviest = heaviest
        self._things: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()  # the last used at the end
        self.weight = 0

    def __len__(self) -> int:
        return len(self._things)

    def get(self, key: Hashable) -> T | None:
        """The thing, which was used now; None when it is not there."""
        found = self._things.get(key)
        if found is None:
            return None
        self._things.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, thing: T, weight: int) -> T:
        """Keep a thing, and let go of those not used for the longest time; of two with one key the first stays."""
        known = self.get(key)
        if known is not None:
            return known
        self._things[key] = thing, weight
        self.weight += weight
        while len(self._things) > self._most or self.weight > self._heaviest:
            self.weight -= self._things.popitem(last=False)[1][1]
        return thing
