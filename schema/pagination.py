"""What every connection has in common: page info, edges, cursors, and descriptions of the page arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import strawberry

from db.models.base import Row
from db.pages import Page
from execution.fields import computed, nested, object_type
from execution.forms import itself
from resolvers.pages import checked_at_most, encode_cursor, encode_event_cursor
from schema.scalars import EventCursor

First = Annotated[
    int | None,
    strawberry.argument(
        description="How many from the start, or behind `after`: 1 to 100, 10 without it (50 at the root)."
    ),
]
After = Annotated[str | None, strawberry.argument(description="A cursor of this list: the page starts behind it.")]
Last = Annotated[
    int | None, strawberry.argument(description="How many from the end, or in front of `before`: 1 to 100.")
]
Before = Annotated[str | None, strawberry.argument(description="A cursor of this list: the page ends in front of it.")]
AtMost = Annotated[
    int,
    strawberry.argument(
        description="Count no further than this: a higher count costs time that few need. 1 to 1,000,000."
    ),
]

EDGES = "The rows with their cursors."
NODES = "The rows alone, for when no cursor of a single row is needed."
CURSOR = "The row's place in this list, for `after` or `before`."
NODE = "The row."
PAGE_INFO = "What lies around this page."
TOTAL_COUNT = "How many there are in all, counted no further than `atMost`."
EVENT_CURSOR = "Where the live stream stood when this page was read: following from here misses nothing that it lacks."


@dataclass(frozen=True, slots=True)
class EdgeValue:
    """A row in its page."""

    page: Page[Any]
    node: Row


def _start(page: Page[Any]) -> str | None:
    return encode_cursor(page.order, page.rows[0]) if page.rows else None


def _end(page: Page[Any]) -> str | None:
    return encode_cursor(page.order, page.rows[-1]) if page.rows else None


@object_type(of=Page, scope="METRICS", description=PAGE_INFO)
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = computed(
        lambda page: page.has_next, needs=("has_next",), description="Whether there are rows behind this page."
    )
    has_previous_page: bool = computed(
        lambda page: page.has_previous, needs=("has_previous",), description="Whether there are rows before this page."
    )
    start_cursor: str | None = computed(
        _start, needs=("order", "rows"), description="The first row's cursor; null on an empty page."
    )
    end_cursor: str | None = computed(
        _end, needs=("order", "rows"), description="The last row's cursor; null on an empty page."
    )


def page_info() -> Any:
    """The field `pageInfo`."""
    return nested(itself, description=PAGE_INFO)


def edges() -> Any:
    """The field `edges`."""
    return nested(lambda page: [EdgeValue(page, row) for row in page.rows], description=EDGES)


def nodes() -> Any:
    """The field `nodes`."""
    return nested(lambda page: page.rows, description=NODES)


def edge_cursor() -> Any:
    """The field `cursor` of an edge."""
    return computed(lambda edge: encode_cursor(edge.page.order, edge.node), needs=("page", "node"), description=CURSOR)


def edge_node() -> Any:
    """The field `node` of an edge."""
    return nested(lambda edge: edge.node, description=NODE)


def page_event_cursor() -> Any:
    """The field `eventCursor` of a connection."""
    return computed(
        lambda page: EventCursor(encode_event_cursor(page.position)), needs=("position",), description=EVENT_CURSOR
    )


def at_most_argument(at_most: AtMost = 10_000) -> int:
    """The argument of `totalCount`. Raises InvalidInput."""
    return checked_at_most(at_most)
