"""Following agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pages import EventPosition
from db.queries.agents import ALL_AGENTS, TOPIC, AgentSelection
from pubsub.events import Event
from resolvers.context import Context
from resolvers.live import Shown, Told, follow, position_of


@dataclass(frozen=True, slots=True)
class AgentChange(Shown):
    """An agent changed, and is in the watched selection; `is_new` when it was not before."""

    position: EventPosition
    at: datetime
    agent_id: UUID
    is_new: bool


@dataclass(frozen=True, slots=True)
class AgentLeave(Shown):
    """An agent is no longer in the watched selection, or was deleted."""

    position: EventPosition
    at: datetime
    agent_id: UUID


@dataclass(frozen=True, slots=True)
class WatchAgents:
    """Which agents."""

    selection: AgentSelection = ALL_AGENTS
    after: EventPosition | None = None

    def matches(self, facts: dict[str, Any] | None) -> bool:
        """Whether an agent with these facts is in the selection; None is an agent that is not there."""
        wanted = self.selection
        return (
            facts is not None
            and (wanted.status is None or facts["status"] in wanted.status)
            and (wanted.type is None or facts["type"] in wanted.type)
            and (wanted.host_id is None or facts["host"] in map(str, wanted.host_id))
        )


def watch_agents(context: Context, watched: WatchAgents) -> AsyncIterator[Told[AgentChange | AgentLeave]]:
    """Changes of agents, each once and in order."""

    def show(event: Event) -> AgentChange | AgentLeave | None:
        agent_id, position = UUID(event.facts["id"]), position_of(context, event)
        if event.kind == "AgentDeleted":
            return AgentLeave(position, event.at, agent_id)
        before, after = event.facts.get("before"), event.facts.get("after")
        if watched.matches(after):
            return AgentChange(position, event.at, agent_id, is_new=not watched.matches(before))
        return AgentLeave(position, event.at, agent_id) if watched.matches(before) else None

    return follow(context, TOPIC, watched.after, show)
