"""Agents: one, by id or by name, and pages."""

from __future__ import annotations

from dataclasses import dataclass

from db.models.agents import AgentRow
from db.pages import Page, PageRequest, cut
from db.queries import agents as queries
from db.queries.agents import AgentSelection
from domain.ids import parse_id
from domain.text import clean
from resolvers.context import Context


@dataclass(frozen=True, slots=True)
class ListAgents:
    """A page of agents."""

    selection: AgentSelection
    page: PageRequest


@dataclass(frozen=True, slots=True)
class FindAgent:
    """An agent by its name, on one host or anywhere."""

    name: str
    host_id: str | None = None


async def get_agent(context: Context, agent_id: str) -> AgentRow | None:
    """An agent by its id; None when there is none."""
    key = parse_id("agent", agent_id)
    rows = [] if key is None else await queries.by_id(context.reader, [key])
    return rows[0] if rows else None


async def find_agent(context: Context, wanted: FindAgent) -> AgentRow | None:
    """An agent by its name. Without a host: the one that has none, else the one that was seen last."""
    name = clean(wanted.name)
    if wanted.host_id is None:
        return await queries.by_name(context.reader, name)
    host_id = parse_id("host", wanted.host_id)
    return None if host_id is None else await queries.by_name_and_host(context.reader, name, host_id)


async def list_agents(context: Context, wanted: ListAgents) -> Page[AgentRow]:
    """One page of the agents that the selection names, in order of name."""
    rows = await queries.page(context.reader, wanted.selection, wanted.page)
    return cut(rows, wanted.page, queries.NAME, context.reader.epoch, queries.TOPIC, wanted.selection)
