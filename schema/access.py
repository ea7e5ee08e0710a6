"""People and places as GraphQL types, and who asks."""

from __future__ import annotations

from datetime import datetime

import strawberry

from db.models.access import HostRow, ProjectRow, UserRow
from execution.fields import column, computed, contextual, object_type, one, root
from loaders import access as loaders
from resolvers import access as resolvers
from resolvers import context
from schema.enums import ScopeName
from schema.node import Node, node_id


@object_type(of=UserRow, scope="METRICS", description="A person.")
class User(Node):
    """A row of users."""

    id: strawberry.ID = node_id("user")
    name: str = column(description="What people call them.")
    email: str | None = column(description="Their e-mail address, where it is known.")
    is_viewer: bool = contextual(resolvers.is_viewer, needs=("id",), description="Whether it is you.")


@object_type(of=HostRow, scope="METRICS", description="A machine that agents run on.")
class Host(Node):
    """A row of hosts."""

    id: strawberry.ID = node_id("host")
    name: str = column(description="The machine's name.")
    last_push_at: datetime | None = column(
        description="When work was last sent from there; null when it never was, as for the machine of the service."
    )


@object_type(of=ProjectRow, scope="METRICS", description="A repository or folder that agents work in.")
class Project(Node):
    """A row of projects."""

    id: strawberry.ID = node_id("project")
    name: str = column(description="A short name: the repository's, or the folder's.")
    repository: str | None = column(description="The repository's address, where it is known.")


@object_type(of=context.Viewer, scope="METRICS", description="Who asks, and what their token allows.")
class Viewer:
    """resolvers.context.Viewer."""

    user: User | None = one(
        loaders.user_by_id, key="user_id", description="The person whose token it is; null for the service's own token."
    )
    scopes: list[ScopeName] = computed(
        resolvers.scopes_of, needs=("scopes",), description="What the token allows. Every field asks for one of these."
    )


@strawberry.type
class AccessQueries:
    """The fields of Query for people and places."""

    viewer: Viewer = root(resolvers.get_viewer, scope="METRICS", description="Who asks, and what their token allows.")
