"""Expressions of what an object itself holds: columns by their places in its rows, forms written out, else a call."""

from __future__ import annotations

import keyword
from collections.abc import Callable
from typing import Any

from graphql import GraphQLField, GraphQLObjectType

from execution.fields import ROWS, Declaration, Kind
from execution.forms import Only, Prefixed
from execution.plans.selections import Uncovered

Constant = Callable[[str, object], str]  # gives an object a name in generated code


def value_expression(
    parent: GraphQLObjectType, definition: GraphQLField, declaration: Declaration, constant: Constant
) -> str:
    """The expression of a field's value of the object `row`, whose type is `parent`. Raises Uncovered."""
    match declaration.kind:
        case Kind.COLUMN:
            return column(parent, definition.extensions["strawberry-definition"].python_name)
        case Kind.CONTEXTUAL:
            return f"{constant('judge', declaration.judge)}(row, run.context)"
        case Kind.COMPUTED | Kind.NESTED:
            return _read(parent, declaration, constant)
        case _:
            raise Uncovered("kind")


def _read(parent: GraphQLObjectType, declaration: Declaration, constant: Constant) -> str:
    match declaration.read:
        case Prefixed(prefix=prefix, column=name):
            return f"{constant('prefix', prefix)} + {column(parent, name)}.hex"
        case Only(column=name, where=where, has=has):
            return f"({column(parent, name)} if {column(parent, where)} == {constant('has', has)} else None)"
        case read:
            return f"{constant('read', read)}(row)"


def column(parent: GraphQLObjectType, name: str) -> str:
    """The expression of an attribute of `row`: by its place, where the type's objects are rows of one class."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise Uncovered("name")
    place = _places(parent).get(name)
    return f"row.{name}" if place is None else f"row[{place}]"


def _places(parent: GraphQLObjectType) -> dict[str, int]:
    origin = parent.extensions["strawberry-definition"].origin
    columns: Any = getattr(getattr(origin, ROWS, None), "columns", ())
    return {name: place for place, name in enumerate(columns)}
