"""What a filter becomes below the resolvers: a dataclass of conditions, its shape, and a capped count of its rows.

A selection's fields are joined by AND, the values of a field by OR; None is no condition, () selects nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, func, literal_column, select
from sqlalchemy.sql.expression import Select

from db.models.base import Row
from db.statements import Statement, compile_statement


class CountRow(Row):
    """A number."""

    n: int


def shape_of(selection: Any) -> tuple[str, ...]:
    """The names of the conditions that a selection makes: one compiled statement each."""
    return tuple(name for name in _names(selection.__class__) if getattr(selection, name) is not None)


@lru_cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def values_of(selection: Any) -> tuple[Any, ...]:
    """The conditions' values, in the order of `shape_of`, as asyncpg takes them."""
    values = [getattr(selection, name) for name in shape_of(selection)]
    return tuple(list(value) if isinstance(value, tuple) else value for value in values)


def count_statement(
    table: Table, conditions: Sequence[ColumnElement[bool]], shape: Sequence[str]
) -> Statement[CountRow]:
    """Count rows no further than `at_most`, the last parameter; those of the conditions are named by `shape`."""
    found: Select[Any] = select(literal_column("1")).select_from(table).where(*conditions).limit(bindparam("at_most"))
    counted = select(func.count().label("n")).select_from(found.subquery())
    return compile_statement(counted, CountRow, *shape, "at_most")
