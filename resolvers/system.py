"""The service itself: its health, and anything by its id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.models.base import Row
from domain.errors import InvalidInput
from domain.ids import split_id
from loaders import access, agents, commands, conversations, runs, tasks, usage
from resolvers.context import Context

MAX_NODES = 100  # as many as the largest page has rows

ById = Callable[[Any, Sequence[UUID], None], Awaitable[Sequence[Row | None]]]

# What each prefix of an id is read by. A prefix that is not here has no type yet: such an id finds nothing.
BY_ID: Mapping[str, ById] = {
    "task": tasks.by_id,
    "tool": tasks.tool_calls_by_id,
    "agent": agents.by_id,
    "conversation": conversations.by_id,
    "message": conversations.message_by_id,
    "usage": usage.by_id,
    "run": runs.by_id,
    "story": runs.story_by_id,
    "user": access.user_by_id,
    "host": access.host_by_id,
    "project": access.project_by_id,
    "command": commands.by_id,
}


@dataclass(frozen=True, slots=True)
class Health:
    """How the service is."""

    status: str
    version: str
    at: datetime


async def get_health(context: Context, args: None) -> Health:
    """How the service is now: DEGRADED while Redis is away."""
    status = "OK" if context.bus.status == "up" else "DEGRADED"
    return Health(status, context.version, context.clock())


async def get_node(context: Context, node_id: str) -> Row | None:
    """Anything by its id; None when there is no such thing."""
    return (await get_nodes(context, (node_id,)))[0]


async def get_nodes(context: Context, node_ids: Sequence[str]) -> list[Row | None]:
    """Anything by ids, one answer per id in their order, by one statement per kind. Raises InvalidInput."""
    if len(node_ids) > MAX_NODES:
        raise InvalidInput(f"ids has {len(node_ids)} ids; it may have up to {MAX_NODES}.", ("ids",))
    split = [split_id(node_id) for node_id in node_ids]
    wanted: defaultdict[str, list[UUID]] = defaultdict(list)
    for kind, key in split:
        if key is not None and kind in BY_ID:
            wanted[kind].append(key)
    found: dict[tuple[str, UUID | None], Row | None] = {}
    for kind, keys in wanted.items():  # one after another: one field does not take the pool's connections from others
        found.update(zip([(kind, key) for key in keys], await BY_ID[kind](context.reader, keys, None), strict=True))
    return [found.get(place) for place in split]
