"""Which fields a selection asks for, merged by response key: the specification's CollectFields, done once.

Conditions are decided before: a plan is compiled for given values of the variables in @skip and @include.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    is_abstract_type,
    visit,
)

CONDITIONS = ("skip", "include")


class Uncovered(Exception):
    """A plan cannot serve this operation; the reason is a word for the counter of fallbacks."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One response key: the nodes that ask for it, the first of which has the arguments."""

    key: str
    nodes: tuple[FieldNode, ...]

    @property
    def name(self) -> str:
        """The field's name in the schema."""
        return self.nodes[0].name.value

    @property
    def sets(self) -> list[SelectionSetNode]:
        """The selections below, of all nodes."""
        return [node.selection_set for node in self.nodes if node.selection_set]


def condition_variables(document: DocumentNode) -> tuple[str, ...]:
    """The variables that decide over @skip and @include, in alphabetical order."""
    names: set[str] = set()

    class Collect(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: object) -> None:
            if node.name.value in CONDITIONS:
                names.update(
                    argument.value.name.value
                    for argument in node.arguments or ()
                    if isinstance(argument.value, VariableNode)
                )

    visit(document, Collect())
    return tuple(sorted(names))


@dataclass(frozen=True, slots=True)
class Selections:
    """A document's selections under given conditions."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    conditions: Mapping[str, bool] = field(default_factory=dict)

    def of(self, runtime: GraphQLObjectType, sets: Sequence[SelectionSetNode]) -> list[Selected]:
        """What selections ask of an object of this type, in the order of the answer."""
        grouped: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        for selection_set in sets:
            for node in self._fields(runtime, selection_set, spread):
                grouped.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
        return [Selected(key, tuple(nodes)) for key, nodes in grouped.items()]

    def _fields(
        self, runtime: GraphQLObjectType, selection_set: SelectionSetNode, spread: set[str]
    ) -> Iterator[FieldNode]:
        for node in selection_set.selections:
            if not self._included(node):
                continue
            if isinstance(node, FieldNode):
                yield node
                continue
            fragment: InlineFragmentNode | FragmentDefinitionNode
            if isinstance(node, InlineFragmentNode):
                fragment = node
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                fragment = self.fragments[node.name.value]
                if self._applies(fragment, runtime):
                    spread.add(node.name.value)
            else:
                continue
            if self._applies(fragment, runtime):
                yield from self._fields(runtime, fragment.selection_set, spread)

    def _included(self, node: SelectionNode) -> bool:
        for directive in node.directives or ():
            name = directive.name.value
            if name not in CONDITIONS:
                raise Uncovered("directive")
            if self._condition(directive) is (name == "skip"):
                return False
        return True

    def _condition(self, directive: DirectiveNode) -> bool:
        value = directive.arguments[0].value if directive.arguments else None
        if isinstance(value, BooleanValueNode):
            return value.value
        if isinstance(value, VariableNode):
            return self.conditions[value.name.value]
        raise Uncovered("condition")

    def _applies(self, fragment: InlineFragmentNode | FragmentDefinitionNode, runtime: GraphQLObjectType) -> bool:
        if fragment.type_condition is None:
            return True
        wanted = self.schema.get_type(fragment.type_condition.name.value)
        if wanted is runtime:
            return True
        return wanted is not None and is_abstract_type(wanted) and self.schema.is_sub_type(wanted, runtime)
