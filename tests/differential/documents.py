"""Documents for the comparison: hypothesis-graphql's queries, rewritten with what it never makes.

Aliases, named and inline fragments, directives, variables with and without defaults, doubled keys, pages of things
that are there, and the same selections below mutations and events.
"""

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    parse,
    parse_value,
    print_ast,
)
from graphql.utilities import value_from_ast_untyped
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

from schema.root import build_schema

SCHEMA = build_schema()
SCALARS = {
    "DateTime": st.sampled_from(["2026-05-01T06:00:00Z", "2026-04-01T08:00:00.5+02:00"]).map(nodes.String),
    "SafeInt": st.integers(0, 10**9).map(nodes.Int),
    "USD": st.floats(0, 100, allow_nan=False).map(nodes.Float),
    "EventCursor": st.just("x").map(nodes.String),
}
ROOTS = (
    "tasks",
    "conversations",
    "agents",
    "task",
    "conversation",
    "nodes",
    "node",
    "summary",
    "agent",
    "viewer",
    "runs",
    "run",
)
BASES = st.one_of(
    *[
        queries(SCHEMA, fields=[name], custom_scalars=SCALARS, allow_x00=False)
        for name in (*ROOTS, *ROOTS[:3], "runs", "run")
    ],
    queries(SCHEMA, custom_scalars=SCALARS, allow_x00=False),
)


# Pages within pages, and relations that hypothesis-graphql seldom comes to.
DEEPER = {
    "Task": (
        "{ children(first: 2) { nodes { id title usage { costUsd } } totalCount } }",
        "{ logs(first: 3) { nodes { seq text } pageInfo { endCursor } } }",
        "{ toolCalls(first: 2) { edges { cursor node { name input } } } }",
        "{ usage(includeChildren: true) { inputTokens costUsd } }",
        "{ agent { name currentTasks(first: 2) { nodes { status } } } conversation { title tags } }",
        "{ parentTask { id createdAt } retryOf { id } owner { name } }",
    ),
    "Conversation": (
        "{ messages(last: 2) { nodes { role text task { title } } } }",
        "{ tasks(first: 3) { nodes { createdAt updatedAt status } } usage { callCount } }",
    ),
    "Run": (
        "{ stories { id key run { id } dependsOn { key status } blockedBy { key } } project { name } }",
        "{ iterations(first: 2) { nodes { id story { title } } } usage { costUsd } host { name } iterationCount }",
    ),
    "Agent": ("{ currentTasks(first: 3) { nodes { id logs(first: 1) { nodes { text } } } totalCount } }",),
}


# Bases of our own: what operations of people look like.
FIRST = (
    """{ tasks(first: 4) { totalCount pageInfo { endCursor } nodes { id result status createdAt updatedAt agent { name }
         children(first: 2) { nodes { id title children(first: 1) { nodes { id } } } } logs(first: 2) { nodes { text } }
         parentTask { id updatedAt agent { id } } usage(includeChildren: true) { costUsd } } } }""",
    """{ conversations(first: 4) { nodes { id title usage { callCount } owner { name } messages(last: 3) { nodes { at
         task { id createdAt } } } tasks(first: 2) { edges { cursor node { title retryOf { id } } } } } } }""",
    """{ nodes(ids: []) { __typename id ... on Task { title agent { name } } ... on Message { text task { title } }
         ... on Conversation { title tags } ... on UsageRecord { at model task { id } } } viewer { scopes } }""",
    """{ task(id: "x") { id title startedAt endedAt durationMs input result conversation { title } children(first: 4) {
         edges { cursor node { createdAt updatedAt agent { id } } } } toolCalls(first: 3) { nodes { input } } } }""",
)


@dataclass
class Node:
    """A field, an inline fragment (`on` or nothing) or a spread, in a form that can be changed."""

    name: str | None = None
    alias: str | None = None
    args: dict[str, str] = field(default_factory=dict)
    on: str | None = None
    spread: str | None = None
    directives: list[str] = field(default_factory=list)
    below: list["Node"] = field(default_factory=list)

    def text(self) -> str:
        """GraphQL."""
        if self.spread:
            return " ".join([f"...{self.spread}", *self.directives])
        if self.name is None:
            head = "..." + (f" on {self.on}" if self.on else "")
        else:
            given = ", ".join(f"{name}: {value}" for name, value in self.args.items())
            head = (f"{self.alias}: " if self.alias else "") + self.name + (f"({given})" if given else "")
        inner = f" {{ {' '.join(node.text() for node in self.below)} }}" if self.below else ""
        return " ".join([head, *self.directives]) + inner


@dataclass
class Pool:
    """Ids of what is in the database, by kind."""

    ids: dict[str, list[str]]
    agents: list[str]


@dataclass(frozen=True)
class Document:
    """Text, variables, and for a subscription the field whose event is executed."""

    text: str
    variables: dict[str, Any]
    live: str | None = None


def read(text: str) -> list[Node]:
    """The root fields of a query."""
    definition = parse(text).definitions[0]
    assert isinstance(definition, OperationDefinitionNode)
    return list(_read(definition.selection_set))


def _read(selections: SelectionSetNode | None) -> Iterator[Node]:
    for node in selections.selections if selections else ():
        if isinstance(node, FieldNode):
            args = {argument.name.value: print_ast(argument.value) for argument in node.arguments or ()}
            alias = node.alias.value if node.alias else None
            yield Node(node.name.value, alias, args, below=list(_read(node.selection_set)))
        elif isinstance(node, InlineFragmentNode):
            on = node.type_condition.name.value if node.type_condition else None
            yield Node(on=on, below=list(_read(node.selection_set)))


class Rewriter:
    """One rewriting of one query, by one seed."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self._pool = pool
        self._random = random.Random(seed)
        self._variables: dict[str, tuple[str, str | None]] = {}
        self._values: dict[str, Any] = {}
        self._fragments: dict[str, tuple[str, list[Node]]] = {}
        self._number = 0

    def rewrite(self, roots: list[Node]) -> Document:
        """A query, or a mutation or event around one of its selections of a task."""
        roots = copy.deepcopy(roots)
        tasks = [node for node in roots if node.name == "task" and node.below]
        if tasks and self._chance(0.5):
            return self._around(tasks[0])
        self._selection("Query", roots)
        return self._print("query", roots)

    def _around(self, task: Node) -> Document:
        """Put a selection of Task where a mutation or an event has a task."""
        self._selection("Task", task.below)
        inner = Node("task", below=task.below)
        failure = Node(on="UserError", below=[Node("code"), Node("message"), Node("path"), Node("__typename")])
        if self._chance(0.5):
            member = Node(on="TaskChanged", below=[inner, Node("isNew")])
            event = Node(on="LiveEvent", below=[Node("cursor"), Node("__typename")])
            return self._print(
                "subscription", [Node("taskChanged", below=self._shuffled([event, member]))], "taskChanged"
            )
        at = self._random.choice([*self._pool.ids["task"], "task_0"])
        text = f'{{taskId: "{at}", status: {self._random.choice(["RUNNING", "COMPLETED", "QUEUED"])}}}'
        lines = f'{{taskId: "{at}", lines: [{{text: "a"}}]}}'
        report = Node("reportTask", args={"input": text}, below=[Node(on="ReportTaskSuccess", below=[inner]), failure])
        transition = Node(on="InvalidTransition", below=[Node("currentTask", below=[Node("id"), Node("status")])])
        report.below.append(transition)
        append = Node(
            "appendTaskLog",
            args={"input": lines},
            below=[Node(on="AppendTaskLogSuccess", below=[Node("lastSeq"), copy.deepcopy(inner)]), failure],
        )
        return self._print("mutation", self._shuffled([report, append])[: self._random.choice((1, 2))])

    # ---- what is changed

    def _selection(self, parent: str, nodes: list[Node]) -> None:
        for node in list(nodes):
            if node.name is None:
                self._selection(node.on or parent, node.below)
                continue
            definition = _fields(parent).get(node.name)
            if definition is None:
                continue
            self._arguments(parent, node, definition.args)
            target = get_named_type(definition.type).name
            if node.below:
                self._selection(target, node.below)
            self._change(parent, target, node, nodes)
        if parent in DEEPER and self._chance(0.2):
            more = read(self._random.choice(DEEPER[parent]))
            for node in more:
                node.alias = self._name("d")
            nodes += more
        if self._chance(0.15):
            nodes.insert(self._random.randrange(len(nodes) + 1), Node("__typename", directives=self._directives()))

    def _change(self, parent: str, target: str, node: Node, nodes: list[Node]) -> None:
        if node.alias is None and self._chance(0.15):
            node.alias = self._name("a")
        node.directives = self._directives()
        if node.args and self._chance(0.1):  # the same field with other arguments
            other = copy.deepcopy(node)
            other.alias = self._name("o")
            self._arguments(parent, other, _fields(parent)[str(node.name)].args)
            nodes.append(other)
        if self._chance(0.1):  # the same key again, elsewhere, with some of what is below
            again = copy.deepcopy(node)
            again.directives = self._directives()
            if again.below:
                again.below = self._shuffled(again.below)[: self._random.randint(1, len(again.below))]
            nodes.insert(self._random.randrange(len(nodes) + 1), again)
        if node.below and self._chance(0.15):
            name = self._name("F")
            self._fragments[name] = (target, node.below)
            node.below = [Node(spread=name, directives=self._directives())]
            if self._chance(0.3):
                node.below.append(Node(spread=name))
        if self._chance(0.1):
            at = nodes.index(node)
            nodes[at] = Node(on=self._condition(parent, node), directives=self._directives(), below=[node])

    def _condition(self, parent: str, node: Node) -> str | None:
        type_ = SCHEMA.type_map[parent]
        names: list[str | None] = [None, parent]
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            names += [face.name for face in type_.interfaces if node.name in face.fields]
        return self._random.choice(names)

    def _directives(self) -> list[str]:
        if not self._chance(0.12):
            return []
        found = []
        for name in self._random.choice((["skip"], ["include"], ["skip", "include"])):
            value = self._chance(0.5) if self._chance(0.5) else name == "include"
            text = str(value).lower()
            if self._chance(0.4):
                text = self._variable("b", "Boolean!", text, value)
            found.append(f"@{name}(if: {text})")
        return found

    def _arguments(self, parent: str, node: Node, declared: dict[str, Any]) -> None:
        for name in list(declared):
            if not self._chance(0.1):
                self._sane(parent, node, name)
        for name, text in list(node.args.items()):
            if name in declared and "$" not in text and self._chance(0.3):
                node.args[name] = self._as_variable(declared[name].type, text)

    def _sane(self, parent: str, node: Node, name: str) -> None:
        """Give an argument a value that finds something."""
        pick, args, ids = self._random.choice, node.args, self._pool.ids
        every = [found for kind in ids.values() for found in kind]
        match name:
            case "id":
                args[name] = f'"{pick([*ids.get(node.name or "", every), "task_0"])}"'
            case "ids":
                chosen = self._random.sample(every, 3) + (["nothing_0"] if self._chance(0.2) else [])
                args[name] = "[" + ", ".join(f'"{found}"' for found in chosen) + "]"
            case "name":
                args[name] = f'"{pick(self._pool.agents)}"'
            case "range":
                args[name] = '{between: {from: "2026-01-01T00:00:00Z", to: "2027-01-01T00:00:00Z"}}'
            case "first":
                args[name] = str(self._random.randint(1, 4))
                args.pop("last", None)
            case "atMost":
                args[name] = "100"
            case "filter" if parent == "Query" and node.name == "tasks" and self._chance(0.3):
                args[name] = pick(("{status: [FAILED]}", "{status: [RUNNING, COMPLETED]}", "{}"))
            case "after" | "before" | "last" | "filter" | "hostId" | "orderBy":
                args.pop(name, None)

    def _as_variable(self, type_: GraphQLInputType, text: str) -> str:
        value = value_from_ast_untyped(parse_value(text))
        if value is None and isinstance(type_, GraphQLNonNull):
            return text
        return self._variable("v", str(type_), text, value)

    def _variable(self, hint: str, type_: str, text: str, value: Any) -> str:
        name = self._name(hint)
        way = self._random.randrange(3)
        nullable = type_.removesuffix("!")
        if way == 0:
            self._variables[name] = (type_, None)
            self._values[name] = value
        elif way == 1:
            self._variables[name] = (nullable, text)  # a default makes it fit for a place that wants a value
            if self._chance(0.1):
                self._values[name] = None
        else:
            self._variables[name] = (nullable, text)
            self._values[name] = value
        return f"${name}"

    # ---- odds and ends

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _name(self, hint: str) -> str:
        self._number += 1
        return f"{hint}{self._number}"

    def _shuffled(self, nodes: list[Node]) -> list[Node]:
        return self._random.sample(nodes, len(nodes))

    def _print(self, kind: str, roots: list[Node], live: str | None = None) -> Document:
        given = ", ".join(
            f"${name}: {type_}" + ("" if default is None else f" = {default}")
            for name, (type_, default) in self._variables.items()
        )
        body = " ".join(node.text() for node in roots)
        text = f"{kind} Made{f'({given})' if given else ''} {{ {body} }}"
        for name, (type_, below) in self._fragments.items():
            text += f"\nfragment {name} on {type_} {{ {' '.join(node.text() for node in below)} }}"
        return Document(text, self._values, live)


def _fields(name: str) -> dict[str, Any]:
    type_ = SCHEMA.type_map[name]
    return dict(type_.fields) if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) else {}
