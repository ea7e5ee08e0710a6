"""Names: the topics of the event log, and the fixed Redis channels that carry them.

The channels never depend on what is watched, so that every process subscribes to all of them once, at its start.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from uuid import UUID

TASKS = "tasks"
AGENTS = "agents"
RUNS = "runs"
CONVERSATIONS = "conversations"
WEBHOOKS = "webhooks"
ALERTS = "alerts"
SOURCES = "sources"
LOGS = "logs"  # one event per appended batch of log lines, of all tasks
TOPICS = (TASKS, AGENTS, RUNS, CONVERSATIONS, WEBHOOKS, ALERTS, SOURCES, LOGS)

LOG_PREFIX = "log:"
LOG_SHARDS = 16  # a task's log notices stay in order on one channel; a busy log delays one shard of sixteen
DEFAULT_PREFIX = "fleetgraph"


def log_topic(task_id: UUID | str) -> str:
    """The topic of one task's log."""
    return f"{LOG_PREFIX}{task_id}"


def is_log(topic: str) -> bool:
    """Whether a topic is one task's log."""
    return topic.startswith(LOG_PREFIX)


@dataclass(frozen=True, slots=True)
class Channels:
    """The Redis channels under one prefix."""

    prefix: str = DEFAULT_PREFIX

    def of(self, topic: str) -> str:
        """The channel that carries a topic."""
        if is_log(topic):
            return f"{self.prefix}:logs:{zlib.crc32(topic.encode()) % LOG_SHARDS}"
        return f"{self.prefix}:events"

    def all(self) -> tuple[str, ...]:
        """Every channel, in a fixed order."""
        return (f"{self.prefix}:events", *(f"{self.prefix}:logs:{shard}" for shard in range(LOG_SHARDS)))
