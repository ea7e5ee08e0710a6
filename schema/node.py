"""The Node interface and ids as clients see them."""

from __future__ import annotations

from typing import Any

import strawberry

from execution.fields import column, computed, interface_type
from execution.forms import Prefixed

ID_DESCRIPTION = "Globally unique: a readable prefix and 32 digits. Good for `node(id)`, and it never changes."


@interface_type(scope="METRICS", description="Anything that has an id of its own and can be fetched again by it.")
class Node:
    """The Relay interface."""

    id: strawberry.ID = column(description=ID_DESCRIPTION)


def node_id(prefix: str) -> Any:
    """The `id` of a Node type whose rows have a uuid `id`."""
    return computed(Prefixed(f"{prefix}_", "id"), needs=("id",), description=ID_DESCRIPTION)
