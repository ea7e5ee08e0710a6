"""Keyset pages: what is asked for, what comes back, and the statement between them, for any table.

A page is stable while rows arrive: it starts behind the last row of the one before, by the values of its order's
columns, never by a count of rows. The head of the page's topic is read in the same statement, hence in the same
snapshot: following the topic from that head misses nothing that the page lacks.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
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

from db.models.base import Row
from db.models.events import topics
from db.statements import parameter_like, row_columns, uuids

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


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Rows in order, and what lies around them. `selection` is what a count of all of them needs."""

    rows: list[R]
    order: Order
    has_next: bool
    has_previous: bool
    position: EventPosition
    selection: Any = None


def keyset_select(
    table: Table,
    row: type[Row],
    order: Order,
    *,
    topic: str,
    conditions: Sequence[ColumnElement[bool]] = (),
    parent: str | None = None,
    has_place: bool = False,
    backward: bool = False,
    instead: Mapping[str, ColumnElement[Any]] | None = None,
) -> Select[Any]:
    """One page of `table`, or one page for each of many parents.

    Parameters of the statement: `limit`, `place_0` … `place_n` with a place, `keys` (uuid[]) with a parent column.
    Beside `row`'s columns each row has `head` and, with a parent, `parent_key`. A page without rows is one row of
    nulls, so that the head is known. A `topic` that ends in a colon is one topic per parent: ``log:{parent}``.
    `instead` has what is selected in place of some columns.
    """
    forwards_down = order.descending != backward
    instead = instead or {}
    inner = select(*[instead.get(name, table.c[name]).label(name) for name in row.columns]).where(*conditions)
    keys: FromClause | None = None
    if parent is not None:
        keys = func.unnest(uuids("keys")).table_valued(column("key", Uuid()), name="k").render_derived()
        inner = inner.where(table.c[parent] == keys.c.key)
    if has_place:
        place = tuple_(*[parameter_like(f"place_{i}", table, name) for i, name in enumerate(order.columns)])
        columns = tuple_(*[table.c[name] for name in order.columns])
        inner = inner.where(columns < place if forwards_down else columns > place)
    inner = inner.order_by(
        *[table.c[name].desc() if forwards_down else table.c[name].asc() for name in order.columns]
    ).limit(bindparam("limit"))
    page = lateral(inner).alias("page")
    topic_name: Any = literal_column("'" + topic + "'", String)
    if topic.endswith(":") and keys is not None:
        topic_name = topic_name + cast(keys.c.key, String)
    head = func.coalesce(select(topics.c.seq).where(topics.c.name == topic_name).scalar_subquery(), literal_column("0"))
    outer_order = [page.c[name].desc() if order.descending else page.c[name].asc() for name in order.columns]
    selected = row_columns(page, row)
    if keys is not None:
        return (
            select(*selected, head.label("head"), keys.c.key.label("parent_key"))
            .select_from(keys.join(page, true(), isouter=True))
            .order_by(*outer_order)
        )
    start = select(head.label("head")).subquery("start")
    return select(*selected, start.c.head).select_from(start.join(page, true(), isouter=True)).order_by(*outer_order)


def cut(rows: list[R], request: PageRequest, order: Order, epoch: UUID, topic: str, selection: Any = None) -> Page[R]:
    """Make a page of rows that were fetched with limit + 1: the one too many says that there are more."""
    seq = int(rows[0]["head"]) if rows else 0
    found = [row for row in rows if row[row.columns.index(order.columns[-1])] is not None]
    more = len(found) > request.limit
    if more:
        found = found[1:] if request.backward else found[: request.limit]
    behind_a_place = request.place is not None
    return Page(
        found,
        order,
        has_next=behind_a_place if request.backward else more,
        has_previous=more if request.backward else behind_a_place,
        position=EventPosition(epoch, topic, seq),
        selection=selection,
    )
