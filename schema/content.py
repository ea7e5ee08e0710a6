"""Content fields: what people and agents wrote is shown where its `contentAccess` is FULL, and null everywhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from execution.fields import computed
from execution.forms import Only

FULL = "FULL"
SCOPE = "READ"


def shown(name: str) -> Callable[[Any], Any]:
    """Reads an attribute of a row that has its `content_access` beside it."""
    return Only(name, "content_access", FULL)


def content_column(name: str, *, description: str) -> Any:
    """A content field from the row itself."""
    return computed(shown(name), needs=(name, "content_access"), description=description, scope=SCOPE)
