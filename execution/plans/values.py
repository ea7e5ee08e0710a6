"""Expressions of what an object itself holds: columns by their places in its rows, forms written out, else a call."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLField, GraphQLObjectType

from execution.fields import ROWS, Declaration, Kind
from execution.forms import Only, Prefixed, itself
from execution.plans.selections import Uncovered

Constant = Callable[[str, object], str]  # gives an object a name in generated code


def value_expression(
    places: Mapping[str, int], definition: GraphQLField, declaration: Declaration, constant: Constant
) -> str:
    """The expression of a field's value of the object `row`, whose columns have `places`. Raises Uncovered."""
    match declaration.kind:
        case Kind.COLUMN:
            return column(places, definition.extensions["strawberry-definition"].python_name)
        case Kind.CONTEXTUAL:
            return f"{constant('judge', declaration.judge)}(row, run.context)"
        case Kind.COMPUTED | Kind.NESTED:
            return _read(places, declaration, constant)
        case _:
            raise Uncovered("kind")


def _read(places: Mapping[str, int], declaration: Declaration, constant: Constant) -> str:
    match declaration.read:
        case Prefixed(prefix=prefix, column=name):
            return f"{constant('prefix', prefix)} + {column(places, name)}.hex"
        case Only(column=name, where=where, has=has):
            return f"({column(places, name)} if {column(places, where)} == {constant('has', has)} else None)"
        case read if read is itself:
            return "row"
        case read:
            return f"{constant('read', read)}(row)"


def column(places: Mapping[str, int], name: str) -> str:
    """The expression of an attribute of `row`: by its place, if it has one."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise Uncovered("name")
    place = places.get(name)
    return f"row.{name}" if place is None else f"row[{place}]"


def places_of(type_: GraphQLObjectType) -> dict[str, int]:
    """The places of the columns, where all classes of the type's objects have the same."""
    found: set[tuple[str, ...]] = {
        getattr(class_, "columns", ()) or getattr(class_, "_fields", ()) for class_ in _classes_of(type_)
    }
    return {name: place for place, name in enumerate(found.pop())} if len(found) == 1 else {}


def shares_rows(type_: GraphQLObjectType, part: GraphQLObjectType) -> bool:
    """Whether an object of the one type is one of the other too."""
    classes = _classes_of(type_)
    return bool(classes) and all(issubclass(class_, _classes_of(part)) for class_ in classes)


def _classes_of(type_: GraphQLObjectType) -> tuple[type[Any], ...]:
    found = getattr(type_.extensions["strawberry-definition"].origin, ROWS, ())
    return found if isinstance(found, tuple) else (found,)
