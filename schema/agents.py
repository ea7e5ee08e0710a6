"""Agents as GraphQL types, with their filter and arguments."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import UNSET

from db.models.agents import AgentRow
from db.pages import Page, PageRequest
from db.queries.agents import ALL_AGENTS, NAME, AgentSelection
from db.queries.tasks import CREATED_AT_DESC
from execution.fields import column, connection, loaded, object_type, one, root
from loaders import access as access_loaders
from loaders import agents as loaders
from loaders import tasks as task_loaders
from resolvers import agents as resolvers
from resolvers.pages import DEFAULT_PAGE
from schema.enums import AgentStatus, AgentType
from schema.node import Node, node_id
from schema.pagination import (
    TOTAL_COUNT,
    After,
    Before,
    EdgeValue,
    First,
    Last,
    PageInfo,
    at_most_argument,
    edge_cursor,
    edge_node,
    edges,
    nodes,
    page_event_cursor,
    page_info,
)
from schema.scalars import EventCursor
from schema.task_inputs import RULE, given, ids, nothing, page_of, some, words

if TYPE_CHECKING:
    from schema.access import Host
    from schema.tasks import TaskConnection


@strawberry.input(description=f"Which agents. {RULE}")
class AgentFilter:
    """Becomes db.queries.agents.AgentSelection."""

    status: list[AgentStatus] | None = some("With any of these statuses.")
    type: list[AgentType] | None = some("Of any of these types.")
    host_id: list[strawberry.ID] | None = some("On any of these hosts.")


def to_selection(chosen: AgentFilter | None) -> AgentSelection:
    """The agents that a filter names."""
    if chosen is None:
        return ALL_AGENTS
    return AgentSelection(
        status=words(chosen.status or ()) if given(chosen.status) else None,
        type=words(chosen.type or ()) if given(chosen.type) else None,
        host_id=ids("host", chosen.host_id or ()) if given(chosen.host_id) else None,
    )


def current_tasks_arguments(
    first: First = UNSET, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
) -> PageRequest:
    """Arguments of `currentTasks`."""
    return page_of(CREATED_AT_DESC, first, after, last, before)


@object_type(of=AgentRow, scope="METRICS", description="A program that works on tasks. Unique by host and name.")
class Agent(Node):
    """A row of agents."""

    id: strawberry.ID = node_id("agent")
    name: str = column(description="Its name: unique on its host, not over all hosts.")
    host: Annotated[Host, strawberry.lazy("schema.access")] | None = one(
        access_loaders.host_by_id, key="host_id", description="The machine that it runs on; null where nobody said."
    )
    type: AgentType = column(description="What it is made for.")
    status: AgentStatus = column(description="What it does now, as far as anybody told.")
    last_seen_at: datetime | None = column(description="When it last gave a sign of life; null when it never did.")
    is_controllable: bool = column(
        description="Whether it listens to commands (cancel, stop …). Agents known from transcripts do not."
    )
    current_tasks: Annotated[TaskConnection, strawberry.lazy("schema.tasks")] = connection(
        task_loaders.current_by_agent,
        key="id",
        arguments=current_tasks_arguments,
        description="The tasks that it has and has not ended, the newest first.",
    )


@object_type(of=EdgeValue, scope="METRICS", description="An agent in a list.")
class AgentEdge:
    """Relay's edge."""

    cursor: str = edge_cursor()
    node: Agent = edge_node()


@object_type(of=Page, scope="METRICS", description="A page of agents.")
class AgentConnection:
    """Relay's connection."""

    edges: list[AgentEdge] = edges()
    nodes: list[Agent] = nodes()
    page_info: PageInfo = page_info()
    total_count: int = loaded(loaders.counts, key="selection", arguments=at_most_argument, description=TOTAL_COUNT)
    event_cursor: EventCursor = page_event_cursor()


def agents_arguments(
    filter: Annotated[AgentFilter | None, strawberry.argument(description="Which agents.")] = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> resolvers.ListAgents:
    """Arguments of `agents`."""
    page = page_of(NAME, first, after, last, before, default=DEFAULT_PAGE)
    return resolvers.ListAgents(to_selection(nothing(filter)), page)


def agent_argument(id: Annotated[strawberry.ID, strawberry.argument(description="The agent's id.")]) -> str:
    """The argument of `agent`."""
    return str(id)


def agent_name_arguments(
    name: Annotated[str, strawberry.argument(description="The agent's name, exactly.")],
    host_id: Annotated[
        strawberry.ID | None, strawberry.argument(description="On this host; anywhere without it.")
    ] = UNSET,
) -> resolvers.FindAgent:
    """Arguments of `agentByName`."""
    return resolvers.FindAgent(name, nothing(host_id))


@strawberry.type
class AgentQueries:
    """The fields of Query for agents."""

    agents: AgentConnection = root(
        resolvers.list_agents,
        scope="METRICS",
        arguments=agents_arguments,
        description="Agents in order of name: an agent never moves, and a new one takes its place in the alphabet.",
    )
    agent: Agent | None = root(
        resolvers.get_agent,
        scope="METRICS",
        arguments=agent_argument,
        description="An agent by its id; null when there is none.",
    )
    agent_by_name: Agent | None = root(
        resolvers.find_agent,
        scope="METRICS",
        arguments=agent_name_arguments,
        description="An agent by its name; null when there is none. Several hosts may have one of that name: without"
        " hostId it is the one that belongs to no host, else the one that was seen last.",
    )
