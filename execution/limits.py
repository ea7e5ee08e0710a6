"""What an operation may ask for, and how a document is measured: once, before validation, each fragment once.

Numbers count what would be executed: a fragment counts wherever it is spread. Measuring takes time linear in the
document, whatever its fragments spread; names that are unknown and fragments in a cycle are left to validation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql.validation.rules import overlapping_fields_can_be_merged

SMALL_DOCUMENT = 300  # tokens; one that a person types or corrects by hand. Its errors are shown in full
INTROSPECTION = frozenset({"__schema", "__type"})

# graphql-core's own meter of comparing fields of one name, a module attribute that is meant to be set: its 500,000
# units take over 500 ms. No operation of ours uses more than 3; 10,000 take 10 ms.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of an operation, and of who sends them; FLEETGRAPH_LIMITS overrides them by name."""

    document: int = 32_768  # characters; 2,000 tokens have some 20,000. Long texts belong in variables: lexing 25 ms
    tokens: int = 2_000  # the largest of the common tools' documents (introspection) has under 300; validation 40 ms
    operations: int = 20  # of one document, an editor's page of them: validation follows their variables one by one
    depth: int = 12  # fields within fields; the deepest operation of ours has 7
    introspection_depth: int = 20  # under __schema and __type: the standard query of the common tools has 13 to 15
    introspection: int = 30_000  # objects of the schema; the standard query may have 14,000, and takes 40 ms
    aliases: int = 30  # the same field again with other arguments: a dashboard's tiles
    directives: int = 50
    fragments: int = 100  # spreads, named or inline; a component tree of a large page has some 40
    root_fields: int = 20  # each is at least one SQL statement
    repeated_fields: int = 200  # fields of a name that their selection has already; validation compares them in pairs
    cost: int = 50_000  # objects of the answer at its largest: some 10 MB, and 2 s of SQL
    values: int = 20_000  # of variables; a batch of 1,000 log lines has 6,000: each takes 5 µs to check
    running: int = 200  # operations at a time over HTTP, 20 for each connection of the read pool
    sockets: int = 1_000  # WebSockets of one viewer in a process; the local token is everybody on the machine
    messages: int = 50  # a second from one WebSocket; a page that opens sends its subscriptions at once, then few
    messages_burst: int = 200  # of them at once: `complete` and `subscribe` again of all that a socket may carry
    seconds: float = 10.0  # of execution; people give up earlier, and PostgreSQL a second before

    @classmethod
    def named(cls) -> frozenset[str]:
        """The names that can be overridden."""
        return frozenset(limit.name for limit in fields(cls))


class LimitExceeded(Exception):
    """A document asks for more than a limit allows; the message is fit for clients."""

    def __init__(self, message: str, code: str, limit: int, found: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.extensions: dict[str, Any] = {"limit": limit} if found is None else {"limit": limit, "found": found}


# What is counted: the attribute of Limits, the code, and the words for people.
COUNTED = (
    ("depth", "TOO_DEEP", "levels of fields; ask for the inner ones by id in a second operation"),
    ("introspection_depth", "TOO_DEEP", "levels of introspection; the standard introspection query has 15"),
    ("aliases", "TOO_MANY_ALIASES", "aliases; send several operations"),
    ("directives", "TOO_MANY_DIRECTIVES", "directives"),
    ("fragments", "TOO_MANY_FRAGMENTS", "fragments, counted wherever they are spread"),
    ("root_fields", "TOO_MANY_ROOT_FIELDS", "root fields; send several operations"),
    ("repeated_fields", "TOO_MANY_REPEATED_FIELDS", "repetitions of fields; name each field once"),
)


@dataclass(slots=True)
class Measure:
    """What a definition has in all, its fragments included."""

    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    directives: int = 0
    fragments: int = 0
    root_fields: int = 0
    repeated_fields: int = 0


@dataclass(slots=True)
class _Local:
    """What is written in a definition itself, and its spreads: name, fields around it, under introspection or not."""

    measure: Measure = field(default_factory=Measure)
    spreads: list[tuple[str, int, bool]] = field(default_factory=list)


def check_document(document: DocumentNode, limits: Limits) -> None:
    """Raise LimitExceeded when any definition of the document has too much of anything.

    Fragments are checked for themselves too: validation looks at them whether they are used or not.
    """
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) > limits.operations:
        raise _exceeded("TOO_MANY_OPERATIONS", limits.operations, len(operations), "operations in one document")
    fragments = {
        node.name.value: _local(node.selection_set, len(node.directives or ()), _on_introspection(node))
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    measures = _measured(fragments)
    for operation in operations:
        variables = sum(len(variable.directives or ()) for variable in operation.variable_definitions or ())
        local = _local(operation.selection_set, len(operation.directives or ()) + variables)
        _check(_total(local, measures), limits)
    for measure in measures.values():
        measure.root_fields = 0  # a fragment's own fields are as many as its type has
        _check(measure, limits)


def _on_introspection(fragment: FragmentDefinitionNode) -> bool:
    return fragment.type_condition.name.value.startswith("__")


def explained(errors: list[GraphQLError]) -> list[GraphQLError]:
    """The errors of validation, with words for those that speak of graphql-core or of Python."""
    return [_explained(error) for error in errors]


def _explained(error: GraphQLError) -> GraphQLError:
    if error.message == "Validation aborted.":  # the meter above, or fragments nested too deeply
        text = "Too many fields of one name to compare; name each field once, in fewer fragments."
        return GraphQLError(text, extensions={"code": "TOO_MANY_REPEATED_FIELDS"})
    if "set_int_max_str_digits" in error.message:
        return GraphQLError("The number has too many digits.", error.nodes)
    return error


def _check(measure: Measure, limits: Limits) -> None:
    for name, code, words in COUNTED:
        found, limit = getattr(measure, name), getattr(limits, name)
        if found > limit:
            raise _exceeded(code, limit, found, words)


def _exceeded(code: str, limit: int, found: int, words: str) -> LimitExceeded:
    # Fragments that spread each other reach numbers of hundreds of digits.
    shown = str(found) if found < 10**9 else "over a billion"
    return LimitExceeded(f"At most {limit} {words}; this has {shown}.", code, limit, min(found, 10**9))


def _local(selections: SelectionSetNode, directives: int, introspection: bool = False) -> _Local:
    """Measure one definition without following its spreads."""
    local = _Local(Measure(directives=directives))
    names: set[str] = set()
    stack = [(selections, 0, introspection, names)]
    while stack:
        selections, level, introspection, names = stack.pop()
        measure = local.measure
        for node in selections.selections:
            measure.directives += len(node.directives or ())
            if isinstance(node, FragmentSpreadNode):
                measure.fragments += 1
                local.spreads.append((node.name.value, level, introspection))
            elif isinstance(node, FieldNode):
                inside = introspection or node.name.value in INTROSPECTION
                _count_field(measure, node, level + 1, inside, names)
                if node.selection_set:
                    stack.append((node.selection_set, level + 1, inside, set()))
            else:  # an inline fragment: its fields belong to the selection around it
                measure.fragments += 1
                stack.append((node.selection_set, level, introspection, names))  # type: ignore[attr-defined]
    return local


def _count_field(measure: Measure, node: FieldNode, level: int, introspection: bool, names: set[str]) -> None:
    if node.alias:
        measure.aliases += 1
    if introspection:
        measure.introspection_depth = max(measure.introspection_depth, level)
    else:
        measure.depth = max(measure.depth, level)
    if level == 1:
        measure.root_fields += 1
    name = (node.alias or node.name).value
    if name in names:
        measure.repeated_fields += 1
    names.add(name)


def _measured(fragments: dict[str, _Local]) -> dict[str, Measure]:
    """The totals of all fragments, inner ones first; without recursion, for chains are as long as a document."""
    measures: dict[str, Measure] = {}
    for root in fragments:
        path = [] if root in measures else [(root, iter(fragments[root].spreads))]
        on_path = {root}
        while path:
            name, spreads = path[-1]
            for spread, _level, _introspection in spreads:
                if spread in fragments and spread not in measures and spread not in on_path:
                    path.append((spread, iter(fragments[spread].spreads)))
                    on_path.add(spread)
                    break
            else:
                path.pop()
                on_path.discard(name)
                measures[name] = _total(fragments[name], measures)
    return measures


def _total(local: _Local, measures: dict[str, Measure]) -> Measure:
    """A definition with its fragments; those without a measure are unknown, or close a cycle."""
    own = local.measure
    total = Measure(
        own.depth,
        own.introspection_depth,
        own.aliases,
        own.directives,
        own.fragments,
        own.root_fields,
        own.repeated_fields,
    )
    for name, level, introspection in local.spreads:
        inner = measures.get(name)
        if inner is None:
            continue
        total.aliases += inner.aliases
        total.directives += inner.directives
        total.fragments += inner.fragments
        total.repeated_fields += inner.repeated_fields
        if level == 0:
            total.root_fields += inner.root_fields
        deepest = max(inner.depth, inner.introspection_depth)
        if introspection:
            total.introspection_depth = max(total.introspection_depth, level + deepest)
        else:
            total.depth = max(total.depth, level + inner.depth)
            if inner.introspection_depth:
                total.introspection_depth = max(total.introspection_depth, level + inner.introspection_depth)
    return total


def count_values(value: Any, most: int) -> int:
    """How many values lists and objects hold in all, themselves included; stops soon after `most`."""
    count, present = 1, [value]
    while present and count <= most:
        container = present.pop()
        children = container.values() if isinstance(container, dict) else container
        count += len(container)
        present += [child for child in children if isinstance(child, dict | list)]
    return count
