"""What generated functions call: batch reading with the operation's memory, arguments, types of objects.

A batch function is called once for all keys that the operation has not read before, never twice for one key, and a
failure is remembered like an answer: whoever finishes the operation (see service) repeats no reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLSchema, VariableNode, Visitor, visit
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.types.arguments import convert_arguments

from execution.aside import Aside
from execution.fields import Batch, Context, Declaration, Failure, Scope
from execution.plans.leaves import Anomaly


@dataclass(slots=True)
class Loaded:
    """What one batch function with one set of arguments has answered so far."""

    answers: dict[Hashable, Any] = field(default_factory=dict)
    failures: dict[Hashable, Exception] = field(default_factory=dict)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Run:
    """One execution of a plan."""

    __slots__ = ("aside", "context", "loaded", "outcomes", "variables")

    def __init__(self, context: Context, variables: VariableValues, aside: Aside | None = None) -> None:
        self.context = context
        self.variables = variables
        self.aside = aside  # for the arguments, when the variables are large
        self.loaded: dict[tuple[Batch, Any], Loaded] = {}
        self.outcomes: dict[str, Any] = {}  # of root fields by response key: a value, or the Exception raised

    async def load(self, function: Batch, args: Any, keys: Iterable[Hashable]) -> Mapping[Hashable, Any]:
        """The answers of a batch function: all that there are, those of `keys` for certain. Raises Anomaly."""
        place = (function, args)
        loaded = self.loaded.get(place)
        if loaded is None:
            loaded = self.loaded[place] = Loaded()
        answers = loaded.answers
        if [key for key in keys if key not in answers]:
            async with loaded.reading:
                missing = [key for key in keys if key not in answers]
                if missing:
                    await self._read(function, args, missing, loaded)
        return answers

    async def _read(self, function: Batch, args: Any, keys: list[Hashable], loaded: Loaded) -> None:
        if loaded.failures.keys() & keys:
            raise Anomaly("batch")
        try:
            found = await function(self.context.reader, keys, args)
        except Exception as error:
            loaded.failures.update(dict.fromkeys(keys, error))
            raise Anomaly("batch") from error
        for type_ in set(map(type, found)):
            if issubclass(type_, BaseException):
                raise Anomaly("batch")
        loaded.answers.update(zip(keys, found, strict=True))


class Resumed(Scope):
    """The surroundings of graphql-core when it finishes what a plan began: what was read is not read again."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        super().__init__(run.context)
        self._run = run

    def load(self, function: Batch, key: Hashable, args: Any) -> Awaitable[Any]:
        """One key's answer, or its failure."""
        loaded = self._run.loaded.get((function, args))
        if loaded is None or (key not in loaded.answers and key not in loaded.failures):
            return super().load(function, key, args)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if key in loaded.failures:
            future.set_exception(loaded.failures[key])
            future.exception()  # it may be told by a sibling: then nobody asks this future, which is no mistake
        else:
            future.set_result(loaded.answers[key])
        return future

    def resolve(self, resolve: Callable[..., Any], source: Any, info: Any, **values: Any) -> Any:
        """The name by which graphql-core calls a middleware: root fields that were resolved are not resolved again."""
        key = info.path.key
        if info.path.prev is not None or key not in self._run.outcomes:
            return resolve(source, info, **values)
        outcome = self._run.outcomes[key]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Arguments:
    """The arguments of one selected field, as its declaration wants them; worked out once where they are literals."""

    __slots__ = ("_convert", "_definition", "_found", "_function", "_is_known", "_node", "uses_variables")

    def __init__(
        self, schema: GraphQLSchema, definition: GraphQLField, node: FieldNode, declaration: Declaration
    ) -> None:
        self._definition = definition
        self._node = node
        self._function = declaration.arguments
        self.uses_variables = _uses_variables(node)
        self._is_known = False
        self._found: Any = None
        self._convert = _converter(schema, definition)

    def __call__(self, variables: VariableValues) -> Any:
        """The arguments. Raises what their coercion, or the declaration's function, raises."""
        if self._function is None:
            return None
        if self._is_known:
            return self._found
        found = self._function(**self._convert(get_argument_values(self._definition, self._node, variables)))
        if not self.uses_variables:
            self._found, self._is_known = found, True
        return found


def _converter(schema: Any, definition: GraphQLField) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Strawberry's conversion of coerced arguments: input objects become instances, absent ones are left out."""
    strawberry_schema = schema._strawberry_schema
    config = strawberry_schema.config
    registry = strawberry_schema.schema_converter.scalar_registry
    declared = definition.extensions["strawberry-definition"].arguments

    def run(values: dict[str, Any]) -> dict[str, Any]:
        return convert_arguments(values, declared, registry, config)

    return run


def _uses_variables(node: FieldNode) -> bool:
    found: list[VariableNode] = []

    class Collect(Visitor):
        def enter_variable(self, variable: VariableNode, *_: object) -> None:
            found.append(variable)

    for argument in node.arguments or ():
        visit(argument, Collect())
    return bool(found)


async def together(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """The answers of independent readings, made at the same time; all have ended when the first failure is raised."""
    found = await asyncio.gather(*coroutines, return_exceptions=True)
    for answer in found:
        if isinstance(answer, BaseException):
            raise answer
    return found


def spread(values: Sequence[Any], found: list[Any]) -> list[Any]:
    """Put the answers of those values that are not None in their places."""
    if len(values) == len(found):
        return found
    rest = iter(found)
    return [None if value is None else next(rest) for value in values]


def listed(values: Iterable[Any]) -> None:
    """Raise Anomaly for what is no list."""
    if not {list, tuple}.issuperset(map(type, values)):
        raise Anomaly("list")


def _belongs(type_: GraphQLObjectType, value: Any) -> bool:
    """Whether a value is of the type: our declarations look at its class only (fields.object_type)."""
    is_type_of: Any = type_.is_type_of
    return value is not None and (is_type_of is None or bool(is_type_of(value, None)))


def checker(type_: GraphQLObjectType) -> Callable[[list[Any]], None]:
    """Raise Anomaly for values that are not of the type. Classes are remembered: mostly there is one."""
    accepted: set[type[Any]] = set()

    def check(values: list[Any]) -> None:
        if accepted.issuperset(map(type, values)):
            return
        for value in values:
            if not _belongs(type_, value):
                raise Anomaly("type")
            if type(value) is not Failure:
                accepted.add(type(value))

    return check


def kind_of(possible: Sequence[GraphQLObjectType]) -> Callable[[Any], str]:
    """The name of a value's type, one of `possible`. Raises Anomaly."""
    known: dict[type[Any], str] = {}

    def find(value: Any) -> str:
        class_ = type(value.error) if type(value) is Failure else type(value)
        name = known.get(class_)
        if name is None:
            name = next((type_.name for type_ in possible if _belongs(type_, value)), None)
            if name is None:
                raise Anomaly("type")
            known[class_] = name
        return name

    return find


async def scatter(
    rows: list[Any], kind: Callable[[Any], str], members: Mapping[str, tuple[Callable[..., Any], bool]], run: Run
) -> list[Any]:
    """Complete objects of several types, each by its type's function; answers in the objects' order."""
    kinds = [kind(row) for row in rows]
    found: dict[str, list[Any]] = {}
    for name, row in zip(kinds, rows, strict=True):
        found.setdefault(name, []).append(row)
    rest = {}
    for name, alike in found.items():
        complete, is_async = members[name]
        rest[name] = iter(await complete(alike, run) if is_async else complete(alike, run))
    return [next(rest[name]) for name in kinds]
