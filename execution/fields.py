"""Field declarations: what a field is, said once, for graphql-core today and for compiled plans later.

Every field of the schema is made by one of these factories, which give it a kind and a scope:

- `column`: an attribute of the row, under the field's own Python name;
- `computed`: a value worked out from attributes of the row, without waiting;
- `contextual`: the same, worked out with the operation's context too (who asks);
- `judged`: the same again, with a row that a batch function reads (who asks, and whom the row names);
- `nested`: an object or list that the parent already holds (a page's rows, a result's task);
- `loaded`: a leaf that a batch function reads (wide columns, counts);
- `one`, `many`, `connection`: a row, rows or a page of rows, by ONE call of a batch function for all parents;
- `root`: a field of Query; `mutation`: a field of Mutation; `feed`: a field of Subscription.

A batch function is ``async def f(reader, keys, args)``; it answers once per key, in key order. `args` is what the
field's `arguments` function returned: hashable, the same for all parents, None where there are no arguments. The
parameters of that function are the field's GraphQL arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from operator import attrgetter
from typing import Any, TypeVar, cast

import strawberry
from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema

from execution.declarations import (
    AFTER,
    METADATA,
    ROWS,
    SCOPE,
    Arguments,
    Batch,
    Declaration,
    Failure,
    Kind,
    Scope,
    Stand,
    declaration_of,
    scope_of,
)

T = TypeVar("T")


def object_type(*, of: type[Any] | tuple[type[Any], ...], scope: str, description: str, name: str | None = None) -> Any:
    """Make a class a GraphQL object type whose values are plain instances of `of` (rows, pages, results).

    `scope` is asked for by every field of the type that names none of its own. A class with `columns` is of rows, and
    a named tuple is like one: its instances have a column's value at the column's place, as the leaf types take it.
    Where a class has `narrow` ones (see db.models.base), plans read those, of the columns that declarations name.
    """

    def decorate(cls: type[T]) -> type[T]:
        # Strawberry's own check wants instances of the class; ours are rows. It must be there before the type is made.
        def is_type_of(_cls: type[T], value: object, _info: Any) -> bool:
            return isinstance(value.error if isinstance(value, Failure) else value, of)

        cls.is_type_of = classmethod(is_type_of)  # type: ignore[attr-defined]
        setattr(cls, SCOPE, scope)
        setattr(cls, ROWS, of)
        return strawberry.type(cls, name=name, description=description)

    return decorate


def operation_type(*, description: str, name: str) -> Any:
    """Make a class one of Query, Mutation and Subscription; each of its fields names its own scope."""

    def decorate(cls: type[T]) -> type[T]:
        return strawberry.type(cls, name=name, description=description)

    return decorate


def interface_type(*, scope: str, description: str) -> Any:
    """Make a class a GraphQL interface."""

    def decorate(cls: type[T]) -> type[T]:
        setattr(cls, SCOPE, scope)
        return strawberry.interface(cls, description=description)

    return decorate


def _field(
    declaration: Declaration, resolver: Callable[..., Any] | None, description: str, name: str | None = None
) -> Any:
    metadata = {METADATA: declaration}
    if resolver is None:
        return strawberry.field(description=description, metadata=metadata)
    return strawberry.field(resolver=resolver, name=name, description=description, metadata=metadata)


def _with_arguments(resolver: Callable[..., Any], arguments: Arguments | None) -> Callable[..., Any]:
    """Give a resolver the GraphQL arguments that `arguments` declares as its parameters."""
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter("root", positional, annotation=Any),
        inspect.Parameter("info", positional, annotation=strawberry.Info),
    ]
    if arguments is not None:
        declared = inspect.signature(arguments).parameters.values()
        parameters += [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in declared]
        resolver.__module__ = arguments.__module__  # where Strawberry looks the annotations up
    resolver.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return resolver


def _scope(info: strawberry.Info) -> Scope:
    return cast(Scope, info.context)


def column(*, description: str, scope: str | None = None) -> Any:
    """An attribute of the row with the field's Python name."""
    return _field(Declaration(Kind.COLUMN, scope), None, description)


def computed(
    read: Callable[[Any], Any],
    *,
    needs: tuple[str, ...],
    description: str,
    scope: str | None = None,
    name: str | None = None,
) -> Any:
    """A value worked out from the row's attributes `needs`; `name` where Python cannot spell the field's."""

    def resolve(root: Any) -> Any:
        return read(root)

    return _field(Declaration(Kind.COMPUTED, scope, read=read, needs=needs), resolve, description, name)


def contextual(
    judge: Callable[[Any, Any], Any], *, needs: tuple[str, ...], description: str, scope: str | None = None
) -> Any:
    """A value worked out from the row's attributes `needs` and the operation's context: ``judge(row, context)``."""

    def resolve(root: Any, info: strawberry.Info) -> Any:
        return judge(root, _scope(info).context)

    declaration = Declaration(Kind.CONTEXTUAL, scope, needs=needs, judge=judge)
    return _field(declaration, _with_arguments(resolve, None), description)


def judged(
    judge: Callable[[Any, Any, Any], Any],
    *,
    load: Batch,
    key: str | Callable[[Any], Hashable],
    needs: tuple[str, ...],
    description: str,
    scope: str | None = None,
) -> Any:
    """A value worked out by ``judge(row, context, found)``; `found` is None for a key of None or of nothing."""
    key_of: Callable[[Any], Hashable] = attrgetter(key) if isinstance(key, str) else key

    async def resolve(root: Any, info: strawberry.Info) -> Any:
        scope = _scope(info)
        wanted = key_of(root)
        return judge(root, scope.context, None if wanted is None else await scope.load(load, wanted, None))

    declaration = Declaration(Kind.JUDGED, scope, needs=needs, judge=judge, load=load, key=key_of)
    return _field(declaration, _with_arguments(resolve, None), description)


def nested(read: Callable[[Any], Any], *, description: str, scope: str | None = None) -> Any:
    """An object or list of objects that `read` takes from the parent."""

    def resolve(root: Any) -> Any:
        return read(root)

    return _field(Declaration(Kind.NESTED, scope, read=read), resolve, description)


def _related(
    kind: Kind,
    load: Batch,
    key: str | Callable[[Any], Hashable],
    arguments: Arguments | None,
    read: Callable[[Any], Any] | None,
    scope: str | None,
    description: str,
    is_held: Callable[[Any], bool] | None = None,
    joined: str | None = None,
) -> Any:
    key_of: Callable[[Any], Hashable] = attrgetter(key) if isinstance(key, str) else key

    async def resolve(root: Any, info: strawberry.Info, **values: Any) -> Any:
        wanted = key_of(root)
        if wanted is None:
            return None
        args = None if arguments is None else arguments(**values)
        if is_held is not None and is_held(args):
            return wanted
        found = await _scope(info).load(load, wanted, args)
        return found if read is None or found is None else read(found)

    declaration = Declaration(
        kind,
        scope,
        read=read,
        load=load,
        key=key_of,
        key_column=key if isinstance(key, str) else None,
        is_held=is_held,
        joined=joined,
        arguments=arguments,
    )
    return _field(declaration, _with_arguments(resolve, arguments), description)


def loaded(
    load: Batch,
    *,
    key: str | Callable[[Any], Hashable],
    read: Callable[[Any], Any] | None = None,
    arguments: Arguments | None = None,
    description: str,
    scope: str | None = None,
) -> Any:
    """A leaf from a batch function: `read` takes it from the answer (null stays null)."""
    return _related(Kind.LOADED, load, key, arguments, read, scope, description)


def one(
    load: Batch,
    *,
    key: str | Callable[[Any], Hashable],
    arguments: Arguments | None = None,
    is_held: Callable[[Any], bool] | None = None,
    joined: str | None = None,
    description: str,
    scope: str | None = None,
) -> Any:
    """A row by its key; a key of None is null without a call. Where `is_held` of the arguments, the key is the row.

    A plan may read it with its parent: the parent's narrow rows have its columns under the name `joined`.
    """
    return _related(Kind.ONE, load, key, arguments, None, scope, description, is_held, joined)


def many(
    load: Batch,
    *,
    key: str | Callable[[Any], Hashable],
    arguments: Arguments | None = None,
    description: str,
    scope: str | None = None,
) -> Any:
    """A list of rows per key."""
    return _related(Kind.MANY, load, key, arguments, None, scope, description)


def connection(
    load: Batch,
    *,
    key: str | Callable[[Any], Hashable],
    arguments: Arguments,
    description: str,
    scope: str | None = None,
) -> Any:
    """A page of rows per key."""
    return _related(Kind.CONNECTION, load, key, arguments, None, scope, description)


def root(
    resolve: Callable[[Any, Any], Awaitable[Any]],
    *,
    scope: str,
    description: str,
    arguments: Arguments | None = None,
) -> Any:
    """A field of Query: ``await resolve(context, args)``."""

    async def run(root: Any, info: strawberry.Info, **values: Any) -> Any:
        return await resolve(_scope(info).context, None if arguments is None else arguments(**values))

    declaration = Declaration(Kind.ROOT, scope, arguments=arguments, resolve=resolve)
    return _field(declaration, _with_arguments(run, arguments), description)


def mutation(
    resolve: Callable[[Any, Any], Awaitable[Any]],
    *,
    scope: str,
    description: str,
    arguments: Arguments,
    expected: tuple[type[Exception], ...],
) -> Any:
    """A field of Mutation. An `expected` failure is its answer, as a member of the result union."""

    async def run(root: Any, info: strawberry.Info, **values: Any) -> Any:
        try:
            return await resolve(_scope(info).context, arguments(**values))
        except expected as error:
            return Failure(error)

    declaration = Declaration(Kind.MUTATION, scope, arguments=arguments, resolve=resolve, expected=expected)
    return _field(declaration, _with_arguments(run, arguments), description)


def feed(
    resolve: Callable[[Any, Any], AsyncIterator[Any]],
    *,
    scope: str,
    description: str,
    arguments: Arguments | None = None,
    share: Callable[[Any], Hashable] | None = None,
    stand: Callable[[Any], Stand] | None = None,
) -> Any:
    """A field of Subscription: iterates ``resolve(context, args)``; each event gets loaders of its own.

    It yields events, or lists of events that are there at the same time and may be executed together.

    With `share`, an event is executed and encoded once for all whose operation, variables and rights are the same:
    the field must not depend on who asks in any other way. ``share(event)`` of None is a mark of the stream, for one
    alone. `share` needs `stand`, which says of every event where the stream stands behind it, and an argument `after`.
    """
    takes_after = arguments is not None and AFTER in inspect.signature(arguments).parameters

    async def run(root: Any, info: strawberry.Info, **values: Any) -> AsyncIterator[Any]:
        if takes_after and _scope(info).after is not None:
            values[AFTER] = _scope(info).after
        events = resolve(_scope(info).context, None if arguments is None else arguments(**values))
        try:
            async for event in events:
                yield event
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

    declaration = Declaration(Kind.FEED, scope, arguments=arguments, resolve=resolve, share=share, stand=stand)
    return strawberry.subscription(
        resolver=_with_arguments(run, arguments), description=description, metadata={METADATA: declaration}
    )


def undeclared_fields(schema: GraphQLSchema) -> list[str]:
    """Fields without a kind or a scope, as ``Type.field``: a test wants none."""
    return [
        f"{name}.{field_name}"
        for name, parent in schema.type_map.items()
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__")
        for field_name, field in parent.fields.items()
        if declaration_of(field) is None or scope_of(parent, field) is None
    ]
