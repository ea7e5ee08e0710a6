"""What generated functions call: batch reading with the operation's memory, lists, types of objects.

A batch function is called once for all keys that the operation has not read before, never twice for one key, and a
failure is remembered like an answer: whoever finishes the operation (see service) repeats no reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLObjectType

from execution.aside import Aside
from execution.declarations import Batch, Context, Failure, Scope
from execution.plans.arguments import Given
from execution.plans.gathering import Gathering
from execution.plans.leaves import Anomaly


@dataclass(slots=True)
class Loaded:
    """What one batch function with one set of arguments has answered so far."""

    failures: dict[Hashable, Exception] = field(default_factory=dict)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _answers: dict[Hashable, Any] = field(default_factory=dict)
    _last: tuple[Sequence[Hashable], Sequence[Any]] | None = None  # mostly nobody asks again: not put in order yet

    @property
    def answers(self) -> dict[Hashable, Any]:
        """All answers by key."""
        if self._last is not None:
            self._answers.update(zip(*self._last, strict=True))
            self._last = None
        return self._answers

    def add(self, keys: Sequence[Hashable], found: Sequence[Any]) -> None:
        """Remember answers, one per key."""
        _ = self.answers
        self._last = (keys, found)


class Run:
    """One execution of a plan."""

    __slots__ = ("aside", "context", "loaded", "outcomes", "variables")

    def __init__(self, context: Context, variables: Given, aside: Aside | None = None) -> None:
        self.context = context
        self.variables = variables
        self.aside = aside  # for the arguments, when the variables are large
        self.loaded: dict[tuple[Batch, Any], Loaded] = {}
        self.outcomes: dict[str, Any] = {}  # of root fields by response key: a value, or the Exception raised

    async def load(self, function: Batch, args: Any, keys: list[Hashable]) -> Sequence[Any]:
        """The answers of a batch function, one per key; the keys differ. Raises Anomaly."""
        place = (function, args)
        loaded = self.loaded.get(place)
        if loaded is None:
            loaded = self.loaded[place] = Loaded()
            if not keys:
                return []
            async with loaded.reading:
                return await self._read(function, args, keys, loaded)
        if [key for key in keys if key not in loaded.answers]:
            async with loaded.reading:
                missing = [key for key in keys if key not in loaded.answers]
                if missing:
                    await self._read(function, args, missing, loaded)
        return [loaded.answers[key] for key in keys]

    async def _read(self, function: Batch, args: Any, keys: list[Hashable], loaded: Loaded) -> Sequence[Any]:
        if loaded.failures and loaded.failures.keys() & keys:
            raise Anomaly("batch")
        try:
            found = await self._ask(function, keys, args)
        except Exception as error:
            loaded.failures.update(dict.fromkeys(keys, error))
            raise Anomaly("batch") from error
        for type_ in set(map(type, found)):
            if issubclass(type_, BaseException):
                raise Anomaly("batch")
        if len(found) != len(keys):
            raise Anomaly("batch")
        loaded.add(keys, found)
        return found

    async def _ask(self, function: Batch, keys: list[Hashable], args: Any) -> Sequence[Any]:
        return await function(self.context.reader, keys, args)


class EventRun(Run):
    """One execution for events: it reads together with others of its plan."""

    __slots__ = ("_gathering",)

    def __init__(self, context: Context, variables: Given, gathering: Gathering) -> None:
        super().__init__(context, variables)
        self._gathering = gathering

    async def _ask(self, function: Batch, keys: list[Hashable], args: Any) -> Sequence[Any]:
        return await self._gathering.read(function, self.context.reader, keys, args)


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


async def together(first: Coroutine[Any, Any, Any], *others: Coroutine[Any, Any, Any]) -> list[Any]:
    """The answers of independent readings, made at the same time; all have ended when the first failure is raised."""
    tasks = [asyncio.create_task(one) for one in others]
    found: list[Any] = []
    failures: list[Exception] = []
    try:
        for one in (first, *tasks):
            try:
                found.append(await one)
            except Exception as error:
                failures.append(error)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    if failures:
        raise failures[0]
    return found


def spread(values: Sequence[Any], found: list[Any]) -> list[Any]:
    """Put the answers of those values that are not None in their places."""
    if len(values) == len(found):
        return found
    rest = iter(found)
    return [None if value is None else next(rest) for value in values]


def nested(lists: Sequence[Sequence[Any]], found: list[Any]) -> list[list[Any]]:
    """Put the answers of the items of lists, one behind the other, into lists of the same lengths."""
    if len(lists) == 1:
        return [found]
    answers, place = [], 0
    for items in lists:
        answers.append(found[place : place + len(items)])
        place += len(items)
    return answers


def listed(values: Iterable[Any]) -> None:
    """Raise Anomaly for what is no list."""
    if not {list, tuple}.issuperset(map(type, values)):
        raise Anomaly("list")


def _belongs(type_: GraphQLObjectType, value: Any) -> bool:
    """Whether a value is of the type: our declarations look at its class only (fields.object_type)."""
    is_type_of: Any = type_.is_type_of
    return value is not None and (is_type_of is None or bool(is_type_of(value, None)))


def checker(
    type_: GraphQLObjectType, by_place: tuple[type[Any], ...], narrow: Mapping[type[Any], type[Any]]
) -> Callable[[list[Any]], None]:
    """Raise Anomaly for values that are not of the type. Classes are remembered: mostly there is one.

    Where columns are read by their places in rows of the classes `by_place`, and those have `narrow` ones, other rows
    are refused.
    """
    accepted: set[type[Any]] = set()

    def check(values: list[Any]) -> None:
        if accepted.issuperset(map(type, values)):
            return
        for value in values:
            if not _belongs(type_, value):
                raise Anomaly("type")
            expected = [narrow[class_] for class_ in by_place if class_ in narrow]
            if expected and type(value) not in expected:
                raise Anomaly("row")
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
    kinds, found = _by_kind(rows, kind)
    answers = {}
    for name, alike in found.items():
        complete, is_async = members[name]
        answers[name] = await complete(alike, run) if is_async else complete(alike, run)
    return _in_order(kinds, answers)


def scatter_now(
    rows: list[Any], kind: Callable[[Any], str], members: Mapping[str, Callable[..., Any]], run: Run
) -> list[Any]:
    """The same where nothing is read."""
    if len(rows) == 1:
        answered: list[Any] = members[kind(rows[0])](rows, run)
        return answered
    kinds, found = _by_kind(rows, kind)
    return _in_order(kinds, {name: members[name](alike, run) for name, alike in found.items()})


def _by_kind(rows: list[Any], kind: Callable[[Any], str]) -> tuple[list[str], dict[str, list[Any]]]:
    kinds = [kind(row) for row in rows]
    found: dict[str, list[Any]] = {}
    for name, row in zip(kinds, rows, strict=True):
        found.setdefault(name, []).append(row)
    return kinds, found


def _in_order(kinds: list[str], answers: Mapping[str, list[Any]]) -> list[Any]:
    rest = {name: iter(answered) for name, answered in answers.items()}
    return [next(rest[name]) for name in kinds]
