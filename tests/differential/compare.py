"""Runs a document by a plan and by graphql-core, and says in what the answers differ."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, get_operation_ast, parse, validate

from db.database import Database
from db.pages import EventPosition
from domain.ids import parse_id
from execution.plans.plan import Plan
from execution.plans.service import Executor, Operation
from resolvers.context import SCOPES, Viewer
from resolvers.live_tasks import TaskChange, TaskLeave
from schema.errors import describe_error
from tests.differential.documents import SCHEMA, Document
from tests.differential.faults import Faults, FaultyDatabase, Silent, Surroundings

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Differs(AssertionError):
    """Plan and graphql-core do not agree."""


@dataclass
class Judge:
    """Compares; counts what it has seen."""

    database: Database
    ids: dict[str, list[str]]
    # Faults go by statements: with them, both read by the same ones.
    apart: Executor = field(default_factory=lambda: Executor(SCHEMA, plans=True, joins=False))
    joined: Executor = field(default_factory=lambda: Executor(SCHEMA, plans=True))
    core: Executor = field(default_factory=lambda: Executor(SCHEMA, plans=False))
    known: dict[Any, Any] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    async def compare(self, document: Document, seed: int | None) -> None:
        """Run the document with the faults of a seed. Raises Differs."""
        parsed = parse(document.text)
        if validate(SCHEMA, parsed):
            self.seen["invalid"] += 1
            return
        definition = get_operation_ast(parsed)
        assert isinstance(definition, OperationDefinitionNode)
        operation = Operation(parsed, definition)
        event = self._event(seed) if document.live else None
        plans = self.joined if seed is None else self.apart
        before = plans.fallbacks.total() - plans.fallbacks["condition"]
        ours, theirs = self.context(seed), self.context(seed)
        planned = await plans.execute(operation, document.variables, ours, event)
        fell_back = plans.fallbacks.total() - plans.fallbacks["condition"] > before
        for plan in plans.plans_of(operation):  # faults go by statements, and these by what the plan reads
            theirs = theirs.narrowed(plan.rows) if plan.rows else theirs
        judged = await self.core.execute(operation, document.variables, theirs, event)
        for error in judged.errors or ():
            if "was not read" in error.message:
                raise Differs(f"{error}\n{document.text}")
        self._count(fell_back, judged, seed)
        self.seen["without faults, joined"] += seed is None and any(map(joins, plans.plans_of(operation)))
        problem = difference(planned, judged)
        if ours.database.write_count != theirs.database.write_count:
            problem = f"written {ours.database.write_count} times, not {theirs.database.write_count}"
        if problem is None and fell_back and not judged.errors:
            problem = f"fell back without need: {plans.fallbacks}"
        if problem is not None:
            sources = "\n".join(plan.source for plan in plans.plans_of(operation))
            raise Differs(f"{problem}\nseed {seed}\n{document.text}\n{document.variables}\n{sources}")

    def context(self, seed: int | None) -> Any:
        """A context with the faults of a seed."""
        viewer = Viewer("test", frozenset(SCOPES))
        database = FaultyDatabase(self.database, self.known, Faults(seed))
        return Surroundings(viewer, database, lambda: NOW, Silent())

    def _event(self, seed: int | None) -> Any:
        task_id = parse_id("task", self.ids["task"][(seed or 0) % len(self.ids["task"])]) or UUID(int=0)
        position = EventPosition(self.database.epoch, "tasks", 7)
        if (seed or 0) % 5 == 4:
            return TaskLeave(position, NOW, task_id)
        return TaskChange(position, NOW, task_id, is_new=True)

    def _count(self, fell_back: bool, judged: ExecutionResult, seed: int | None) -> None:
        self.seen["documents"] += 1
        self.seen["with faults"] += seed is not None
        self.seen["with errors"] += bool(judged.errors)
        self.seen["without data"] += judged.data is None
        self.seen["by a plan alone"] += not fell_back
        self.seen["without faults"] += seed is None
        self.seen["without faults, by a plan alone"] += seed is None and not fell_back


def joins(plan: Plan) -> bool:
    """Whether it reads rows to one beside their parents."""
    return any("." in column for row in plan.rows.values() for column in row.columns)


def code(error: GraphQLError) -> str:
    """The code that a client gets."""
    original: Any = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if original is None or isinstance(original, GraphQLError):
        return "BAD_USER_INPUT"
    described = describe_error(original)
    return "INTERNAL" if described is None else str(described["extensions"]["code"])


def told(result: ExecutionResult) -> set[tuple[Any, ...]]:
    """The errors as a set: graphql-core orders them by the time they come."""
    return {
        (tuple(error.path or ()), error.message, code(error), str(error.locations)) for error in result.errors or ()
    }


def difference(planned: ExecutionResult, judged: ExecutionResult) -> str | None:
    """In what two answers differ; None when they do not."""
    ours, theirs = orjson.dumps(planned.data), orjson.dumps(judged.data)
    if ours != theirs:
        return f"data:\n{ours.decode()}\n{theirs.decode()}"
    if told(planned) == told(judged):
        return None
    if _seen(planned) == _seen(judged):
        return None
    return f"errors:\n{sorted(map(str, told(planned)))}\n{sorted(map(str, told(judged)))}"


def _seen(result: ExecutionResult) -> set[tuple[Any, ...]]:
    """The errors; of those below a null that one of them has made, only the null's place.

    Which of several are told there depends on which came first, in graphql-core too.
    """
    found = set()
    for error in told(result):
        place = _null(result.data, error[0])
        found.add(error if len(place) == len(error[0]) else (place,))
    return found


def _null(data: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The first null on the way of a path."""
    found: list[Any] = []
    for step in path:
        if data is None:
            break
        data = data[step]
        found.append(step)
    return tuple(found)
