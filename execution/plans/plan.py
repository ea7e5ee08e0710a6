"""Runs a compiled plan: root fields are resolved, everything below them by generated functions.

Errors of root fields are told here; any other deviation from the usual raises Anomaly, and graphql-core finishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    located_error,
)

from execution.declarations import Failure
from execution.plans.compiler import Compiler
from execution.plans.gathering import Gathering
from execution.plans.leaves import Anomaly
from execution.plans.parts import Root
from execution.plans.run import Run, together
from execution.plans.selections import Selections
from execution.plans.values import Unjoined


class Plan:
    """One operation, compiled for given values of the variables in its conditions."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        conditions: Mapping[str, bool],
        *,
        joins: bool,
    ) -> None:
        """Raises Uncovered."""
        fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        selections = Selections(schema, operation, fragments, conditions)
        try:
            compiled = Compiler(selections, joins=joins).compile()
        except Unjoined:
            compiled = Compiler(selections, joins=False).compile()
        self.source = compiled.source
        self.constants = compiled.constants
        self.rows = compiled.rows
        self.gathering = Gathering()  # for the events of all who subscribe by it
        self._roots = compiled.roots
        self._type = operation.operation

    async def execute(self, run: Run, event: Any = None) -> ExecutionResult:
        """Run it; `event` is what a subscription delivers. Raises Anomaly."""
        if self._type is OperationType.QUERY:
            return await self._execute_query(run)
        data: dict[str, Any] = {}
        errors: list[GraphQLError] = []
        for root in self._roots:  # of a mutation: in order, each one to its end
            if root.declaration is None:
                data[root.key] = root.constant
                continue
            if self._type is OperationType.SUBSCRIPTION:
                run.outcomes[root.key] = event
            else:
                await _resolve(root, run)
            error = _failure(root, run)
            if error is None:
                data[root.key] = await _complete(root, run)
                continue
            errors.append(error)
            if not root.nullable:
                return ExecutionResult(None, errors)
            data[root.key] = None
        return ExecutionResult(data, errors or None)

    @property
    def reads_for_events(self) -> bool:
        """Whether showing a subscription's events awaits anything."""
        return any(root.is_async for root in self._roots)

    async def execute_events(self, run: Run, events: list[Any]) -> list[dict[str, Any]]:
        """The data of a subscription's events: what they show is read for all of them together. Raises Anomaly."""
        root, completed = self._complete_events(run, events)
        return [{root.key: value} for value in (await completed if root.is_async else completed)]

    def execute_events_now(self, run: Run, events: list[Any]) -> list[dict[str, Any]]:
        """The same, where nothing is read. Raises Anomaly."""
        root, completed = self._complete_events(run, events)
        return [{root.key: value} for value in completed]

    def _complete_events(self, run: Run, events: list[Any]) -> tuple[Root, Any]:
        root = self._roots[0]
        if len(self._roots) != 1 or root.complete is None:
            raise Anomaly("root")
        return root, root.complete(events, run)

    async def _execute_query(self, run: Run) -> ExecutionResult:
        roots = [root for root in self._roots if root.declaration is not None]
        if len(roots) == 1:
            found = [await _answer(roots[0], run)]
        else:
            found = await together(*[_answer(root, run) for root in roots]) if roots else []
        errors = [error for root in roots if (error := _failure(root, run)) is not None]
        if errors and any(not root.nullable and _failure(root, run) for root in roots):
            if len(roots) > 1:
                raise Anomaly("several-roots")  # graphql-core says which errors are told
            return ExecutionResult(None, errors)
        answers = dict(zip([root.key for root in roots], found, strict=True))
        data = {root.key: root.constant if root.declaration is None else answers[root.key] for root in self._roots}
        return ExecutionResult(data, errors or None)


async def _answer(root: Root, run: Run) -> Any:
    """A root field's data; None when it failed."""
    await _resolve(root, run)
    return None if isinstance(run.outcomes[root.key], Exception) else await _complete(root, run)


async def _resolve(root: Root, run: Run) -> None:
    """Call the root field's resolver, and keep what came of it."""
    declaration, arguments = root.declaration, root.arguments
    if declaration is None or declaration.resolve is None or arguments is None:
        raise Anomaly("root")
    try:
        given = await run.aside.run(arguments, run.variables) if run.aside else arguments(run.variables)
        run.outcomes[root.key] = await declaration.resolve(run.context, given)
    except declaration.expected as error:
        run.outcomes[root.key] = Failure(error)
    except Exception as error:
        run.outcomes[root.key] = error


async def _complete(root: Root, run: Run) -> Any:
    if root.complete is None:
        raise Anomaly("root")
    completed = root.complete([run.outcomes[root.key]], run)
    return (await completed if root.is_async else completed)[0]


def _failure(root: Root, run: Run) -> GraphQLError | None:
    outcome = run.outcomes.get(root.key)
    return located_error(outcome, list(root.nodes), [root.key]) if isinstance(outcome, Exception) else None
