"""How much of the schema itself an operation asks for, and whether of anything else.

Nothing is read for it, but nothing waits either while graphql-core walks over the schema.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    is_abstract_type,
)

from execution.limits import INTROSPECTION, LimitExceeded, Limits

BESIDE_DATA = 10  # times less may an operation ask of the schema that asks for data too: others wait for it


@lru_cache(maxsize=1)
def _lengths(schema: GraphQLSchema) -> tuple[int, dict[str, tuple[int, int]]]:
    """How many types there are, and for each list of a type its length on average and at most."""
    types = list(schema.type_map.values())
    composite = [kind for kind in types if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)]
    found: dict[str, list[int]] = {
        "fields": [len(kind.fields) for kind in composite],
        "interfaces": [len(kind.interfaces) for kind in composite],
        "possibleTypes": [len(schema.get_possible_types(kind)) for kind in types if is_abstract_type(kind)],
        "enumValues": [len(kind.values) for kind in types if isinstance(kind, GraphQLEnumType)],
        "inputFields": [len(kind.fields) for kind in types if isinstance(kind, GraphQLInputObjectType)],
    }
    lengths = {name: (ceil(sum(counts) / len(types)), max(counts, default=0)) for name, counts in found.items()}
    arguments = [len(field.args) for kind in composite for field in kind.fields.values()]
    lengths["args"] = (ceil(sum(arguments) / len(arguments)),) * 2
    lengths["directives"] = (len(schema.directives),) * 2
    return len(types), lengths


def introspects_only(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, limits: Limits
) -> bool:
    """Whether an operation of a valid document asks of the schema, and of nothing else. Raises LimitExceeded."""
    objects, is_all = _Reader(schema, document).root(operation.selection_set)
    limit = limits.introspection if is_all else limits.introspection // BESIDE_DATA
    if objects > limit:
        text = f"At most {limit} objects of the schema; this may have {objects}. Send several operations."
        raise LimitExceeded(text, "TOO_MUCH_INTROSPECTION", limit, objects)
    return is_all and objects > 0


class _Reader:
    """Reads one document, each fragment once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._type_count, self._lengths = _lengths(schema)
        self._fragments = {
            node.name.value: node.selection_set
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._read: dict[tuple[str, bool], int] = {}
        self._roots: dict[str, tuple[int, bool]] = {}

    def root(self, selections: SelectionSetNode) -> tuple[int, bool]:
        """The objects of the schema below an operation's root, and whether there is nothing else."""
        found = [self._of_root(node) for node in selections.selections]
        return sum(objects for objects, _ in found), all(only for _, only in found)

    def _of_root(self, node: SelectionNode) -> tuple[int, bool]:
        if isinstance(node, InlineFragmentNode):
            return self.root(node.selection_set)
        if isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name not in self._roots:
                self._roots[name] = self.root(self._fragments[name])
            return self._roots[name]
        if isinstance(node, FieldNode) and node.name.value in INTROSPECTION and node.selection_set is not None:
            return 1 + self._below(node.selection_set, of_many=False), True
        return 0, isinstance(node, FieldNode) and node.name.value == "__typename"

    def _below(self, selections: SelectionSetNode, *, of_many: bool) -> int:
        """The objects below one; `of_many`: below one of all types, where lists have their average length."""
        total = 0
        for node in selections.selections:
            if isinstance(node, FieldNode):
                if node.selection_set is not None:
                    name = node.name.value
                    below = self._below(node.selection_set, of_many=name == "types")
                    total += self._length(name, of_many=of_many) * (1 + below)
            elif isinstance(node, FragmentSpreadNode):
                total += self._fragment(node.name.value, of_many=of_many)
            elif isinstance(node, InlineFragmentNode):
                total += self._below(node.selection_set, of_many=of_many)
        return total

    def _length(self, name: str, *, of_many: bool) -> int:
        """How many a field has below one object; one, unless it is a list."""
        if name == "types":
            return self._type_count
        average, most = self._lengths.get(name, (1, 1))
        return average if of_many else most

    def _fragment(self, name: str, *, of_many: bool) -> int:
        found = self._read.get((name, of_many))
        if found is None:
            found = self._read[name, of_many] = self._below(self._fragments[name], of_many=of_many)
        return found
