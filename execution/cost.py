"""What an operation costs: one point per object that its answer can hold. Told from the document before it runs.

A list holds as many objects as its page is long: `first` or `last`, else 50 at the root and 10 below it; a list of
nodes by id as many as there are ids. An operation's cost is a polynomial of the page sizes that variables give, made
once per document; a request only puts the numbers in. It is never too low: what @skip leaves out counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
)

from execution.declarations import Kind, declaration_of

ROOT_PAGE = 50
NESTED_PAGE = 10
MAX_COST = 10**9  # shown for more, too
MAX_PAGE = 1_000  # a longer page is refused by the field itself, before it reads anything

# Products of the variables in a key, times a number: {(): 7, ("first",): 3} is 7 + 3 · first.
Polynomial = dict[tuple["Size", ...], int]


@dataclass(frozen=True, slots=True)
class Size:
    """A page size that variables give: the greatest of them, or `default` when none is given."""

    variables: tuple[str, ...]
    default: int

    def of(self, values: Mapping[str, Any]) -> int:
        """The size for a request's variables; what is no size counts as the default, and is refused elsewhere."""
        given = [_size(values.get(name)) for name in self.variables]
        return max((size for size in given if size is not None), default=self.default)


def _size(value: Any) -> int | None:
    if isinstance(value, list):
        return min(len(value), MAX_PAGE)
    return min(max(value, 0), MAX_PAGE) if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one operation."""

    terms: tuple[tuple[int, tuple[Size, ...]], ...]
    defaults: Mapping[str, Any]  # of its variables, as far as they are sizes

    def of(self, variables: Mapping[str, Any] | None) -> int:
        """The cost for a request's variables."""
        if not self.defaults and len(self.terms) == 1 and not self.terms[0][1]:
            return min(self.terms[0][0], MAX_COST)
        values = {**self.defaults, **(variables or {})}
        total = 0
        for points, sizes in self.terms:
            for size in sizes:
                points *= size.of(values)
            total += points
        return min(total, MAX_COST)


def cost_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Cost:
    """The cost of an operation of a valid document within its limits."""
    root = cast(GraphQLObjectType, schema.get_root_type(operation.operation))
    polynomial = _Reader(schema, document, root).selection(operation.selection_set, root, None)
    defaults = {
        variable.variable.name.value: int(variable.default_value.value)
        for variable in operation.variable_definitions or ()
        if isinstance(variable.default_value, IntValueNode) and len(variable.default_value.value) < 10
    }
    return Cost(tuple((points, sizes) for sizes, points in (polynomial or {(): 0}).items()), defaults)


class _Reader:
    """Reads one document, each fragment once per page that it is spread in."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, root: GraphQLObjectType) -> None:
        self._schema = schema
        self._root = root
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._read: dict[tuple[str, Size | int | None], Polynomial] = {}

    def selection(self, selections: SelectionSetNode, parent: GraphQLNamedType, page: Size | int | None) -> Polynomial:
        """The objects below one object of the type `parent`; `page` is the length of the page that it holds."""
        total: Polynomial = {}
        for node in selections.selections:
            if isinstance(node, FieldNode):
                _add(total, self._field(node, parent, page))
            elif isinstance(node, InlineFragmentNode):
                on = node.type_condition
                kind = parent if on is None else self._schema.type_map[on.name.value]
                _add(total, self.selection(node.selection_set, kind, page))
            elif isinstance(node, FragmentSpreadNode):
                _add(total, self._fragment(node.name.value, page))
        return total

    def _fragment(self, name: str, page: Size | int | None) -> Polynomial:
        read = self._read.get((name, page))
        if read is None:
            node = self._fragments[name]
            kind = self._schema.type_map[node.type_condition.name.value]
            read = self._read[name, page] = self.selection(node.selection_set, kind, page)
        return read

    def _field(self, node: FieldNode, parent: GraphQLNamedType, page: Size | int | None) -> Polynomial:
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) or node.selection_set is None:
            return {}
        field = parent.fields.get(node.name.value)
        if field is None:  # __schema and __type: bounded by their own depth
            return {}
        kind = get_named_type(field.type)
        if is_leaf_type(kind):
            return {}
        size = self._size(node, field, parent)
        below = dict(self.selection(node.selection_set, kind, size))
        _add(below, {(): 1})
        if not _is_list(field):
            return below
        declaration = declaration_of(field)
        if page is not None and declaration is not None and declaration.kind is Kind.NESTED:
            return _times(below, page)
        return _times(below, self._default(parent) if size is None else size)

    def _default(self, parent: GraphQLNamedType) -> int:
        return ROOT_PAGE if parent is self._root else NESTED_PAGE

    def _size(self, node: FieldNode, field: GraphQLField, parent: GraphQLNamedType) -> Size | int | None:
        """The length of the page or list that a field's arguments ask for; None when it is no page."""
        paged = "first" in field.args or "last" in field.args
        lists = [name for name, argument in field.args.items() if _is_list(argument)]
        if not paged and not (lists and _is_list(field)):
            return None
        default = self._default(parent)
        wanted = ("first", "last") if paged else lists
        given = [argument.value for argument in node.arguments or () if argument.name.value in wanted]
        variables = tuple(value.name.value for value in given if isinstance(value, VariableNode))
        sizes = [size for size in map(_literal_size, given) if size is not None]
        if variables:
            return Size(variables, max(sizes, default=default))
        return max(sizes, default=default)


def _literal_size(value: ValueNode) -> int | None:
    if isinstance(value, ListValueNode):
        return min(len(value.values), MAX_PAGE)
    if isinstance(value, IntValueNode):
        return MAX_PAGE if len(value.value) > 9 else _size(int(value.value))
    return None


def _is_list(field: Any) -> bool:
    of = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    return isinstance(of, GraphQLList)


def _add(total: Polynomial, more: Polynomial) -> None:
    for sizes, points in more.items():
        total[sizes] = total.get(sizes, 0) + points


def _times(polynomial: Polynomial, size: Size | int) -> Polynomial:
    if isinstance(size, int):
        return {sizes: points * size for sizes, points in polynomial.items()}
    return {(*sizes, size): points for sizes, points in polynomial.items()}
