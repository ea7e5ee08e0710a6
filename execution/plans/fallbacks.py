"""How often graphql-core had to run an operation that a plan should run, and why: counted, and told in the log."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from hashlib import sha256

from graphql import OperationDefinitionNode

logger = logging.getLogger(__name__)

MOST_LINES = 10  # in the log, in so many seconds: whoever sends ever new documents does not fill it
LINES_S = 60.0
INTENDED = frozenset(("introspection",))  # what no plan is meant to do


class Fallbacks(Counter[str]):
    """The count by reason."""

    def __init__(self) -> None:
        super().__init__()
        self._begin = 0.0
        self._line_count = 0

    def note(self, definition: OperationDefinitionNode, reason: str, told: set[str]) -> None:
        """Count it, and tell it once for an operation: `told` has the reasons that were."""
        self[reason] += 1
        if reason in told or reason in INTENDED or not self._may_tell():
            return
        told.add(reason)
        source = definition.loc.source.body if definition.loc else ""
        logger.info(
            "graphql-core ran the %s %s (document sha256:%s), which costs ten times as much as a plan: %s",
            definition.operation.value,
            definition.name.value[:80] if definition.name else "without a name",
            sha256(source.encode("utf-8", "surrogatepass")).hexdigest(),
            reason,
        )

    def _may_tell(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._begin > LINES_S:
            self._begin, self._line_count = now, 0
        self._line_count += 1
        return self._line_count <= MOST_LINES
