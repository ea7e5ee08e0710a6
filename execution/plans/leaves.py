"""How leaf values become JSON: for each leaf type an expression for the usual values and a function for all others.

Whatever is unusual (null where none may be, a value that its type refuses) raises; graphql-core then tells exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, cast

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLString,
)

from execution.forms import FORM, Rounded, Tables, Whole


class Anomaly(Exception):
    """Something that a plan does not answer itself; the message is a word for the counter of fallbacks."""


def convert(type_: GraphQLLeafType, *, nullable: bool) -> Callable[[Any], Any]:
    """Complete one value of any kind, as graphql-core does; raises where that is an error."""
    coerce = type_.coerce_output_value

    def complete(value: Any) -> Any:
        if value is None:
            if nullable:
                return None
            raise Anomaly("null")
        if isinstance(value, Exception):
            raise Anomaly("error")
        found = coerce(value)
        if found is None:
            raise Anomaly("null")
        return found

    return complete


def words(type_: GraphQLEnumType) -> dict[Hashable, str]:
    """The names of an enum by the internal values that rows have."""
    members: Any = getattr(type_, "wrapped_cls", ())  # Strawberry's: the Python enum
    return {
        value: type_.coerce_output_value(value)
        for value in [*(definition.value for definition in type_.values.values()), *members]
    }


# What the built-in scalars leave as it is: a condition on x, whose first mention is where the value is read.
PLAIN = {
    GraphQLString.name: "{first}.__class__ is str",
    GraphQLID.name: "{first}.__class__ is str",
    GraphQLBoolean.name: "{first} is True or {x} is False",
    GraphQLInt.name: f"{{first}}.__class__ is int and {GRAPHQL_MIN_INT} <= {{x}} <= {GRAPHQL_MAX_INT}",
    GraphQLFloat.name: "{first}.__class__ is float and {x} - {x} == 0.0",
}


def leaf_expression(
    type_: GraphQLLeafType, value: str, *, nullable: bool, constant: Callable[[str, object], str]
) -> str:
    """The expression that completes `value`, itself one; `constant` gives an object a name in generated code.

    What is not a plain name is read once, into the local x.
    """
    if isinstance(type_, GraphQLEnumType):
        names: dict[Hashable, str | None] = {**words(type_)}
        if nullable:
            names[None] = None
        return f"{constant('words', names)}[{value}]"
    complete = constant("leaf", convert(type_, nullable=nullable))
    x = value if value.isidentifier() else "x"
    read = x if x == value else f"(x := {value})"
    plain = PLAIN.get(type_.name) or _plain(type_)
    if plain is not None:
        usual = plain.format(x=x, first=read)
        return f"{x} if {usual}{f' or {x} is None' if nullable else ''} else {complete}({x})"
    match getattr(type_.coerce_output_value, FORM, None):
        case Tables(high=high, per=per, low=low, unit=unit):
            begin, end = constant("high", high), constant("low", low)
            usual = f"{begin}[{x} // {per:d}] + {end}[{x} % {per:d} // {unit:d}] if {read}.__class__ is int"
        case Rounded(low=least, high=most, digits=digits):
            usual = f"round({x}, {digits:d}) if {read}.__class__ is float and {least!r} <= {x} <= {most!r}"
        case _:
            return _scalar_expression(type_, value, x, complete, nullable=nullable, constant=constant)
    return f"{usual} else {f'None if {x} is None else ' if nullable else ''}{complete}({x})"


def _plain(type_: GraphQLLeafType) -> str | None:
    """The same condition for a scalar of the schema that leaves integers of a range as they are."""
    match getattr(type_.coerce_output_value, FORM, None):
        case Whole(low=low, high=high):
            return f"{{first}}.__class__ is int and {low:d} <= {{x}} <= {high:d}"
    return None


def _scalar_expression(
    type_: GraphQLLeafType, value: str, x: str, complete: str, *, nullable: bool, constant: Callable[[str, object], str]
) -> str:
    """The same for a scalar of the schema's own: its function is called without a detour, but for nulls."""
    if type_.coerce_output_value is GraphQLScalarType.serialize:
        return f"{complete}({value})"  # takes everything, errors too
    scalar = constant("scalar", type_.coerce_output_value)
    read = x if x == value else f"(x := {value})"
    done = f"(done if (done := {scalar}({x})) is not None else {complete}({x}))"
    return f"None if {read} is None else {done}" if nullable else f"{done} if {read} is not None else {complete}({x})"


def convert_leaves(type_: GraphQLOutputType) -> Callable[[Any], Any]:
    """Complete one value of a leaf type, or of lists of it."""
    nullable = not isinstance(type_, GraphQLNonNull)
    inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if not isinstance(inner, GraphQLList):
        return convert(cast(GraphQLLeafType, inner), nullable=nullable)
    item = convert_leaves(inner.of_type)

    def complete(values: Any) -> list[Any] | None:
        if values is None and nullable:
            return None
        if not isinstance(values, list | tuple):
            raise Anomaly("list")
        return [item(value) for value in values]

    return complete
