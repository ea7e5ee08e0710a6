"""How plans and graphql-core share the work: what is planned, what falls back, and that nothing runs twice."""

import asyncio
import time
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    ExecutionResult,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    OperationDefinitionNode,
    OperationType,
    get_named_type,
    get_operation_ast,
    is_composite_type,
    parse,
    validate,
)
from graphql.utilities import get_introspection_query

from db.models import base
from db.models.base import MAX_NARROW, Row
from execution.plans import service
from execution.plans.service import Executor, Operation
from tests.differential.compare import Judge
from tests.differential.documents import SCHEMA

FOLDER = Path(__file__).parents[2] / "graphql" / "operations"
TEXTS = {path.stem: path.read_text() for path in sorted(FOLDER.iterdir())}


def operation_of(text: str) -> Operation:
    document = parse(text)
    assert validate(SCHEMA, document) == []
    definition = get_operation_ast(document)
    assert isinstance(definition, OperationDefinitionNode)
    return Operation(document, definition)


class Read:
    """The reader, and how often each statement ran."""

    def __init__(self, reader: Any, failing: str | None = None, slow: str | None = None) -> None:
        self._reader = reader
        self._failing = failing
        self._slow = slow
        self.epoch = reader.epoch
        self.statements: Counter[str] = Counter()

    async def fetch(self, statement: Any, *values: Any) -> list[Any]:
        self.statements[statement.sql] += 1
        sql = statement.sql.replace("\n", " ") + " "
        if self._failing is not None and f"FROM {self._failing} " in sql:
            await asyncio.sleep(0.05 if self._slow else 0)
            raise ConnectionError("lost")
        if self._slow is not None and f"FROM {self._slow} " in sql:
            await asyncio.sleep(0.2)
        return list(await self._reader.fetch(statement, *values))

    async def fetch_row(self, statement: Any, *values: Any) -> Any:
        return next(iter(await self.fetch(statement, *values)), None)


async def run(
    judge: Judge, text: str, failing: str | None = None, **variables: Any
) -> tuple[ExecutionResult, Executor, Read]:
    executor = Executor(SCHEMA, plans=True)
    context = judge.context(None)
    context.database.read = read = Read(context.database.read, failing)
    return await executor.execute(operation_of(text), variables, context), executor, read


@pytest.mark.parametrize("name", TEXTS)
def test_an_operation_has_a_plan(name: str) -> None:
    executor = Executor(SCHEMA, plans=True)
    operation = operation_of(TEXTS[name])
    plan = executor.plan(operation, dict.fromkeys(operation.conditions, True))
    assert "def " in plan.source


def selection(type_: Any, levels: int) -> str:
    """Every field of a type, so many levels down."""
    if not isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType):
        return ""
    found = ["__typename"]
    if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType):
        found += [f"... on {member.name}{selection(member, levels)}" for member in SCHEMA.get_possible_types(type_)]
    else:
        for name, field in type_.fields.items():
            target = get_named_type(field.type)
            if levels > 1 or not is_composite_type(target):
                found.append(name + selection(target, levels - 1))
    return f" {{ {' '.join(found)} }}"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind, type_ in (
            ("query", SCHEMA.query_type),
            ("mutation", SCHEMA.mutation_type),
            ("subscription", SCHEMA.subscription_type),
        )
        for name in (type_.fields if type_ else ())
    ],
)
def test_every_field_of_the_schema_has_a_place_in_plans(kind: str, name: str) -> None:
    """A new kind of declaration has to be taught to the compiler."""
    root = SCHEMA.get_root_type(OperationType(kind))
    assert root is not None
    document = parse(f"{kind} {{ {name}{selection(get_named_type(root.fields[name].type), 3)} }}")
    definition = get_operation_ast(document)
    assert definition is not None
    assert Executor(SCHEMA, plans=True).plan(Operation(document, definition), {}).source


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("TaskBoard", {}),
        ("AgentList", {}),
        ("Summary", {}),
        ("TaskDetail", {"id": "task"}),
        ("ConversationThread", {"id": "conversation"}),
        ("TaskLogPage", {"taskId": "task", "first": 2}),
    ],
)
async def test_a_query_runs_on_its_plan_alone(judge: Judge, name: str, variables: dict[str, Any]) -> None:
    values = {key: judge.ids[value][0] if value in judge.ids else value for key, value in variables.items()}
    result, executor, _ = await run(judge, TEXTS[name], **values)
    assert result.errors is None
    assert not executor.fallbacks


async def test_a_plan_reads_the_columns_that_it_shows(judge: Judge) -> None:
    text = "{ tasks(first: 2) { nodes { title durationMs conversation { title } logs(first: 2) { nodes { text } } } } }"
    result, executor, read = await run(judge, text)
    assert result.errors is None
    assert not executor.fallbacks
    statements = " ".join(sql.replace("\n", " ").partition(" FROM ")[0] for sql in read.statements)
    assert all(f".{name}" in statements for name in ("title", "content_access", "started_at", "ended_at", "text"))
    assert not any(f".{name}" in statements for name in ("external_id", "git_branch", "tags", "stream", "truncated"))


def test_statements_for_narrow_rows_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MAX_NARROW", MAX_NARROW)

    class Wide(Row):
        always = frozenset(("a",))

        a: int
        b: int
        c: int
        d: int
        e: int
        f: int
        g: int

    names = [name for name in Wide.columns if name != "a"]
    narrow = {Wide.narrow(some) for count in range(len(names)) for some in combinations(names, count)}
    assert len(narrow) == MAX_NARROW
    assert Wide in narrow  # what is over the limit reads all columns
    assert Wide.narrow("b").columns == ("a", "b")
    assert Wide.narrow(names) is Wide


async def test_introspection_is_graphql_core_s(judge: Judge) -> None:
    result, executor, _ = await run(judge, get_introspection_query())
    assert result.errors is None
    assert executor.fallbacks == {"introspection": 1}


async def test_a_failed_batch_is_not_read_again(judge: Judge) -> None:
    result, executor, read = await run(
        judge, "{ tasks(first: 3) { nodes { id agent { name } project { name } } } }", failing="projects"
    )
    assert executor.fallbacks == {"batch": 1}
    assert [sql for sql, times in read.statements.items() if times > 1] == []
    assert result.data is not None
    assert {str(error.original_error) for error in result.errors or ()} == {"lost"}
    assert all(task["id"] and task["project"] is None for task in result.data["tasks"]["nodes"])


async def test_an_error_takes_no_row_from_others_that_read_it_too(judge: Judge) -> None:
    """graphql-core cancels the siblings of a field that failed; what they were reading, others may wait for."""
    text = """query Both($id: ID!) {
              one: task(id: $id) { logs(first: 1) { nodes { text } } agent { name } }
              other: task(id: $id) { agent { name } } }"""
    found, _, _ = await run(judge, "{ agents(first: 1) { nodes { currentTasks(first: 1) { nodes { id } } } } }")
    assert found.data is not None
    wanted = found.data["agents"]["nodes"][0]["currentTasks"]["nodes"][0]["id"]
    context = judge.context(None)
    context.database.read = Read(context.database.read, failing="log_lines", slow="agents")
    result = await Executor(SCHEMA, plans=False).execute(operation_of(text), {"id": wanted}, context)
    assert [error.path for error in result.errors or ()] == [["one", "logs"]]
    assert result.data is not None
    assert result.data["one"] is None
    assert result.data["other"]["agent"]["name"]


async def test_a_failed_root_is_told_by_the_plan(judge: Judge) -> None:
    result, executor, _ = await run(judge, '{ tasks(first: 3, after: "foreign") { nodes { id } } }')
    assert result.data is None
    assert [error.path for error in result.errors or ()] == [["tasks"]]
    assert not executor.fallbacks


async def test_a_mutation_is_not_carried_out_again_when_its_selection_fails(judge: Judge) -> None:
    """The answer is finished by graphql-core from what the mutation has returned."""
    text = """mutation Made($id: ID!) { appendTaskLog(input: {taskId: $id, lines: [{text: "a"}]}) {
              ... on AppendTaskLogSuccess { lastSeq task { id agent { name } } } } }"""
    found, _, _ = await run(judge, "{ agents(first: 1) { nodes { currentTasks(first: 1) { nodes { id } } } } }")
    assert found.data is not None
    wanted = found.data["agents"]["nodes"][0]["currentTasks"]["nodes"][0]["id"]
    executor = Executor(SCHEMA, plans=True)
    context = judge.context(None)
    context.database.read = Read(context.database.read, failing="agents")
    result = await executor.execute(operation_of(text), {"id": wanted}, context)
    assert executor.fallbacks == {"batch": 1}
    assert context.database.write_count == 1
    assert result.data is not None
    assert result.data["appendTaskLog"]["task"]["id"] == wanted


async def test_as_many_plans_are_kept_as_there_is_room_for(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_SOURCE", 5_000)
    names = "abcd"
    text = (
        "query Q("
        + ", ".join(f"${name}: Boolean!" for name in names)
        + ") { health { "
        + " ".join(f"{name}: version @include(if: ${name})" for name in names)
        + " version } }"
    )
    executor, operation = Executor(SCHEMA, plans=True), operation_of(text)
    for number in range(2 ** len(names)):
        values = {name: bool(number >> place & 1) for place, name in enumerate(names)}
        result = await executor.execute(operation, values, judge.context(None))
        assert result.data is not None
        assert [name for name in names if name in result.data["health"]] == [name for name in names if values[name]]
    kept = executor.plans_of(operation)
    assert 2 < len(kept) < 2 ** len(names)
    assert sum(len(plan.source) for plan in kept) <= 5_000


def test_fragments_that_double_at_each_level_compile_in_linear_time() -> None:
    levels = 20
    spreads = "".join(
        f" fragment F{n} on Task {{ parentTask {{ ...F{n + 1} }} retryOf {{ ...F{n + 1} }} }}" for n in range(levels)
    )
    text = f"{{ task(id: 1) {{ ...F0 }} }}{spreads} fragment F{levels} on Task {{ id }}"
    operation = Operation(parse(text), parse(text).definitions[0])  # type: ignore[arg-type]
    started = time.process_time()
    plan = Executor(SCHEMA, plans=True).plan(operation, {})
    assert time.process_time() - started < 0.2
    assert len(plan.source) < 100_000
