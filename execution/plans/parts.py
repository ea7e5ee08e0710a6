"""What a plan is made of while it is written, and when it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode

from execution.declarations import Declaration
from execution.plans.arguments import Arguments


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the generated source; an asynchronous one has batch calls below it."""

    name: str
    is_async: bool

    def call(self, *arguments: str) -> str:
        """The expression that calls it."""
        return f"{'await ' if self.is_async else ''}{self.name}({', '.join(arguments)})"


@dataclass(frozen=True, slots=True)
class Root:
    """A field of the operation's own type. `complete` makes its values JSON, a list at a time."""

    key: str
    nodes: tuple[FieldNode, ...]
    declaration: Declaration | None  # None: __typename, whose value is `constant`
    arguments: Arguments | None = None
    nullable: bool = False
    complete: Callable[[list[Any], Any], Any] | None = None
    is_async: bool = False
    constant: str | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """The roots of an operation, and the source of their functions with the names of its constants.

    `rows` are the narrow classes that it reads, by the class of all columns.
    """

    roots: tuple[Root, ...]
    source: str
    constants: dict[str, object]
    rows: dict[type[Any], type[Any]]


@dataclass(slots=True)
class Body:
    """A function over the objects of one selection set, while it is written."""

    setup: list[str] = field(default_factory=list)
    awaited: list[tuple[str, str]] = field(default_factory=list)  # (what is assigned, the coroutine)
    items: list[str] = field(default_factory=list)  # of the dict of one object
    columns: list[tuple[str, str]] = field(default_factory=list)  # (an object's part, the list of all parts)


@dataclass(frozen=True, slots=True)
class Relation:
    """A field that a batch function reads, and its function."""

    index: int
    key: str  # the constant that takes the batch key from an object
    load: str
    has_arguments: bool
    function: Function
    is_deep: bool  # reads more below what it has read


def with_function(root: Root, complete: Callable[[list[Any], Any], Any], function: Function) -> Root:
    """The root with the function that completes it."""
    return Root(
        root.key, root.nodes, root.declaration, root.arguments, root.nullable, complete, function.is_async, None
    )


def grouped(relations: Sequence[Relation]) -> list[list[Relation]]:
    """Relations by batch function, as far as they have no arguments that could differ."""
    groups: dict[Any, list[Relation]] = {}
    for relation in relations:
        groups.setdefault(relation.index if relation.has_arguments else relation.load, []).append(relation)
    return list(groups.values())
