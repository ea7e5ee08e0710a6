"""Documents to answers: parse, measure and validate once, check scopes and cost, execute in time, describe errors.

execution.plans executes: compiled plans, with graphql-core behind them (docs/adr/0007). Knows nothing of transports.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_operation_ast,
    parse,
    validate,
    visit,
)

from execution.aside import Aside
from execution.cost import Cost, cost_of
from execution.deadlines import Deadlines
from execution.declarations import Context, scope_of
from execution.introspection import introspects_only
from execution.kept import Kept
from execution.limits import SMALL_DOCUMENT, LimitExceeded, Limits, check_document, count_values, explained
from execution.plans.service import EventPlan, Operation
from execution.plans.service import Executor as PlanExecutor
from execution.sharing import Feed, feed_of

logger = logging.getLogger(__name__)

MAX_DOCUMENTS = 1_000  # prepared operations kept
MAX_TOKENS = 30_000  # of all that are kept: 200 operations of ours; a collection of garbage looks at 4 objects for each
LARGE_DOCUMENT = 1_000  # characters; preparing a shorter one takes up to 15 ms, the largest 70 ms
MAX_ERRORS = 5  # validation stops there: more help nobody, and one with suggestions costs up to 5 ms
MAX_MESSAGE = 1_000  # characters; graphql-core's repeat what was sent, up to a megabyte
MAX_ERRORS_LARGE = 2  # in a large document an error without suggestions costs up to 12 ms

OUTAGE_S = 0.25  # between two looks at whether an outage has ended
AWAY = "The database is away for a moment; try again."

DescribeError = Callable[[BaseException], dict[str, Any] | None]


class RequestErrors(Exception):
    """The request cannot be executed; `errors` are GraphQL-formatted, and the answer has no data key."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


class _Outage(Exception):
    """What an event shows cannot be read for now."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation that is known to be valid."""

    document: DocumentNode
    operation_name: str | None
    operation_type: str  # query, mutation, subscription
    scopes: frozenset[str]  # the union over its fields
    cost: Cost
    operation: Operation  # with its plans
    feed: Feed | None  # what it says about sharing, if it subscribes


def request_error(message: str, code: str, **extensions: Any) -> RequestErrors:
    """One request error with a code."""
    return RequestErrors([{"message": message, "extensions": {"code": code, **extensions}}])


class Operations:
    """Runs the operations of one schema.

    `describe_error` gives message and extensions of failures that clients may see; any other is masked and logged
    under an id that the client gets too. Without `plans`, graphql-core alone executes; `fallbacks` counts what it had
    to do beside them, by reason. An event that cannot be shown because of what `is_outage` knows waits for its end.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        describe_error: DescribeError,
        limits: Limits | None = None,
        *,
        plans: bool = True,
        is_outage: Callable[[BaseException | None], bool] = lambda _: False,
    ) -> None:
        self.schema = schema
        self._is_outage = is_outage
        self._executor = PlanExecutor(schema, plans=plans)
        self.fallbacks = self._executor.fallbacks
        self.limits = limits or Limits()
        self._deadlines = Deadlines(self.limits.seconds)
        self._aside = Aside()
        self._turn = asyncio.Lock()
        self._describe_error = describe_error
        self._prepared: Kept[Prepared] = Kept(MAX_DOCUMENTS, MAX_TOKENS)
        self._preparing: dict[tuple[str, str | None], asyncio.Task[Prepared]] = {}

    def prepare(self, query: str, operation_name: str | None = None) -> Prepared:
        """Parse and validate, or find what was prepared before. Raises RequestErrors."""
        key = (query, operation_name)
        prepared = self._prepared.get(key)
        return prepared or self._keep(key, self._prepare(query, operation_name))

    async def prepare_aside(self, query: str, operation_name: str | None = None) -> Prepared:
        """As `prepare`, but documents that are new keep nobody else waiting. Raises RequestErrors."""
        key = (query, operation_name)
        prepared = self._prepared.get(key)
        if prepared is not None:
            return prepared
        if not LARGE_DOCUMENT < len(query) <= self.limits.document:
            async with self._turn:  # of many new ones that come together, one in a turn of the loop
                await asyncio.sleep(0)
                return self.prepare(query, operation_name)
        task = self._preparing.get(key)
        if task is None:
            task = self._preparing[key] = asyncio.create_task(self._aside.run(self._prepare, query, operation_name))
            task.add_done_callback(lambda done: self._prepared_aside(key, done))
        return self._keep(key, await asyncio.shield(task))  # others may wait for it too

    def _prepared_aside(self, key: tuple[str, str | None], done: asyncio.Task[Prepared]) -> None:
        del self._preparing[key]
        if not done.cancelled():
            done.exception()  # asked for here: those who waited may have gone

    def _keep(self, key: tuple[str, str | None], prepared: Prepared) -> Prepared:
        return self._prepared.put(key, prepared, prepared.document.token_count)

    def _prepare(self, query: str, operation_name: str | None) -> Prepared:
        document = self._parse(query)
        if errors := self._validate(document):
            raise RequestErrors([_formatted(error, "GRAPHQL_VALIDATION_FAILED") for error in errors])
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            raise request_error(_which_operation(document, operation_name), "OPERATION_RESOLUTION_FAILURE")
        try:
            introspects = introspects_only(self.schema, document, operation, self.limits)
        except LimitExceeded as error:
            raise request_error(str(error), error.code, **error.extensions) from None
        return Prepared(
            document,
            operation_name,
            operation.operation.value,
            self._scopes(document),
            cost_of(self.schema, document, operation),
            Operation(document, operation, introspects=introspects),
            feed_of(self.schema, document),
        )

    def _parse(self, query: str) -> DocumentNode:
        """The document, when it is within its limits."""
        limits = self.limits
        if len(query) > limits.document:
            text = f"The document has {len(query)} characters, at most {limits.document} are taken: use variables."
            raise request_error(text, "DOCUMENT_TOO_LARGE", limit=limits.document, found=len(query))
        try:
            document = parse(query, max_tokens=limits.tokens)
            check_document(document, limits)
        except GraphQLError as error:
            if "more than" in error.message and "tokens" in error.message:
                text = f"At most {limits.tokens} tokens; send several operations."
                raise request_error(text, "TOO_MANY_TOKENS", limit=limits.tokens) from None
            raise RequestErrors([_formatted(error, "GRAPHQL_PARSE_FAILED")]) from None
        except LimitExceeded as error:
            raise request_error(str(error), error.code, **error.extensions) from None
        except RecursionError:
            raise request_error("The document is nested too deeply.", "GRAPHQL_PARSE_FAILED") from None
        return document

    def _validate(self, document: DocumentNode) -> list[GraphQLError]:
        large = document.token_count > SMALL_DOCUMENT
        most = MAX_ERRORS_LARGE if large else MAX_ERRORS
        return explained(validate(self.schema, document, max_errors=most, hide_suggestions=large))

    def _scopes(self, document: DocumentNode) -> frozenset[str]:
        """The scopes of all fields of the document, unused fragments included: those are refused by validation."""
        types = TypeInfo(self.schema)
        scopes: set[str] = set()

        class Collect(Visitor):
            def enter_field(self, node: FieldNode, *_: Any) -> None:
                parent, field = types.get_parent_type(), types.get_field_def()
                if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) and field is not None:
                    scope = scope_of(parent, field)
                    if scope is not None and not node.name.value.startswith("__"):
                        scopes.add(scope)

        visit(document, TypeInfoVisitor(types, Collect()))
        return frozenset(scopes)

    def check(self, prepared: Prepared, scopes: frozenset[str]) -> None:
        """Raise RequestErrors when the document asks for a scope that the viewer does not have."""
        missing = sorted(prepared.scopes - scopes)
        if missing:
            needed = ", ".join(missing)
            raise request_error(f"This operation needs the scope {needed}.", "FORBIDDEN", scopes=missing)

    def check_cost(self, prepared: Prepared, variables: dict[str, Any] | None) -> int:
        """The cost of the operation. Raises RequestErrors when it, or the number of variables, is over its limit."""
        limits = self.limits
        if variables and count_values(variables, limits.values) > limits.values:
            text = f"The variables hold more than {limits.values} values; send several operations."
            raise request_error(text, "TOO_MANY_VALUES", limit=limits.values)
        requested = prepared.cost.of(variables)
        if requested > limits.cost:
            text = (
                f"The answer could hold {requested} objects, at most {limits.cost} are allowed:"
                " ask for shorter pages, or for inner lists in an operation of their own."
            )
            raise request_error(text, "TOO_EXPENSIVE", cost={"requested": requested, "limit": limits.cost})
        return requested

    async def execute(self, prepared: Prepared, variables: dict[str, Any] | None, context: Context) -> dict[str, Any]:
        """Run a query or mutation. Raises RequestErrors when the variables do not fit, or it costs too much."""
        self.check_cost(prepared, variables)
        return await self._run(prepared, variables, context, None)

    async def _run(
        self, prepared: Prepared, variables: dict[str, Any] | None, context: Context, root: Any
    ) -> dict[str, Any]:
        try:
            with self._deadlines:
                answer = await self._executor.execute(prepared.operation, variables, context, root)
        except TimeoutError:
            return {"data": None, "errors": [self._timeout()]}
        if root is not None and any(self._is_outage(_cause(error)) for error in answer.errors or ()):
            raise _Outage
        if answer.data is None and answer.errors and all(not error.path for error in answer.errors):
            raise RequestErrors([self.shown(error, "BAD_USER_INPUT") for error in answer.errors])
        shown: dict[str, Any] = {"data": answer.data}
        if answer.errors:
            shown["errors"] = [self.shown(error) for error in answer.errors]
        return shown

    async def event_plan(self, prepared: Prepared, variables: dict[str, Any] | None) -> EventPlan | None:
        """What shows a subscription's events fast, if anything does."""
        return await self._executor.for_events(prepared.operation, variables)

    async def show(
        self,
        prepared: Prepared,
        variables: dict[str, Any] | None,
        make_context: Callable[[], Context],
        events: list[Any],
        plan: EventPlan | None,
    ) -> list[dict[str, Any]]:
        """The results of a subscription's events, together where that can be.

        Where something is read in a context of their own, so that nothing that was loaded for one is shown in the next.
        """
        found = None
        if plan is not None and not plan.reads:
            found = plan.show_now(make_context, events)
        elif plan is not None:
            with contextlib.suppress(TimeoutError), self._deadlines:
                found = await plan.show(make_context(), events)
        if found is not None:
            return [{"data": data} for data in found]
        return [await self._show_one(prepared, variables, make_context, event) for event in events]

    async def _show_one(
        self, prepared: Prepared, variables: dict[str, Any] | None, make_context: Callable[[], Context], event: Any
    ) -> dict[str, Any]:
        """The result of an event: a database that restarts must not take its content."""
        while True:
            try:
                return await self._run(prepared, variables, make_context(), event)
            except _Outage:
                await asyncio.sleep(OUTAGE_S)

    def _timeout(self) -> dict[str, Any]:
        text = f"This took longer than {self.limits.seconds:g} s and was stopped; ask for less at a time."
        return {"message": text, "extensions": {"code": "TIMEOUT"}}

    def shown(self, error: GraphQLError, code: str | None = None) -> dict[str, Any]:
        """The error as the client may see it."""
        original = _cause(error)
        if original is None or isinstance(original, GraphQLError):
            return _formatted(error, code or "BAD_USER_INPUT")
        described = self._timeout() if isinstance(original, TimeoutError) else self._describe_error(original)
        if described is None and self._is_outage(original):
            logger.warning("not answered at %s: %s: %s", error.path, type(original).__name__, original)
            described = {"message": AWAY, "extensions": {"code": "UNAVAILABLE"}}
        if described is None:
            reference = secrets.token_hex(8)
            logger.error("unexpected error %s at %s", reference, error.path, exc_info=original)
            described = {
                "message": f"Something went wrong here; the server's log has the details under {reference}.",
                "extensions": {"code": "INTERNAL", "id": reference},
            }
        formatted: dict[str, Any] = dict(error.formatted)
        return {**formatted, **described}


def _cause(error: GraphQLError) -> BaseException | None:
    original: BaseException | None = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    return original


def encode(value: Any) -> str:
    """JSON text."""
    return encoded(value).decode()


def encoded(value: Any) -> bytes:
    """JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Lone surrogates and integers over 64 bits: what the strict encoder refuses, this one writes.
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _formatted(error: GraphQLError, code: str) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    formatted["extensions"] = {"code": code, **(formatted.get("extensions") or {})}
    if len(error.message) > MAX_MESSAGE:
        formatted["message"] = error.message[:MAX_MESSAGE] + "…"
    return formatted


def _which_operation(document: DocumentNode, operation_name: str | None) -> str:
    names = [
        definition.name.value
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode) and definition.name
    ]
    if operation_name is not None:
        return f"The document has no operation named {operation_name!r}; it has {', '.join(names) or 'none'}."
    return f"The document has several operations ({', '.join(names)}): name one in operationName."
