"""The service's health, and anything by its id."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry

from execution.fields import column, object_type, root
from resolvers import system as resolvers
from schema.enums import HealthStatus
from schema.node import Node


@object_type(of=resolvers.Health, scope="METRICS", description="How the service is.")
class Health:
    """resolvers.system.Health."""

    status: HealthStatus = column(description="Whether it has all it needs.")
    version: str = column(description="The version of Fleetgraph that answers.")
    at: datetime = column(description="The time by the service's clock.")


def node_argument(
    id: Annotated[strawberry.ID, strawberry.argument(description="The id of anything: task_…, agent_…, message_…")],
) -> str:
    """The argument of `node`."""
    return str(id)


def nodes_argument(
    ids: Annotated[
        list[strawberry.ID], strawberry.argument(description="Up to 100 ids, of different kinds if need be.")
    ],
) -> tuple[str, ...]:
    """The argument of `nodes`."""
    return tuple(str(node_id) for node_id in ids)


@strawberry.type
class SystemQueries:
    """The fields of Query for the service itself."""

    node: Node | None = root(
        resolvers.get_node,
        scope="METRICS",
        arguments=node_argument,
        description="Anything by its id; null when there is no such thing.",
    )
    nodes: list[Node | None] = root(
        resolvers.get_nodes,
        scope="METRICS",
        arguments=nodes_argument,
        description="Anything by ids: one answer per id in the order of the ids, null where there is no such thing.",
    )
    health: Health = root(resolvers.get_health, scope="METRICS", description="How the service is now.")
