"""Whatever is asked of 50 parents takes as many SQL statements as of one: every field that the schema has."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    is_composite_type,
    is_required_argument,
    is_union_type,
)

from domain.ids import show_id
from domain.records import AgentRecord, Batch, ConversationRecord, LogRecord, MessageRecord, TaskRecord, ToolCallRecord
from execution.declarations import Kind, declaration_of
from schema.root import build_schema
from tests.client import Server
from tests.filled import ORIGIN, START, ref

SCHEMA = build_schema()
OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations"
# Lists with a size of the test's choice. FAILED are those tasks of tests.filled that have everything.
ROOTS = {
    "tasks": "tasks(filter: {status: [FAILED]}, first: $n)",
    "conversations": "conversations(first: $n)",
    "agents": "agents(first: $n)",
    "runs": "runs(first: $n)",
}
READ_FROM_THE_PARENT = (Kind.COLUMN, Kind.COMPUTED, Kind.CONTEXTUAL)
# Types that no list of Query leads to. One that is missing here and in the walk is a mistake.
SINGLE = {"AgentCommand", "ExecutionStatus", "Query", "Mutation", "Subscription", "Viewer", "Health", "Summary"}


@dataclass(frozen=True)
class Case:
    """A field, and the way to it from a root: names of fields."""

    parent: str
    field: str
    way: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.parent}.{self.field}"

    def document(self) -> str:
        """The field of all parents."""
        parent = SCHEMA.type_map[self.parent]
        assert isinstance(parent, GraphQLObjectType)
        inner = _call(parent.fields[self.field], self.field) + _selection(parent.fields[self.field])
        at: Any = SCHEMA.query_type
        opening = []
        for name in self.way:
            opening.append(ROOTS.get(name) if at is SCHEMA.query_type else _call(at.fields[name], name))
            at = get_named_type(at.fields[name].type)
        return f"query Count($n: Int!) {{ {' { '.join(map(str, opening))} {{ {inner} {'}' * len(opening)} }}"

    def values(self, data: dict[str, Any]) -> list[Any]:
        """What the answer has under the field, of all parents."""
        found: list[Any] = [data]
        for name in (*self.way, self.field):
            found = [value[name] for value in found]
            found = [entry for value in found for entry in (value if isinstance(value, list) else [value])]
        return found


def _is_page(name: str) -> bool:
    return name.endswith(("Connection", "Edge")) or name == "PageInfo"


def _call(field: GraphQLField, name: str) -> str:
    return f"{name}(first: 2)" if "first" in field.args else name


def _selection(field: GraphQLField) -> str:
    """All leaves below a field, through pages to their rows, no further."""
    target = get_named_type(field.type)
    if not is_composite_type(target):
        return ""
    if not isinstance(target, GraphQLObjectType | GraphQLInterfaceType):
        return " { __typename }"
    chosen = ["__typename"]
    for name, below in target.fields.items():
        if any(map(is_required_argument, below.args.values())):
            continue
        if not is_composite_type(get_named_type(below.type)) or _is_page(target.name):
            chosen.append(name + _selection(below))
    return " { " + " ".join(chosen) + " }"


def _walk() -> Iterator[Case]:
    """Every field of every type that the lists lead to, by the shortest way."""
    query = SCHEMA.query_type
    assert query is not None
    seen: set[str] = set()
    waiting: deque[tuple[str, tuple[str, ...]]] = deque(
        (get_named_type(query.fields[name].type).name, (name,)) for name in ROOTS
    )
    while waiting:
        name, way = waiting.popleft()
        if name in seen:
            continue
        seen.add(name)
        parent = SCHEMA.type_map[name]
        assert isinstance(parent, GraphQLObjectType), f"{name}: give the walk a way through interfaces and unions"
        for field_name, field in parent.fields.items():
            yield Case(name, field_name, way)
            target = get_named_type(field.type)
            if is_composite_type(target):
                waiting.append((target.name, (*way, field_name)))


CASES = list(_walk())


def _is_read(case: Case) -> bool:
    parent = SCHEMA.type_map[case.parent]
    assert isinstance(parent, GraphQLObjectType)
    declaration = declaration_of(parent.fields[case.field])
    return declaration is None or declaration.kind not in READ_FROM_THE_PARENT


def test_the_walk_reaches_every_type() -> None:
    members = {
        member.name
        for operation in (SCHEMA.mutation_type, SCHEMA.subscription_type)
        for field in (operation.fields.values() if operation else ())
        if is_union_type(union := get_named_type(field.type))
        for member in SCHEMA.get_possible_types(union)
    }
    every = {
        name
        for name, type_ in SCHEMA.type_map.items()
        if isinstance(type_, GraphQLObjectType) and not name.startswith("__")
    }
    assert {case.parent for case in CASES} == every - SINGLE - members


async def _count(server: Server, document: str, **variables: Any) -> tuple[int, dict[str, Any]]:
    before = server.statement_count
    data = await server.query(document, **variables)
    return server.statement_count - before, data


@pytest.mark.parametrize("case", [case for case in CASES if _is_read(case)], ids=str)
async def test_a_field_of_many_parents(filled: Server, case: Case) -> None:
    document = case.document()
    for_one, _ = await _count(filled, document, n=1)
    for_many, data = await _count(filled, document, n=50)
    assert for_one == for_many
    values = case.values(data)
    assert None not in values
    assert "nodes" not in case.way or len(values) >= 50


async def test_the_board(filled: Server) -> None:
    document = (OPERATIONS / "TaskBoard.graphql").read_text()
    counts = {n: (await _count(filled, document, first=n))[0] for n in (1, 50)}
    print(f"TaskBoard: {counts[1]} statements for 1 task, {counts[50]} for 50")  # noqa: T201 - shown by pytest -s
    assert counts[1] == counts[50] == 3  # tasks with agents and conversations, their number, projects


def _family(name: str, size: int) -> Batch:
    """A task, and a conversation, with so many of everything."""
    shared = {"status": "RUNNING", "agent_name": "agent", "host": "host"}
    batch = Batch(
        agents=[AgentRecord("agent", "host")],
        conversations=[ConversationRecord(ORIGIN, name, START, START)],
        tasks=[TaskRecord(ORIGIN, name, "API", START, START, **shared)],  # type: ignore[arg-type]
    )
    for n in range(size):
        child = TaskRecord(
            ORIGIN,
            f"{name}{n}",
            "API",
            START,
            START,
            parent=ref(name),
            conversation=ref(name),
            **shared,  # type: ignore[arg-type]
        )
        batch.tasks.append(child)
        batch.logs.append(LogRecord(ref(name), START, "INFO", "STDOUT", "line"))
        batch.tool_calls.append(ToolCallRecord(ref(name), str(n), "Bash", START))
        batch.messages.append(MessageRecord(ref(name), "USER", START, "text", str(n), task=ref(f"{name}{n}")))
    return batch


async def test_a_task_and_a_conversation_with_long_lists(server: Server) -> None:
    detail, thread = ((OPERATIONS / f"{name}.graphql").read_text() for name in ("TaskDetail", "ConversationThread"))
    counts = []
    for name, size in (("short", 1), ("long", 50)):
        applied = await server.write(_family(name, size))
        task_id = show_id("task", applied.task_ids[ORIGIN, name])
        talk_id = show_id("conversation", applied.conversation_ids[ORIGIN, name])
        for_task, task = await _count(server, detail, id=task_id)
        for_talk, talk = await _count(server, thread, id=talk_id, tasks=100)
        assert [len(task["task"][name]["nodes"]) for name in ("children", "logs", "toolCalls")] == [size] * 3
        assert [len(talk["conversation"][name]["nodes"]) for name in ("messages", "tasks")] == [size] * 2
        counts.append((for_task, for_talk))
    assert counts[0] == counts[1]
    print(f"TaskDetail: {counts[0][0]} statements, ConversationThread: {counts[0][1]}")  # noqa: T201
