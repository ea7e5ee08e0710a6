"""Documents to answers: parse, validate and measure once, check scopes, execute, describe errors.

graphql-core executes for now; compiled plans will stand in front of it (docs/adr). Knows nothing of transports.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    FieldNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    create_source_event_stream,
    execute,
    get_operation_ast,
    parse,
    validate,
    visit,
)
from strawberry.execution import optimized_is_awaitable

from execution.fields import Context, Scope, scope_of

logger = logging.getLogger(__name__)

MAX_DOCUMENTS = 1_000  # prepared operations kept; one is some 50 KiB, so 50 MiB at most
MAX_TOKENS = 2_000  # the largest of the common tools' documents (introspection) has under 300
MAX_ERRORS = 20  # validation stops there: more help nobody

DescribeError = Callable[[BaseException], dict[str, Any] | None]


class RequestErrors(Exception):
    """The request cannot be executed; `errors` are GraphQL-formatted, and the answer has no data key."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation that is known to be valid."""

    document: DocumentNode
    operation_name: str | None
    operation_type: str  # query, mutation, subscription
    scopes: frozenset[str]  # the union over its fields


def request_error(message: str, code: str, **extensions: Any) -> RequestErrors:
    """One request error with a code."""
    return RequestErrors([{"message": message, "extensions": {"code": code, **extensions}}])


class Operations:
    """Runs the operations of one schema.

    `describe_error` gives message and extensions of failures that clients may see; any other is masked and logged
    under an id that the client gets too.
    """

    def __init__(self, schema: GraphQLSchema, describe_error: DescribeError) -> None:
        self.schema = schema
        self._describe_error = describe_error
        self._prepared: OrderedDict[tuple[str, str | None], Prepared] = OrderedDict()

    def prepare(self, query: str, operation_name: str | None = None) -> Prepared:
        """Parse and validate, or find what was prepared before. Raises RequestErrors."""
        key = (query, operation_name)
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = self._prepare(query, operation_name)
            if len(self._prepared) > MAX_DOCUMENTS:
                self._prepared.popitem(last=False)
        else:
            self._prepared.move_to_end(key)
        return prepared

    def _prepare(self, query: str, operation_name: str | None) -> Prepared:
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            raise RequestErrors([_formatted(error, "GRAPHQL_PARSE_FAILED")]) from None
        except RecursionError:
            raise request_error("The document is nested too deeply.", "GRAPHQL_PARSE_FAILED") from None
        errors = validate(self.schema, document, max_errors=MAX_ERRORS)
        if errors:
            raise RequestErrors([_formatted(error, "GRAPHQL_VALIDATION_FAILED") for error in errors])
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            raise request_error(_which_operation(document, operation_name), "OPERATION_RESOLUTION_FAILURE")
        return Prepared(document, operation_name, operation.operation.value, self._scopes(document))

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

    async def execute(self, prepared: Prepared, variables: dict[str, Any] | None, context: Context) -> dict[str, Any]:
        """Run a query or mutation. Raises RequestErrors when the variables do not fit."""
        return await self._run(prepared, variables, context, None)

    async def _run(
        self, prepared: Prepared, variables: dict[str, Any] | None, context: Context, root: Any
    ) -> dict[str, Any]:
        result = execute(
            self.schema,
            prepared.document,
            root_value=root,
            context_value=Scope(context),
            variable_values=variables,
            operation_name=prepared.operation_name,
            is_awaitable=cast(Any, optimized_is_awaitable),
        )
        answer = result if isinstance(result, ExecutionResult) else await result
        if answer.data is None and answer.errors and all(not error.path for error in answer.errors):
            raise RequestErrors([self._shown(error, "BAD_USER_INPUT") for error in answer.errors])
        shown: dict[str, Any] = {"data": answer.data}
        if answer.errors:
            shown["errors"] = [self._shown(error) for error in answer.errors]
        return shown

    async def subscribe(
        self, prepared: Prepared, variables: dict[str, Any] | None, make_context: Callable[[], Context]
    ) -> AsyncIterator[dict[str, Any]]:
        """Start a subscription; iterate its results. Raises RequestErrors when it cannot start.

        Every event is executed in a context of its own, so that nothing loaded for one is shown in the next.
        """
        executor = Executor.build(
            self.schema, prepared.document, None, Scope(make_context()), variables, prepared.operation_name
        )
        if isinstance(executor, list):
            raise RequestErrors([self._shown(error, "BAD_USER_INPUT") for error in executor])
        stream: Any = create_source_event_stream(executor)
        source = await stream if optimized_is_awaitable(stream) else stream
        if isinstance(source, ExecutionResult):
            raise RequestErrors([self._shown(error, "BAD_USER_INPUT") for error in source.errors or ()])
        return self._results(prepared, variables, make_context, source)

    async def _results(
        self, prepared: Prepared, variables: dict[str, Any] | None, make_context: Callable[[], Context], source: Any
    ) -> AsyncIterator[dict[str, Any]]:
        async with aclosing(source):
            try:
                async for event in source:
                    yield await self._run(prepared, variables, make_context(), event)
            except GraphQLError as error:
                raise RequestErrors([self._shown(error)]) from None
            except Exception as error:
                raise RequestErrors([self._shown(GraphQLError(str(error), original_error=error))]) from None

    def _shown(self, error: GraphQLError, code: str | None = None) -> dict[str, Any]:
        """The error as the client may see it."""
        original = error.original_error
        while isinstance(original, GraphQLError) and original.original_error is not None:
            original = original.original_error
        if original is None or isinstance(original, GraphQLError):
            return _formatted(error, code or "BAD_USER_INPUT")
        described = self._describe_error(original)
        if described is None:
            reference = secrets.token_hex(8)
            logger.error("unexpected error %s at %s", reference, error.path, exc_info=original)
            described = {
                "message": f"Something went wrong here; the server's log has the details under {reference}.",
                "extensions": {"code": "INTERNAL", "id": reference},
            }
        formatted: dict[str, Any] = dict(error.formatted)
        return {**formatted, **described}


def _formatted(error: GraphQLError, code: str) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    formatted["extensions"] = {"code": code, **(formatted.get("extensions") or {})}
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
