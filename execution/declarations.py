"""What the schema says of its fields, and what reads for them; the factories in execution.fields make these."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol, cast

from graphql import GraphQLField, GraphQLInterfaceType, GraphQLObjectType
from strawberry.dataloader import DataLoader

Batch = Callable[[Any, Sequence[Any], Any], Awaitable[Sequence[Any]]]
Arguments = Callable[..., Any]

METADATA = "fleetgraph"
SCOPE = "__fleetgraph_scope__"
ROWS = "__fleetgraph_rows__"  # the class of a type's values
AFTER = "after"  # the argument of a feed that says where to go on


class Kind(Enum):
    """What a field is; see execution.fields."""

    COLUMN = "column"
    COMPUTED = "computed"
    CONTEXTUAL = "contextual"
    JUDGED = "judged"
    NESTED = "nested"
    LOADED = "loaded"
    ONE = "one"
    MANY = "many"
    CONNECTION = "connection"
    ROOT = "root"
    MUTATION = "mutation"
    FEED = "feed"


class Stand(NamedTuple):
    """Where a stream stands behind an event."""

    place: int  # grows along the stream
    cursor: str  # the same, for clients and to open another source there
    is_live: bool = False  # nothing older is to come


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the schema says of one field."""

    kind: Kind
    scope: str | None = None  # None: the type's
    read: Callable[[Any], Any] | None = None  # COMPUTED: from the row; LOADED: from what the batch function gave
    needs: tuple[str, ...] = ()  # attributes of the row that `read` looks at
    load: Batch | None = None
    key: Callable[[Any], Hashable] | None = None
    key_column: str | None = None  # where the key is an attribute of the row
    is_held: Callable[[Any], bool] | None = None  # whether, for these arguments, the key itself is the answer
    joined: str | None = None  # ONE: the name by which narrow rows of the parent have its columns, ``agent.name``
    arguments: Arguments | None = None
    resolve: Callable[[Any, Any], Any] | None = None  # ROOT, MUTATION, FEED: (context, args)
    judge: Callable[..., Any] | None = None  # CONTEXTUAL: (row, context); JUDGED: (row, context, what was read)
    expected: tuple[type[Exception], ...] = ()  # MUTATION: failures that are members of its result union
    share: Callable[[Any], Hashable] | None = None  # FEED: what tells an event from every other of the stream
    stand: Callable[[Any], Stand] | None = None  # FEED: where the stream stands behind an event


class Failure:
    """An expected failure as a value, with the error's attributes: a bare exception would become a GraphQL error."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.error, name)


class Context(Protocol):
    """What the application's context must have for the batch functions."""

    @property
    def reader(self) -> Any:
        """Their first argument."""
        ...

    def narrowed(self, rows: Mapping[type[Any], type[Any]]) -> Context:
        """The same, whose reader gives rows of the classes that stand beside those of `rows`."""
        ...


class Scope:
    """One operation, or one event of a subscription: its context and its loaders, which live no longer."""

    __slots__ = ("_loaders", "_loading", "after", "context")

    def __init__(self, context: Context, after: str | None = None) -> None:
        self.context = context
        self.after = after  # of a feed: what the transport says, over what the document does
        self._loaders: dict[tuple[Batch, Any], DataLoader[Any, Any]] = {}
        self._loading: set[asyncio.Task[Any] | None] = set()

    def load(self, function: Batch, key: Hashable, args: Any) -> Awaitable[Any]:
        """One key's answer; all keys asked for in the same turn of the loop go to one call."""
        loader = self._loaders.get((function, args))
        if loader is None:
            reader = self.context.reader

            async def load_all(keys: list[Any]) -> Sequence[Any]:
                task = asyncio.current_task()  # the loader's own: cancelling the operation does not reach it
                self._loading.add(task)
                try:
                    return await function(reader, keys, args)
                finally:
                    self._loading.discard(task)

            loader = self._loaders[function, args] = DataLoader(load_fn=load_all)
        found = loader.load(key)
        # Many wait for one: when an error ends the siblings of one field, the others keep waiting.
        return found if cast("asyncio.Future[Any]", found).done() else asyncio.shield(found)

    def close(self) -> None:
        """Stop what is still being loaded: nobody waits for it any more."""
        for task in list(self._loading):
            if task is not None:
                task.cancel()


def declaration_of(field: GraphQLField) -> Declaration | None:
    """The declaration that a schema's field was made by; None for one that bypassed the factories."""
    definition = field.extensions.get("strawberry-definition")
    declaration = None if definition is None else definition.metadata.get(METADATA)
    return declaration if isinstance(declaration, Declaration) else None


def scope_of(parent: GraphQLObjectType | GraphQLInterfaceType, field: GraphQLField) -> str | None:
    """The scope that selecting a field asks for: its own or its type's. None only for undeclared fields."""
    declaration = declaration_of(field)
    if declaration is not None and declaration.scope is not None:
        return declaration.scope
    definition = parent.extensions.get("strawberry-definition")
    return None if definition is None else cast("str | None", getattr(definition.origin, SCOPE, None))
