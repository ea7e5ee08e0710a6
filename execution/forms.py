"""What a plan writes out instead of calling a function for each value: said beside the function that it stands for.

A form is data, so that the compiler decides what is written. It must give what its function gives; where it does not
fit a value, the function is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

FORM = "__fleetgraph_form__"


@dataclass(frozen=True, slots=True)
class Whole:
    """Integers of a range are shown as they are."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Rounded:
    """Floats of a range are shown rounded."""

    low: float
    high: float
    digits: int


@dataclass(frozen=True, slots=True)
class Tables:
    """An integer is shown by two texts: that of its quotient by `per`, and that of the rest, counted in `unit`."""

    high: Mapping[int, str]
    per: int
    low: Mapping[int, str]
    unit: int


def written_as(form: Whole | Rounded | Tables) -> Callable[[F], F]:
    """Say the form of a function that shows values of a scalar."""

    def decorate(function: F) -> F:
        setattr(function, FORM, form)
        return function

    return decorate


def itself(row: Any) -> Any:
    """Reads the row: a part of its columns is an object of its own to clients."""
    return row


@dataclass(frozen=True, slots=True)
class Prefixed:
    """Reads an id from a row: a prefix and the hexadecimal digits of the uuid in a column."""

    prefix: str
    column: str

    def __call__(self, row: Any) -> str:
        """The id."""
        return f"{self.prefix}{getattr(row, self.column).hex}"


@dataclass(frozen=True, slots=True)
class Only:
    """Reads a column of a row where another column has a value; else None."""

    column: str
    where: str
    has: Any

    def __call__(self, row: Any) -> Any:
        """The column's value, or None."""
        return getattr(row, self.column) if getattr(row, self.where) == self.has else None
