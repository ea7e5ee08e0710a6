"""Keyset pages: what is asked for, what comes back, and the statement between them, for any table.

A page is stable while rows arrive: it starts behind the last row of the one before, by the values of its order's
columns, never by a count of rows. The head of the page's topic is read in the same statement, hence in the same
snapshot: following the topic from that head misses nothing that the page lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    String,
    Table,
    Uuid,
    bindparam,
    cast,
    column,
    func,
    lateral,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.sql.expression import Select

from db.handles import Handle
from db.models.base import Row
from db.models.events import topics
from db.statements import Statement, parameter_like, row_columns, uuids

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Order:
    """A total order of a table's rows: its columns, the last of them unique, all in one direction."""

    name: str  # goes into cursors: one of another order is refused
    columns: tuple[str, ...]
    descending: bool = False

    def values(self, row: Row) -> tuple[Any, ...]:
        """The row's place in the order."""
        return tuple(getattr(row, name) for name in self.columns)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How much of an order: `limit` rows behind (or, `backward`, before) a place; `place` None is the start or end."""

    limit: int
    place: tuple[Hashable, ...] | None = None
    backward: bool = False


@dataclass(frozen=True, slots=True)
class EventPosition:
    """Everything of a topic up to `seq` is in the page that carries it."""

    epoch: UUID
    topic: str
    seq: int


@dataclass(slots=True)
class Page(Generic[R]):
    """Rows in order, and what lies around them. `selection` is what a count of all of them needs."""

    rows: list[R]
    order: Order
    has_next: bool
    has_previous: bool
    epoch: UUID
    topic: str
    head: int  # of the topic, in the snapshot that the rows are of
    selection: Any = None

    @property
    def position(self) -> EventPosition:
        """Where the live stream stood."""
        return EventPosition(self.epoch, self.topic, self.head)


def page_keys(topic: str, **derived: Callable[[ColumnElement[Any]], ColumnElement[Any]]) -> FromClause:
    """The parents of many pages, from the parameter `keys` (uuid[]), with the head of each one's topic.

    `derived` are more columns, worked out once for a parent and not once for each of its rows. A `topic` that ends in
    a colon is one topic per parent: ``log:{parent}``.
    """
    given = func.unnest(uuids("keys")).table_valued(column("key", Uuid()), with_ordinality="place", name="k")
    unnested = given.render_derived()
    key = unnested.c.key
    name: Any = literal_column("'" + topic + "'", String)
    if topic.endswith(":"):
        name = name + cast(key, String)
    columns = [make(key).label(label) for label, make in derived.items()]
    # OFFSET: else PostgreSQL moves what is derived to where it is worked out for each row.
    found = select(key, unnested.c.place, _head(name).label("head"), *columns)
    return found.offset(literal_column("0")).subquery("keys")


def _head(topic: ColumnElement[str]) -> ColumnElement[Any]:
    return func.coalesce(select(topics.c.seq).where(topics.c.name == topic).scalar_subquery(), literal_column("0"))


def pages_select(
    table: Table,
    row: type[Row],
    order: Order,
    keys: FromClause,
    *,
    parent: str,
    conditions: Sequence[ColumnElement[bool]] = (),
    has_place: bool = False,
    backward: bool = False,
    instead: Mapping[str, ColumnElement[Any]] | None = None,
) -> Select[Any]:
    """One page of `table` for each of many parents, of which `keys` is made by `page_keys`.

    Parameters of the statement: `keys`, `limit`, and `place_0` … `place_n` with a place. Beside `row`'s columns each
    row has `head` and, as its last, `place`: which of the keys it is of, from 1. A page without rows is one row of
    nulls but for these and `parent`, the parent's key.
    `instead` has what is selected in place of some columns.
    """
    inner = _rows(table, row, order, has_place=has_place, backward=backward, instead=instead)
    inner = inner.where(table.c[parent] == keys.c.key, *conditions).limit(bindparam("limit"))
    page = lateral(inner).alias("page")
    selected = row_columns(page, row)
    selected[row.columns.index(parent)] = keys.c.key.label(parent)
    return (
        select(*selected, keys.c.head, keys.c.place)
        .select_from(keys.join(page, true(), isouter=True))
        .order_by(*_ordered(page, order, descending=order.descending))
    )


def page_select(
    table: Table,
    row: type[Row],
    order: Order,
    *,
    topic: str,
    conditions: Sequence[ColumnElement[bool]] = (),
    has_place: bool = False,
    backward: bool = False,
    is_empty: bool = False,
    limit: int | None = None,
) -> Select[Any]:
    """One page of `table`; see `fetch_page`.

    Parameters of the statement: `limit`, unless it is given here, and `place_0` … `place_n` with a place. Beside
    `row`'s columns each row has `head`. With `is_empty` a page without rows is one row of nulls that has it.
    """
    head = _head(literal_column("'" + topic + "'", String)).label("head")
    inner = _rows(table, row, order, has_place=has_place, backward=backward).where(*conditions)
    inner = inner.limit(bindparam("limit") if limit is None else literal_column(str(limit)))
    if not backward and not is_empty:
        return inner.with_only_columns(*row_columns(table, row), head)
    page = lateral(inner).alias("page")
    start = select(head).subquery("start")
    return (
        select(*row_columns(page, row), start.c.head)
        .select_from(start.join(page, true(), isouter=is_empty))
        .order_by(*_ordered(page, order, descending=order.descending))
    )


def _rows(
    table: Table,
    row: type[Row],
    order: Order,
    *,
    has_place: bool,
    backward: bool,
    instead: Mapping[str, ColumnElement[Any]] | None = None,
) -> Select[Any]:
    """The rows behind (or before) a place, from there on."""
    forwards_down = order.descending != backward
    instead = instead or {}
    found = select(*[instead.get(name, table.c[name]).label(name) for name in row.columns])
    if has_place:
        place = tuple_(*[parameter_like(f"place_{i}", table, name) for i, name in enumerate(order.columns)])
        columns = tuple_(*[table.c[name] for name in order.columns])
        found = found.where(columns < place if forwards_down else columns > place)
    return found.order_by(*_ordered(table, order, descending=forwards_down))


def _ordered(source: FromClause, order: Order, *, descending: bool) -> list[ColumnElement[Any]]:
    return [source.c[name].desc() if descending else source.c[name].asc() for name in order.columns]


async def fetch_page(handle: Handle, make: Callable[[bool], Statement[R]], *values: Any) -> list[R]:
    """The rows of `page_select`: those of a page without rows by a second statement, which tells the head alone.

    ``make(is_empty)`` compiles it. The form that always has a row takes PostgreSQL half as long again.
    """
    return await handle.fetch(make(False), *values) or await handle.fetch(make(True), *values)


def cut(rows: list[R], request: PageRequest, order: Order, epoch: UUID, topic: str, selection: Any = None) -> Page[R]:
    """Make a page of rows that were fetched with limit + 1: the one too many says that there are more."""
    head = 0
    if rows:
        head = rows[0]["head"]
        if rows[0][rows[0].columns.index(order.columns[-1])] is None:  # a page without rows
            rows = []
    more = len(rows) > request.limit
    if more:
        rows = rows[1:] if request.backward else rows[: request.limit]
    behind_a_place = request.place is not None
    has_next, has_previous = (behind_a_place, more) if request.backward else (more, behind_a_place)
    return Page(rows, order, has_next, has_previous, epoch, topic, head, selection)
