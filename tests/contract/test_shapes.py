"""The shapes that clients build on (shapes.graphql) are in the schema as they are written there: no more is asked."""

from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
    is_required_argument,
    is_required_input_field,
    print_ast,
    specified_scalar_types,
)

from schema.root import print_sdl

WRITTEN = build_schema((Path(__file__).parent / "shapes.graphql").read_text())
BUILT = build_schema(print_sdl())
NAMES = [name for name in WRITTEN.type_map if not name.startswith("__") and name not in specified_scalar_types]


def _input(value: Any) -> str:
    """An argument or input field: its type and default."""
    default = value.default
    return f"{value.type}" + ("" if default is None else f" = {print_ast(default.literal)}")


def _shape(type_: GraphQLNamedType) -> dict[str, str]:
    """What the type promises, piece by piece."""
    shape = {"kind": type(type_).__name__}
    if isinstance(type_, GraphQLEnumType):
        shape |= dict.fromkeys(type_.values, "value")
    elif isinstance(type_, GraphQLUnionType):
        shape |= {member.name: "member" for member in type_.types}
    elif isinstance(type_, GraphQLInputObjectType):
        shape |= {name: _input(field) for name, field in type_.fields.items()}
        shape["oneOf"] = str(type_.is_one_of)
    elif isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        shape |= {interface.name: "interface" for interface in type_.interfaces}
        for name, field in type_.fields.items():
            shape[name] = str(field.type)
            shape |= {f"{name}({argument})": _input(value) for argument, value in field.args.items()}
    return shape


@pytest.mark.parametrize("name", NAMES)
def test_a_shape_is_kept(name: str) -> None:
    written, built = _shape(WRITTEN.type_map[name]), _shape(BUILT.type_map[name])
    assert {piece: built.get(piece) for piece in written} == written


@pytest.mark.parametrize("name", NAMES)
def test_what_was_added_may_be_left_out(name: str) -> None:
    """A new argument or input field that is required would break the operations that clients have."""
    written, built = WRITTEN.type_map[name], BUILT.type_map[name]
    added: list[str] = []
    if isinstance(written, GraphQLInputObjectType) and isinstance(built, GraphQLInputObjectType):
        new = {key: value for key, value in built.fields.items() if key not in written.fields}
        added += [key for key, value in new.items() if is_required_input_field(value)]
    if isinstance(written, GraphQLObjectType | GraphQLInterfaceType):
        assert isinstance(built, GraphQLObjectType | GraphQLInterfaceType)
        for field_name, field in written.fields.items():
            arguments = built.fields[field_name].args.items()
            added += [key for key, value in arguments if key not in field.args and is_required_argument(value)]
    assert added == []
