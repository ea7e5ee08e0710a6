"""Subscriptions from documents: sources of events from the schema's feeds, and the frames of what they tell.

How one moves on, alone or with others, is following.py's; who may share, sharing.py's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Hashable
from typing import Any

from graphql import ExecutionResult, Executor, GraphQLError, create_source_event_stream
from strawberry.execution import optimized_is_awaitable

from execution.declarations import Context, Scope, Stand
from execution.following import Following, Frame, Group
from execution.operations import Operations, Prepared, RequestErrors, encoded
from execution.plans.service import EventPlan


async def subscribe(
    operations: Operations,
    prepared: Prepared,
    variables: dict[str, Any] | None,
    make_context: Callable[[], Context],
    scopes: frozenset[str],
    after: str | None = None,
) -> Following:
    """Start a subscription, which waits for its reader. Raises RequestErrors when it cannot start.

    `scopes` are the viewer's; `after` goes before the document's own.
    """
    operations.check_cost(prepared, variables)
    subscription = _Subscription(operations, prepared, variables, make_context)
    source = await subscription.open(after)
    feed = prepared.feed
    group = Group() if feed is None else feed.group(feed.key(variables, scopes))
    return Following(subscription, group, source)


class _Subscription:
    """What was subscribed to, by whom: following.Subscription."""

    __slots__ = ("_has_plan", "_key", "_make_context", "_operations", "_plan", "_prepared", "_stand", "_variables")

    def __init__(
        self,
        operations: Operations,
        prepared: Prepared,
        variables: dict[str, Any] | None,
        make_context: Callable[[], Context],
    ) -> None:
        self._operations = operations
        self._prepared = prepared
        self._variables = variables
        self._make_context = make_context
        self._plan: EventPlan | None = None
        self._has_plan = False  # or is known to have none
        declaration = None if prepared.feed is None else prepared.feed.declaration
        self._key = None if declaration is None else declaration.share
        self._stand = None if declaration is None else declaration.stand

    async def open(self, after: str | None) -> AsyncGenerator[Any]:
        """A source. Raises RequestErrors."""
        prepared, operations = self._prepared, self._operations
        scope = Scope(self._make_context(), after)
        executor = Executor.build(
            operations.schema, prepared.document, None, scope, self._variables, prepared.operation_name
        )
        if isinstance(executor, list):
            raise RequestErrors([operations.shown(error, "BAD_USER_INPUT") for error in executor])
        stream: Any = create_source_event_stream(executor)
        source = await stream if optimized_is_awaitable(stream) else stream
        if isinstance(source, ExecutionResult):
            raise RequestErrors([operations.shown(error, "BAD_USER_INPUT") for error in source.errors or ()])
        return self._events(source)

    async def _events(self, source: Any) -> AsyncGenerator[Any]:
        try:
            async for found in source:
                yield found
        except Exception as error:
            raise self._shown(error) from None
        finally:
            await source.aclose()

    def _shown(self, error: Exception) -> RequestErrors:
        """What is told of a failure."""
        if isinstance(error, RequestErrors):
            return error
        if not isinstance(error, GraphQLError):
            error = GraphQLError(str(error), original_error=error)
        return RequestErrors([self._operations.shown(error)])

    def key(self, event: Any) -> Hashable | None:
        """What tells an event from every other."""
        return None if self._key is None else self._key(event)

    def stand(self, event: Any) -> Stand | None:
        """Where the stream stands behind it."""
        return None if self._stand is None else self._stand(event)

    async def make(self, events: list[Any]) -> list[Frame]:
        """The frames of events. Raises RequestErrors."""
        try:
            if not self._has_plan:
                self._plan = await self._operations.event_plan(self._prepared, self._variables)
                self._has_plan = True
            answers = await self._operations.show(
                self._prepared, self._variables, self._make_context, events, self._plan
            )
            return [
                Frame(encoded(answer), self.stand(event), self.key(event) is None)
                for event, answer in zip(events, answers, strict=True)
            ]
        except Exception as error:
            raise self._shown(error) from None
