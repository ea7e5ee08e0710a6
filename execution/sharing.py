"""Who may share one execution and one encoding per event: what a document that subscribes says about it.

Shared are frames of one operation with the same variables and the same rights. What depends on the person (`contextual`
and `judged` fields) is never shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    visit,
)

from execution.declarations import AFTER, Declaration, Kind, declaration_of
from execution.following import Group

PERSONAL = (Kind.CONTEXTUAL, Kind.JUDGED)


@dataclass(frozen=True, slots=True)
class Feed:
    """What a document that subscribes says about sharing."""

    declaration: Declaration
    is_personal: bool
    place_variable: str | None  # a variable that is nothing but the root field's `after`: it does not show in frames
    groups: WeakValueDictionary[Hashable, Group] = field(default_factory=WeakValueDictionary)  # those who follow it now

    def group(self, key: Hashable | None) -> Group:
        """The group of those who share under a key; one of its own for None."""
        if key is None:
            return Group()
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group()
        return group

    def key(self, variables: dict[str, Any] | None, scopes: frozenset[str]) -> Hashable | None:
        """What must be equal to share; None is not to be shared."""
        if self.is_personal or self.declaration.share is None:
            return None
        shown = {name: value for name, value in (variables or {}).items() if name != self.place_variable}
        try:
            return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS), scopes
        except TypeError:  # integers over 64 bits, lone surrogates
            return None


def feed_of(schema: GraphQLSchema, document: DocumentNode) -> Feed | None:
    """The feed of a document with a subscription; None without one."""
    types = TypeInfo(schema)
    roots: list[tuple[Declaration, FieldNode]] = []
    kinds: set[Kind] = set()
    uses: Counter[str] = Counter()

    class Collect(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            parent, field = types.get_parent_type(), types.get_field_def()
            if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) or field is None:
                return
            declaration = declaration_of(field)
            if declaration is not None:
                kinds.add(declaration.kind)
                if declaration.kind is Kind.FEED:
                    roots.append((declaration, node))

        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            uses[node.name.value] += 1

    visit(document, TypeInfoVisitor(types, Collect()))
    if not roots:
        return None
    declaration, node = roots[0]
    places = [
        argument.value.name.value
        for argument in node.arguments or ()
        if argument.name.value == AFTER and isinstance(argument.value, VariableNode)
    ]
    # Once where it is declared, once where it is used.
    place = places[0] if len(roots) == 1 and places and uses[places[0]] == 2 else None
    return Feed(declaration, any(kind in kinds for kind in PERSONAL), place)
