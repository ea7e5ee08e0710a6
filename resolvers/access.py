"""People: who asks, and who is who."""

from __future__ import annotations

from db.models.access import UserRow
from resolvers.context import SCOPES, Context, Viewer


async def get_viewer(context: Context, args: None) -> Viewer:
    """Who asks."""
    return context.viewer


def scopes_of(viewer: Viewer) -> list[str]:
    """What the viewer's token allows, in the order of SCOPES."""
    return [scope for scope in SCOPES if scope in viewer.scopes]


def is_viewer(user: UserRow, context: Context) -> bool:
    """Whether a user is the one who asks."""
    return user.id == context.viewer.user_id
