"""Following sums: the latest value, as often as a person can read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from db.queries.tasks import TOPIC
from resolvers.context import Context
from resolvers.live import latest
from resolvers.usage import GetSummary, Summary, get_summary


def watch_summary(context: Context, wanted: GetSummary) -> AsyncIterator[Summary]:
    """The summary now, and again when work has changed it. Raises InvalidInput."""
    return latest(context, TOPIC, lambda: get_summary(context, wanted), _same)


def _same(old: Summary, new: Summary) -> bool:
    """Whether nothing but the clock has moved on."""
    return replace(new, span=old.span, as_of=old.as_of) == old
