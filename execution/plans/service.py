"""Decides between plan and graphql-core: a plan goes first.

graphql-core serves what no plan covers, and finishes what a plan could not complete exactly, from what the plan has
read already: no resolver and no batch function runs twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
)
from strawberry.execution import optimized_is_awaitable

from execution.aside import Aside
from execution.declarations import Context, Scope
from execution.limits import count_values
from execution.plans.arguments import Given, Variables
from execution.plans.fallbacks import Fallbacks
from execution.plans.leaves import Anomaly
from execution.plans.plan import Plan
from execution.plans.run import EventRun, Resumed, Run
from execution.plans.selections import Uncovered, condition_variables

logger = logging.getLogger(__name__)

MAX_SOURCE = 4_000_000  # characters of all plans that are kept: 500 of ours; compiled, one is some 11 bytes: 44 MiB
LARGE_OPERATION = 500  # tokens; compiling a smaller one takes up to 20 ms, the largest 80 ms
LARGE_VARIABLES = 1_000  # values; coercing and converting one takes 5 µs
MAX_FALLBACKS = 8  # queries on graphql-core at a time: each may hold the loop for tens of milliseconds


class Operation:
    """An operation of a valid document."""

    def __init__(
        self, document: DocumentNode, definition: OperationDefinitionNode, *, introspects: bool = False
    ) -> None:
        self.document = document
        self.definition = definition
        self.introspects = introspects  # and does nothing else
        self.conditions = condition_variables(document)
        self.variables: Variables | None = None  # how they are coerced, once they have been
        self.uncovered: Uncovered | None = None  # why no plan serves it
        self.told: set[str] = set()  # why graphql-core had to run it, as far as the log has it


class EventPlan:
    """A subscription's plan with its variables, for all its events; `reads` when showing them awaits anything."""

    __slots__ = ("_given", "_idle", "_plan", "reads")

    def __init__(self, plan: Plan, given: Given) -> None:
        self._plan = plan
        self._given = given
        self._idle: EventRun | None = None  # where nothing is read one serves all events: it remembers nothing
        self.reads = plan.reads_for_events

    async def show(self, context: Context, events: list[Any]) -> list[dict[str, Any]] | None:
        """The data of events, read for all of them together; None when they must be executed one by one."""
        try:
            return await self._plan.execute_events(self._run(context), events)
        except Exception:  # whatever it is, it is told for the event that it belongs to
            return None

    def show_now(self, make_context: Callable[[], Context], events: list[Any]) -> list[dict[str, Any]] | None:
        """The same, where nothing is read."""
        run = self._idle
        if run is None:
            run = self._idle = self._run(make_context())
        try:
            return self._plan.execute_events_now(run, events)
        except Exception:
            return None

    def _run(self, context: Context) -> EventRun:
        plan = self._plan
        return EventRun(context.narrowed(plan.rows) if plan.rows else context, self._given, plan.gathering)


class Executor:
    """Executes operations of one schema; `fallbacks` counts those that graphql-core had to run, by reason.

    Without `joins`, plans read by the same statements as graphql-core.
    """

    def __init__(self, schema: GraphQLSchema, *, plans: bool, joins: bool = True) -> None:
        self._schema = schema
        self._plans = plans
        self._joins = joins
        self._aside = Aside()
        self._turn = asyncio.Lock()
        self._kept: OrderedDict[tuple[Operation, tuple[Any, ...]], Plan] = OrderedDict()  # the last used at the end
        self._source_size = 0
        self._free = asyncio.Semaphore(MAX_FALLBACKS)
        self.fallbacks = Fallbacks()

    async def execute(
        self, operation: Operation, variables: dict[str, Any] | None, context: Context, event: Any = None
    ) -> ExecutionResult:
        """Run it once; `event` is what a subscription delivers, else None."""
        if not self._plans:
            return await self._core(operation, variables, Scope(context), event)
        aside = self._aside if variables and count_values(variables, LARGE_VARIABLES) > LARGE_VARIABLES else None
        given = await aside.run(self._given, operation, variables) if aside else self._given(operation, variables)
        if isinstance(given, list):
            return await self._core(operation, variables, Scope(context), event)  # tells the request's errors
        if operation.introspects:  # no resolver of ours is called, nothing is awaited
            self.fallbacks.note(operation.definition, "introspection", operation.told)
            return await self._aside.run(self._execute, operation, variables, Scope(context), None)
        try:
            plan = await self._plan_aside(operation, given.values.coerced)
        except Uncovered as uncovered:
            return await self._fall_back(operation, variables, Scope(context), event, str(uncovered))
        run = Run(context.narrowed(plan.rows) if plan.rows else context, given, aside)
        try:
            return await plan.execute(run, event)
        except Anomaly as anomaly:
            reason = str(anomaly)
        except Exception as error:
            reason = type(error).__name__
            logger.debug("a plan failed", exc_info=error)
        return await self._fall_back(operation, variables, Resumed(run), event, reason)

    async def for_events(self, operation: Operation, variables: dict[str, Any] | None) -> EventPlan | None:
        """What shows a subscription's events; None when they must be executed one by one."""
        given = self._given(operation, variables) if self._plans else []
        if isinstance(given, list):
            return None
        try:
            return EventPlan(await self._plan_aside(operation, given.values.coerced), given)
        except Uncovered:
            return None

    def _given(self, operation: Operation, variables: dict[str, Any] | None) -> Given | list[GraphQLError]:
        if operation.variables is None:
            operation.variables = Variables(self._schema, operation.definition)
        return operation.variables(variables or {})

    async def _plan_aside(self, operation: Operation, variables: Mapping[str, Any]) -> Plan:
        """As `plan`, but compiling keeps nobody else waiting."""
        conditions = tuple(map(variables.get, operation.conditions))
        known = self._known(operation, conditions)
        if known is not None:
            return known
        if operation.document.token_count < LARGE_OPERATION:
            async with self._turn:  # of many new ones that come together, one in a turn of the loop
                await asyncio.sleep(0)
                return self.plan(operation, variables)
        return self._keep(operation, conditions, await self._aside.run(self._compile, operation, conditions))

    def plan(self, operation: Operation, variables: Mapping[str, Any]) -> Plan:
        """The plan for these coerced variables, compiled at first sight. Raises Uncovered."""
        conditions = tuple(map(variables.get, operation.conditions))
        known = self._known(operation, conditions)
        return known or self._keep(operation, conditions, self._compile(operation, conditions))

    def _known(self, operation: Operation, conditions: tuple[Any, ...]) -> Plan | None:
        if operation.uncovered is not None:
            raise operation.uncovered
        if None in conditions:
            raise Uncovered("condition")  # null where the specification wants a Boolean: an error
        plan = self._kept.get((operation, conditions))
        if plan is not None:
            self._kept.move_to_end((operation, conditions))
        return plan

    def _keep(self, operation: Operation, conditions: tuple[Any, ...], plan: Plan) -> Plan:
        """Keep a plan that was just compiled, or the one that somebody else has compiled meanwhile."""
        kept = self._kept.setdefault((operation, conditions), plan)
        if kept is plan:
            self._source_size += len(plan.source)
        while self._source_size > MAX_SOURCE and len(self._kept) > 1:
            self._source_size -= len(self._kept.popitem(last=False)[1].source)
        return kept

    def _compile(self, operation: Operation, conditions: tuple[Any, ...]) -> Plan:
        decided = dict(zip(operation.conditions, conditions, strict=True))
        try:
            return Plan(self._schema, operation.document, operation.definition, decided, joins=self._joins)
        except Uncovered as uncovered:
            operation.uncovered = uncovered
        except Exception:
            logger.exception("an operation cannot be compiled")
            operation.uncovered = Uncovered("compiler")
        raise operation.uncovered

    def plans_of(self, operation: Operation) -> list[Plan]:
        """The plans of an operation that are kept."""
        return [plan for (owner, _), plan in self._kept.items() if owner is operation]

    async def _fall_back(
        self,
        operation: Operation,
        variables: dict[str, Any] | None,
        scope: Scope,
        event: Any,
        reason: str,
    ) -> ExecutionResult:
        self.fallbacks.note(operation.definition, reason, operation.told)
        if operation.definition.operation is not OperationType.QUERY:
            return await self._core(operation, variables, scope, event)
        async with self._free:
            return await self._core(operation, variables, scope, event)

    async def _core(
        self, operation: Operation, variables: dict[str, Any] | None, scope: Scope, event: Any
    ) -> ExecutionResult:
        try:
            result = self._execute(operation, variables, scope, event)
            return result if isinstance(result, ExecutionResult) else await result
        finally:
            scope.close()

    def _execute(self, operation: Operation, variables: dict[str, Any] | None, scope: Scope, event: Any) -> Any:
        name = operation.definition.name
        return execute(
            self._schema,
            operation.document,
            root_value=event,
            context_value=scope,
            variable_values=variables,
            operation_name=name.value if name else None,
            middleware=[scope] if isinstance(scope, Resumed) else None,
            is_awaitable=cast(Any, optimized_is_awaitable),
        )
