"""Tokens and money as GraphQL types, and the summary of a range."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import UNSET

from db.models.tasks import TaskRow
from db.models.usage import UsageRecordRow, UsageTotalsRow
from db.pages import Page, PageRequest
from execution.fields import column, computed, interface_type, nested, object_type, one
from loaders import access as access_loaders
from loaders import tasks as task_loaders
from resolvers import usage as resolvers
from schema.enums import CostSource
from schema.node import Node, node_id
from schema.pagination import (
    After,
    Before,
    EdgeValue,
    First,
    Last,
    PageInfo,
    edge_cursor,
    edge_node,
    edges,
    nodes,
    page_info,
)
from schema.ranges import TimeRange, to_range
from schema.scalars import USD, SafeInt
from schema.task_inputs import TaskFilter, nothing, page_of, to_filter

if TYPE_CHECKING:
    from schema.access import Host, Project, User
    from schema.tasks import Task

INPUT = "Tokens of the prompt that were neither read from nor written to the cache."
CACHE_READ = "Tokens of the prompt that were read from the cache."
CACHE_WRITE_5M = "Tokens of the prompt that were written to the cache for 5 minutes."
CACHE_WRITE_1H = "Tokens of the prompt that were written to the cache for an hour."
OUTPUT = "Tokens that the model wrote, its reasoning included."
REASONING = "Tokens of its reasoning, where the source tells them apart; they are part of outputTokens."


@interface_type(scope="METRICS", description="Counts of tokens, apart by what they cost.")
class TokenCounts:
    """Six counts."""

    input_tokens: SafeInt = column(description=INPUT)
    cache_read_tokens: SafeInt = column(description=CACHE_READ)
    cache_write_5m_tokens: SafeInt = column(description=CACHE_WRITE_5M)
    cache_write_1h_tokens: SafeInt = column(description=CACHE_WRITE_1H)
    output_tokens: SafeInt = column(description=OUTPUT)
    reasoning_tokens: SafeInt = column(description=REASONING)


@object_type(of=(UsageTotalsRow, TaskRow), scope="METRICS", description="Sums over model calls.")
class UsageTotals(TokenCounts):
    """Of a task its own columns; of anything else a row of sums."""

    call_count: SafeInt = column(description="How many model calls.")
    cost_usd: USD = column(description="What they cost. Calls without a known price are left out: see the next field.")
    unpriced_call_count: SafeInt = column(description="How many calls have no known price. Show both, or the sum lies.")


@object_type(of=UsageRecordRow, scope="METRICS", description="One call of a model.")
class UsageRecord(Node, TokenCounts):
    """A row of usage_records."""

    id: strawberry.ID = node_id("usage")
    at: datetime = column(description="When it was made.")
    model: str = column(description="The model, by the name that the source gave.")
    provider: str = column(description="Who runs the model: anthropic, openai …")
    task: Annotated[Task, strawberry.lazy("schema.tasks")] | None = one(
        task_loaders.by_id, key="task_id", description="The task that it was made for."
    )
    owner: Annotated[User, strawberry.lazy("schema.access")] | None = one(
        access_loaders.user_by_id, key="owner_id", description="Whose work it was."
    )
    host: Annotated[Host, strawberry.lazy("schema.access")] | None = one(
        access_loaders.host_by_id, key="host_id", description="The machine that it was made from."
    )
    project: Annotated[Project, strawberry.lazy("schema.access")] | None = one(
        access_loaders.project_by_id, key="project_id", description="The repository or folder that it was for."
    )
    cost_usd: USD | None = column(
        description="What it cost: as reported, else as computed; null when nobody knows its price."
    )
    reported_cost_usd: USD | None = column(description="What the source said it cost.")
    computed_cost_usd: USD | None = column(description="What its tokens cost by the dated prices of the model.")
    cost_source: CostSource = column(description="Where costUsd comes from.")
    price_version: str | None = column(description="The table of prices that computedCostUsd was worked out by.")


@object_type(of=EdgeValue, scope="METRICS", description="A model call in a list.")
class UsageRecordEdge:
    """Relay's edge."""

    cursor: str = edge_cursor()
    node: UsageRecord = edge_node()


@object_type(of=Page, scope="METRICS", description="A page of model calls.")
class UsageRecordConnection:
    """Relay's connection."""

    edges: list[UsageRecordEdge] = edges()
    nodes: list[UsageRecord] = nodes()
    page_info: PageInfo = page_info()


@object_type(of=resolvers.Summary, scope="METRICS", description="What happened in a range of time, in sums.")
class Summary:
    """resolvers.usage.Summary."""

    from_: datetime = computed(
        lambda summary: summary.span.start, needs=("span",), name="from", description="The first instant of the range."
    )
    to: datetime = computed(
        lambda summary: summary.span.end, needs=("span",), description="The first instant behind the range."
    )
    as_of: datetime = column(description="When it was worked out.")
    usage: UsageTotals = nested(
        lambda summary: summary.usage, description="Model calls made in the range, by their own time."
    )
    average_cost_usd: USD | None = column(
        description="What a task created in the range cost on average; null when there was none."
    )
    task_count: SafeInt = column(description="Tasks created in the range.")
    finished_task_count: SafeInt = column(description="Those of them that are final: completed, failed or cancelled.")
    failed_task_count: SafeInt = column(description="Those of them that failed.")
    success_rate: float | None = column(
        description="Completed ÷ (completed + failed), from 0 to 1; null when there was neither."
    )
    average_duration_ms: SafeInt | None = column(
        description="How long those that started and ended took on average, in milliseconds; null when there was none."
    )


def usage_arguments(
    first: First = UNSET, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
) -> PageRequest:
    """Arguments of `usageRecords`."""
    return page_of(resolvers.RECORD_ORDER, first, after, last, before)


def summary_arguments(
    range: Annotated[TimeRange, strawberry.argument(description="Which time.")],
    filter: Annotated[TaskFilter | None, strawberry.argument(description="Of which tasks only.")] = UNSET,
) -> resolvers.GetSummary:
    """Arguments of `summary`."""
    return resolvers.GetSummary(to_range(range), to_filter(nothing(filter)))
