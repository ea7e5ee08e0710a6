"""Removing old events: from the oldest on, so that what is kept of a topic is always its newest part, without a hole.

`min_seq` moves up with what is removed, in the same statement: whoever follows from before it is told. The events of a
task's log are its lines; those are not removed here.
"""

from __future__ import annotations

from datetime import datetime

from db.handles import Handle
from db.models.base import Row
from db.statements import raw_statement


class TopicNameRow(Row):
    """A topic."""

    name: str


class RemovedRow(Row):
    """How many events were removed."""

    n: int


TOPICS = raw_statement("SELECT name FROM topics WHERE name NOT LIKE 'log:%' ORDER BY name", TopicNameRow)

# The head's row is locked only while one batch is removed: writers of the topic wait so long.
REMOVE = raw_statement(
    """
WITH oldest AS (
    SELECT seq, at FROM events WHERE topic = $1 ORDER BY seq LIMIT $3
), cut AS (
    SELECT coalesce((SELECT min(seq) - 1 FROM oldest WHERE at >= $2), (SELECT max(seq) FROM oldest)) AS seq
), moved AS (
    UPDATE topics t SET min_seq = greatest(t.min_seq, cut.seq) FROM cut
    WHERE t.name = $1 AND cut.seq >= (SELECT min(seq) FROM oldest) RETURNING t.min_seq
), removed AS (
    DELETE FROM events e USING moved WHERE e.topic = $1 AND e.seq <= moved.min_seq RETURNING 1
)
SELECT count(*) AS n FROM removed
""",
    RemovedRow,
)


async def topics(handle: Handle) -> list[str]:
    """The topics whose events may be removed, by name."""
    return [row.name for row in await handle.fetch(TOPICS)]


async def remove(transaction: Handle, topic: str, before: datetime, limit: int) -> int:
    """Remove the topic's oldest events that are older than `before`, at most `limit`. Returns how many."""
    row = await transaction.fetch_row(REMOVE, topic, before, limit)
    return 0 if row is None else row.n
