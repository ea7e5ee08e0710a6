"""Which streams of a topic an event may matter to: a look-up by its facts, however many streams there are.

A stream with an `Interest` sleeps through every other event. What it lets through is for its reader to say: an interest
only leaves out what cannot be among it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from pubsub.events import Event
from pubsub.weak import Weakly


@dataclass(frozen=True, slots=True)
class Interest:
    """Events that have one of `values` under `name`: in their facts, or in what these say of before or after."""

    name: str
    values: frozenset[str]


class Sleeper(Protocol):
    """A stream that can be passed by."""

    def rouse(self, seq: int) -> None:
        """The event behind `seq` may matter; none that passed by since it fell asleep did."""
        ...


class Interests:
    """Sleepers by the values that they wait for."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, Weakly[Sleeper]]] = {}
        self._all: Weakly[Sleeper] = Weakly()

    def all(self) -> list[Sleeper]:
        """Whatever they wait for."""
        return list(self._all) if self._all else []

    def add(self, interest: Interest, sleeper: Sleeper) -> None:
        """Let it be found."""
        self._all.add(sleeper)
        by_value = self._names.setdefault(interest.name, {})
        for value in interest.values:
            by_value.setdefault(value, Weakly()).add(sleeper)

    def discard(self, interest: Interest, sleeper: Sleeper) -> None:
        """No longer; once more does no harm."""
        self._all.discard(sleeper)
        by_value = self._names.get(interest.name, {})
        for value in interest.values:
            sleepers = by_value.get(value)
            if sleepers is not None:
                sleepers.discard(sleeper)
                if not sleepers:
                    del by_value[value]
        if not by_value:
            self._names.pop(interest.name, None)

    def of(self, event: Event) -> list[Sleeper]:
        """Those to whom an event may matter; one may be named twice."""
        facts = event.facts
        found: list[Sleeper] = []
        for name, by_value in self._names.items():
            for value in {
                *_values(facts, name),
                *_values(facts.get("before"), name),
                *_values(facts.get("after"), name),
            }:
                found += by_value.get(value, ())
        return found


def _values(facts: Any, name: str) -> tuple[str, ...]:
    value = facts.get(name) if isinstance(facts, dict) else None
    return (value,) if isinstance(value, str) else ()
