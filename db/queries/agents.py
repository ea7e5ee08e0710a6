"""Reads of agents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from uuid import UUID

from sqlalchemy import ColumnElement, Text, Uuid, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from db.handles import Handle
from db.lookups import lookup
from db.models.agents import AgentRow, agents
from db.pages import Order, PageRequest, fetch_page, page_select
from db.selections import CountRow, count_statement, shape_of, values_of
from db.statements import Statement, compile_statement, row_columns

NAME = Order("NAME", ("name", "id"))

TOPIC = "agents"
SHAPES = 32  # page statements kept compiled: all combinations of filters and directions


@dataclass(frozen=True, slots=True)
class AgentSelection:
    """Which agents; see db.selections."""

    status: tuple[str, ...] | None = None
    type: tuple[str, ...] | None = None
    host_id: tuple[UUID, ...] | None = None


ALL_AGENTS = AgentSelection()


def _conditions(shape: Sequence[str]) -> list[ColumnElement[bool]]:
    return [agents.c[name] == any_(bindparam(name, type_=ARRAY(agents.c[name].type))) for name in shape]


@lru_cache(maxsize=SHAPES)
def _page(shape: tuple[str, ...], has_place: bool, backward: bool, is_empty: bool) -> Statement[AgentRow]:
    clause = page_select(
        agents,
        AgentRow,
        NAME,
        topic=TOPIC,
        conditions=_conditions(shape),
        has_place=has_place,
        backward=backward,
        is_empty=is_empty,
    )
    place = ("place_0", "place_1") if has_place else ()
    return compile_statement(clause, AgentRow, *shape, *place, "limit")


async def page(handle: Handle, selection: AgentSelection, request: PageRequest) -> list[AgentRow]:
    """One page in order of name and, if there is one, the row after it; see db.pages.cut."""
    make = partial(_page, shape_of(selection), request.place is not None, request.backward)
    return await fetch_page(handle, make, *values_of(selection), *(request.place or ()), request.limit + 1)


@lru_cache(maxsize=SHAPES)
def _count(shape: tuple[str, ...]) -> Statement[CountRow]:
    return count_statement(agents, _conditions(shape), shape)


async def count(handle: Handle, selection: AgentSelection, at_most: int) -> int:
    """How many agents, counted no further than `at_most`."""
    row = await handle.fetch_row(_count(shape_of(selection)), *values_of(selection), at_most)
    return 0 if row is None else row.n


BY_ID = lookup(select(*row_columns(agents, AgentRow)), agents.c.id, AgentRow)
NAMED = select(*row_columns(agents, AgentRow)).where(agents.c.name == bindparam("name", type_=Text()))
BY_NAME = compile_statement(
    NAMED.order_by(
        agents.c.host_id.is_not(None),  # false, which is before true: the one without a host
        agents.c.last_seen_at.desc().nulls_last(),
        agents.c.id,
    ).limit(1),
    AgentRow,
    "name",
)
BY_NAME_AND_HOST = compile_statement(
    NAMED.where(agents.c.host_id == bindparam("host_id", type_=Uuid())), AgentRow, "name", "host_id"
)


async def by_id(handle: Handle, ids: Sequence[UUID]) -> list[AgentRow]:
    """The agents that exist, in no order."""
    return await BY_ID.fetch(handle, ids)


async def by_name(handle: Handle, name: str) -> AgentRow | None:
    """The agent of that name that has no host, else the one that was seen last."""
    return await handle.fetch_row(BY_NAME, name)


async def by_name_and_host(handle: Handle, name: str, host_id: UUID) -> AgentRow | None:
    """The agent of that name on a host."""
    return await handle.fetch_row(BY_NAME_AND_HOST, name, host_id)
