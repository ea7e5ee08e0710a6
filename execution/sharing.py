"""One execution and one encoding per event for all who follow the same: frames, and who may share them.

Shared are frames of one operation with the same variables and the same rights. What depends on the person (`contextual`
and `judged` fields) is never shared, nor is a frame older than a second: an event shows the rows of now.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    visit,
)

from execution.fields import AFTER, Declaration, Kind, declaration_of

FRESH_S = 1.0  # for so long after it was made a frame is as good as one made now
KEPT = 256  # frames of a group: so far may the last of its members be behind the first
PERSONAL = (Kind.CONTEXTUAL, Kind.JUDGED)


@dataclass(frozen=True, slots=True)
class Frame:
    """The result of one event as JSON, and where the stream stands behind it; None for a state without a place."""

    text: str
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Feed:
    """What a document that subscribes says about sharing."""

    declaration: Declaration
    is_personal: bool
    place_variable: str | None  # a variable that is nothing but the root field's `after`: it does not show in frames

    def key(self, variables: dict[str, Any] | None, scopes: frozenset[str]) -> Hashable | None:
        """What must be equal to share; None is not to be shared."""
        if self.is_personal or self.declaration.share is None:
            return None
        shown = {name: value for name, value in (variables or {}).items() if name != self.place_variable}
        try:
            return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS), scopes
        except TypeError:  # integers over 64 bits, lone surrogates
            return None


def feed_of(schema: GraphQLSchema, document: DocumentNode) -> Feed | None:
    """The feed of a document with a subscription; None without one."""
    types = TypeInfo(schema)
    roots: list[tuple[Declaration, FieldNode]] = []
    kinds: set[Kind] = set()
    uses: Counter[str] = Counter()

    class Collect(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            parent, field = types.get_parent_type(), types.get_field_def()
            if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) or field is None:
                return
            declaration = declaration_of(field)
            if declaration is not None:
                kinds.add(declaration.kind)
                if declaration.kind is Kind.FEED:
                    roots.append((declaration, node))

        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            uses[node.name.value] += 1

    visit(document, TypeInfoVisitor(types, Collect()))
    if not roots:
        return None
    declaration, node = roots[0]
    places = [
        argument.value.name.value
        for argument in node.arguments or ()
        if argument.name.value == AFTER and isinstance(argument.value, VariableNode)
    ]
    # Once where it is declared, once where it is used.
    place = places[0] if len(roots) == 1 and places and uses[places[0]] == 2 else None
    return Feed(declaration, any(kind in kinds for kind in PERSONAL), place)


class _Making:
    """A frame that is being made, or was."""

    __slots__ = ("_error", "_frame", "_waiters", "at")

    def __init__(self, at: float) -> None:
        self.at = at
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def end(self, frame: Frame | None, error: BaseException | None = None) -> None:
        """It is there, or it failed."""
        self._frame, self._error = frame, error
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self) -> Frame:
        """The frame, when it is there."""
        if self._frame is None and self._error is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self._frame is None:
            raise RuntimeError("an event could not be shown") from self._error
        return self._frame


Make = Callable[[list[Any]], Awaitable[list[Frame]]]


class Group:
    """Those who share frames now."""

    def __init__(self, owner: object) -> None:
        self.member_count = 0
        self._owner = owner  # lives as long as the group: the group's key has its id
        self._kept: OrderedDict[Hashable, _Making] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def frames(self, keys: list[Hashable | None], events: list[Any], make: Make) -> list[Frame]:
        """The frames of events, each made once, by the first who asks for it; a key of None is for one alone."""
        if self.member_count < 2 or None in keys:
            return await make(events)
        now = asyncio.get_running_loop().time()
        found: list[_Making] = []
        missing: list[tuple[_Making, Any]] = []
        for key, event in zip(keys, events, strict=True):
            making = self._kept.get(key)
            if making is None or now - making.at > FRESH_S:
                making = self._kept[key] = _Making(now)
                missing.append((making, event))
            found.append(making)
        if missing:
            task = asyncio.create_task(_make(missing, make), name="shared-frames")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return [await making.wait() for making in found]


async def _make(missing: list[tuple[_Making, Any]], make: Make) -> None:
    """Make frames for everybody who waits for them: none who leaves can cancel it."""
    frames: list[Frame] = []
    error: BaseException | None = None
    try:
        frames = await make([event for _, event in missing])
    except BaseException as failure:
        error = failure
        if not isinstance(failure, Exception):
            raise
    finally:
        for n, (making, _) in enumerate(missing):
            making.end(frames[n] if error is None else None, error)


class Groups:
    """All groups; one goes with its last member."""

    def __init__(self) -> None:
        self._groups: WeakValueDictionary[Hashable, Group] = WeakValueDictionary()

    def join(self, owner: object, key: Hashable | None) -> Group:
        """The group of those who share `owner`, an operation, under `key`; one of its own for None."""
        if key is None:
            return Group(owner)
        group = self._groups.get((id(owner), key))
        if group is None:
            group = self._groups[id(owner), key] = Group(owner)
        return group

    def __len__(self) -> int:
        return len(self._groups)
