"""What every part of the schema owes: a declaration, a description, one name for one type; and the reviewed SDL."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    specified_scalar_types,
)

from execution.declarations import Kind, declaration_of, scope_of
from execution.fields import undeclared_fields
from resolvers.context import SCOPES
from schema.root import build_schema, print_sdl

SCHEMA = build_schema()
SDL = Path(__file__).parents[2] / "graphql" / "schema.graphql"
TYPES = {
    name: type_
    for name, type_ in SCHEMA.type_map.items()
    if not name.startswith("__") and name not in specified_scalar_types
}
WITH_FIELDS = {
    name: type_ for name, type_ in TYPES.items() if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
}
# Fields that show what people and agents wrote; whoever may only read numbers must not reach them.
CONTENT = {
    *(f"Task.{name}" for name in ("title", "input", "result", "errorMessage", "logs")),
    *(f"ToolCall.{name}" for name in ("input", "output")),
    "Conversation.title",
    "Run.title",
    *(f"Story.{name}" for name in ("title", "description", "notes")),
    "Message.text",
    "LogLine.text",
    "LogLinesAppended.lines",
    "Subscription.taskLog",
    "Subscription.logLines",
}
ROOT_SCOPES = {"Query": {"METRICS"}, "Mutation": {"WRITE", "CONTROL"}, "Subscription": {"METRICS", "READ"}}
SENTENCE = re.compile(r"[A-Z0-9+`].*[.…?]", re.DOTALL)


def test_every_field_has_a_kind_and_a_scope() -> None:
    assert undeclared_fields(SCHEMA) == []
    scopes = {scope_of(parent, field) for parent in WITH_FIELDS.values() for field in parent.fields.values()}
    assert scopes <= set(SCOPES)


def test_content_needs_the_scope_read() -> None:
    for place in CONTENT:
        type_name, name = place.split(".")
        parent = WITH_FIELDS[type_name]
        assert scope_of(parent, parent.fields[name]) == "READ", place


def test_root_fields_have_the_kind_and_scope_of_their_operation() -> None:
    kinds = {"Query": Kind.ROOT, "Mutation": Kind.MUTATION, "Subscription": Kind.FEED}
    for type_name, kind in kinds.items():
        parent = WITH_FIELDS[type_name]
        for name, field in parent.fields.items():
            declaration = declaration_of(field)
            assert declaration is not None
            assert declaration.kind is kind, name
            assert scope_of(parent, field) in ROOT_SCOPES[type_name], name


def test_nothing_decides_beside_the_declarations() -> None:
    """A compiled plan would pass these by."""
    for name, parent in WITH_FIELDS.items():
        for field_name, field in parent.fields.items():
            definition = field.extensions["strawberry-definition"]
            assert not definition.permission_classes, f"{name}.{field_name}"
            assert not definition.extensions, f"{name}.{field_name}"
            assert not definition.directives, f"{name}.{field_name}"


def _described() -> Iterator[tuple[str, str | None]]:
    for name, type_ in TYPES.items():
        yield name, type_.description
        if isinstance(type_, GraphQLEnumType):
            for value, definition in type_.values.items():
                yield f"{name}.{value}", definition.description
        elif isinstance(type_, GraphQLInputObjectType):
            for input_name, input_field in type_.fields.items():
                yield f"{name}.{input_name}", input_field.description
        elif isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in type_.fields.items():
                yield f"{name}.{field_name}", field.description
                for argument_name, argument in field.args.items():
                    yield f"{name}.{field_name}({argument_name})", argument.description


def test_everything_is_described_in_a_sentence() -> None:
    described = dict(_described())
    assert len(described) > 300
    assert [place for place, text in described.items() if not SENTENCE.fullmatch(text or "")] == []


def _unions() -> list[GraphQLUnionType]:
    return [type_ for type_ in TYPES.values() if isinstance(type_, GraphQLUnionType)]


@pytest.mark.parametrize("union", _unions(), ids=str)
def test_members_of_a_union_can_be_selected_side_by_side(union: GraphQLUnionType) -> None:
    """GraphQL refuses one response name for two types, and a client may ask for all fields of all members."""
    types: dict[str, set[str]] = {}
    for member in union.types:
        for name, field in member.fields.items():
            types.setdefault(name, set()).add(str(field.type))
    assert {name: found for name, found in types.items() if len(found) > 1} == {}


def test_the_reviewed_sdl_is_the_schema() -> None:
    assert print_sdl() == SDL.read_text(), "review the change, then run `make sdl`"
