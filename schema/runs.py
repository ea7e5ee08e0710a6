"""Runs and stories as GraphQL types, with their filter and arguments."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import UNSET

from db.models.runs import RunRow, StoryRow
from db.pages import Page
from db.queries.runs import CREATED_AT_DESC, RunSelection
from execution.fields import column, computed, connection, contextual, loaded, many, nested, object_type, one, root
from loaders import access as access_loaders
from loaders import runs as loaders
from loaders import tasks as task_loaders
from loaders import usage as usage_loaders
from resolvers import runs as resolvers
from resolvers.pages import DEFAULT_PAGE
from schema.enums import Complexity, RunStatus, StoryStatus
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
from schema.ranges import TimeRange, to_range
from schema.scalars import USD, EventCursor, SafeInt
from schema.task_inputs import RULE, children_arguments, given, ids, nothing, page_of, some, words

if TYPE_CHECKING:
    from schema.access import Host, Project, User
    from schema.tasks import Task, TaskConnection
    from schema.usage import UsageTotals

ELAPSED = "How long it has taken, in milliseconds, as its source measured it; else from start to its last sign of life."
REMAINING = "How long the stories that are left will take, if they take as long as those before; null before the first."
CURRENT_STORY = "The story that it is at, where its source says so; null between two stories."


@strawberry.input(description=f"Which runs. {RULE}")
class RunFilter:
    """Becomes resolvers.runs.RunFilter."""

    status: list[RunStatus] | None = some("With any of these statuses, as they are now.")
    project_id: list[strawberry.ID] | None = some("Of any of these projects.")
    host_id: list[strawberry.ID] | None = some("On any of these hosts.")
    started_at: TimeRange | None = some("Started in this range.")


def to_filter(chosen: RunFilter | None) -> resolvers.RunFilter:
    """The runs that a filter names."""
    if chosen is None:
        return resolvers.RunFilter()
    selection = RunSelection(
        status=words(chosen.status or ()) if given(chosen.status) else None,
        project_id=ids("project", chosen.project_id or ()) if given(chosen.project_id) else None,
        host_id=ids("host", chosen.host_id or ()) if given(chosen.host_id) else None,
    )
    return resolvers.RunFilter(selection, to_range(chosen.started_at) if chosen.started_at else None)


@object_type(of=StoryRow, scope="METRICS", description="A story of a run: a piece of what is to be built.")
class Story(Node):
    """A row of stories."""

    id: strawberry.ID = node_id("story")
    key: str = column(description="What its run calls it, such as US-201: unique within the run only.")
    title: str | None = column(description="A line that says what it is about. Content.", scope="READ")
    description: str | None = column(description="What is to be done. Content.", scope="READ")
    notes: str | None = column(description="What agents noted of it. Content.", scope="READ")
    priority: int = column(description="The lower, the earlier; 0 where nobody said.")
    status: StoryStatus = column(description="How far it is.")
    source_status: str | None = column(description="The source's own word for the status, as it came.")
    complexity: Complexity = column(description="How much work its source expects.")
    run: Annotated[Run, strawberry.lazy("schema.runs")] | None = one(
        loaders.by_id, key="run_id", description="The run that it is a story of."
    )
    depends_on: list[Annotated[Story, strawberry.lazy("schema.runs")]] = many(
        loaders.dependencies, key="id", description="The stories that have to be completed before it, by priority."
    )
    blocked_by: list[Annotated[Story, strawberry.lazy("schema.runs")]] = many(
        loaders.blockers, key="id", description="Those of dependsOn that are not completed."
    )


@object_type(of=loaders.StoryCounts, scope="METRICS", description="How far a run is.")
class RunProgress:
    """loaders.runs.StoryCounts."""

    completed_story_count: int = column(description="How many of its stories are completed.")
    story_count: int = column(description="How many stories it has.")
    percent: float = computed(
        resolvers.progress_percent,
        needs=("completed_story_count", "story_count"),
        description="How much of its stories is completed, from 0 to 100; 0 without stories.",
    )
    elapsed_ms: SafeInt = computed(
        lambda counts: resolvers.run_elapsed_ms(counts.run), needs=("run",), description=ELAPSED
    )
    estimated_remaining_ms: SafeInt | None = computed(
        resolvers.estimated_remaining_ms,
        needs=("run", "completed_story_count", "story_count"),
        description=REMAINING,
    )
    current_story: Story | None = one(
        loaders.story_by_key,
        key=lambda counts: resolvers.current_story_key(counts.run),
        description=CURRENT_STORY,
    )
    updated_at: datetime = computed(
        lambda counts: counts.run.updated_at, needs=("run",), description="When it was last heard of."
    )


@object_type(of=resolvers.RunCache, scope="METRICS", description="What a run's source counted of its own cache.")
class RunCache:
    """resolvers.runs.RunCache."""

    hits: SafeInt | None = column(description="How often something was found in it.")
    misses: SafeInt | None = column(description="How often something was not.")
    hit_rate: float | None = column(description="The share of hits, as the source writes it.")
    saved_tokens: SafeInt | None = column(description="Tokens that it saved, by the source's estimate.")


@object_type(of=resolvers.RunParallel, scope="METRICS", description="What a run's source counted of work side by side.")
class RunParallel:
    """resolvers.runs.RunParallel."""

    is_enabled: bool | None = column(description="Whether stories could be worked on side by side.")
    batch_count: SafeInt | None = column(description="How many batches there were.")
    worker_count: SafeInt | None = column(description="How many workers worked.")
    max_concurrent: SafeInt | None = column(description="How many worked at once at most.")
    parallel_ms: SafeInt | None = column(description="How long the batches took, in milliseconds.")
    sequential_estimate_ms: SafeInt | None = column(
        description="How long they would have taken one after another, by the source's estimate."
    )
    saved_ms: SafeInt | None = column(description="What that saved, in milliseconds.")
    speedup: float | None = column(description="How many times as fast that was.")


@object_type(of=RunRow, scope="METRICS", description="A run of a loop over stories. Its iterations are tasks.")
class Run(Node):
    """A row of runs."""

    id: strawberry.ID = node_id("run")
    revision: SafeInt = column(
        description="+1 with every committed change of it or its stories: of two copies the higher one is newer."
    )
    origin: str = column(description="Kind, host and project of the source; unique together with externalId.")
    external_id: str = column(description="What the source calls the run: the name of its folder, which is a time.")
    title: str | None = column(description="A line that says what is to be built. Content.", scope="READ")
    git_branch: str | None = column(description="The branch that it works on.")
    owner: Annotated[User, strawberry.lazy("schema.access")] | None = one(
        access_loaders.user_by_id, key="owner_id", description="Whose run it is; null where nobody said."
    )
    project: Annotated[Project, strawberry.lazy("schema.access")] | None = one(
        access_loaders.project_by_id, key="project_id", description="The repository or folder that it is about."
    )
    host: Annotated[Host, strawberry.lazy("schema.access")] | None = one(
        access_loaders.host_by_id, key="host_id", description="The machine that it takes place on."
    )
    status: RunStatus = contextual(
        resolvers.run_status, needs=("status", "updated_at"), description="How it stands now."
    )
    source_status: str | None = column(description="What the source itself says of the status, as it came.")
    started_at: datetime | None = column(description="When it began; null where nobody said, as for a mere plan.")
    ended_at: datetime | None = column(description="When it ended; null while it has not.")
    created_at: datetime = column(description="When it began, or was planned, as far as anything tells.")
    updated_at: datetime = column(description="When it was last heard of.")
    progress: RunProgress = one(loaders.story_counts, key=lambda row: row, description="How far it is.")
    stories: list[Story] = many(loaders.stories_by_run, key="id", description="Its stories by priority, then key.")
    iterations: Annotated[TaskConnection, strawberry.lazy("schema.tasks")] = connection(
        task_loaders.by_run,
        key="id",
        arguments=children_arguments,
        description="Its iterations, oldest first: each a task that carries its story and its part of the log.",
    )
    iteration_count: SafeInt = loaded(
        loaders.sums, key="id", read=lambda row: row.iteration_count, description="How many iterations it has."
    )
    succeeded_iteration_count: SafeInt = loaded(
        loaders.sums, key="id", read=lambda row: row.succeeded_count, description="Those of them that are completed."
    )
    failed_iteration_count: SafeInt = loaded(
        loaders.sums, key="id", read=lambda row: row.failed_count, description="Those of them that failed."
    )
    usage: Annotated[UsageTotals, strawberry.lazy("schema.usage")] = one(
        usage_loaders.totals_by_run, key="id", description="Tokens and cost of the model calls of all its iterations."
    )
    reported_cost_usd: USD | None = column(
        description="What its source says that it cost in all; null when it does not."
    )
    computed_cost_usd: USD | None = loaded(
        loaders.sums,
        key="id",
        read=lambda row: row.computed_cost_usd,
        description="What its model calls cost by the dated prices of their models; null when no price is known."
        " Beside reportedCostUsd it shows what the source's own price list makes of the same tokens.",
    )
    cache: RunCache | None = nested(resolvers.cache_of, description="What its source counted of its own cache.")
    parallel: RunParallel | None = nested(
        resolvers.parallel_of, description="What its source counted of work side by side."
    )


@object_type(of=EdgeValue, scope="METRICS", description="A run in a list.")
class RunEdge:
    """Relay's edge."""

    cursor: str = edge_cursor()
    node: Run = edge_node()


@object_type(of=Page, scope="METRICS", description="A page of runs.")
class RunConnection:
    """Relay's connection."""

    edges: list[RunEdge] = edges()
    nodes: list[Run] = nodes()
    page_info: PageInfo = page_info()
    total_count: int = loaded(loaders.counts, key="selection", arguments=at_most_argument, description=TOTAL_COUNT)
    event_cursor: EventCursor = page_event_cursor()


@object_type(of=resolvers.ExecutionStatus, scope="METRICS", description="How a run stands at this moment.")
class ExecutionStatus:
    """resolvers.runs.ExecutionStatus."""

    is_running: bool = column(description="Whether it has not ended and was heard of in the last 60 seconds.")
    run: Run = nested(lambda status: status.counts.run, description="The run.")
    current_story: Story | None = one(
        loaders.story_by_key,
        key=lambda status: resolvers.current_story_key(status.counts.run),
        description=CURRENT_STORY,
    )
    current_task: Annotated[Task, strawberry.lazy("schema.tasks")] | None = one(
        task_loaders.current_by_run,
        key=lambda status: status.counts.run.id,
        description="Its newest iteration that has not ended; null when none is at work.",
    )
    completed_story_count: int = computed(
        lambda status: status.counts.completed_story_count,
        needs=("counts",),
        description="How many of its stories are completed.",
    )
    story_count: int = computed(
        lambda status: status.counts.story_count, needs=("counts",), description="How many stories it has."
    )
    progress_percent: float = computed(
        lambda status: resolvers.progress_percent(status.counts),
        needs=("counts",),
        description="How much of its stories is completed, from 0 to 100; 0 without stories.",
    )
    elapsed_ms: SafeInt = computed(
        lambda status: resolvers.run_elapsed_ms(status.counts.run), needs=("counts",), description=ELAPSED
    )
    estimated_remaining_ms: SafeInt | None = computed(
        lambda status: resolvers.estimated_remaining_ms(status.counts), needs=("counts",), description=REMAINING
    )
    cost_usd: USD = column(
        description="What it has cost so far: its model calls; of a run that tells none, what its source says."
    )
    updated_at: datetime = computed(
        lambda status: status.counts.run.updated_at, needs=("counts",), description="When it was last heard of."
    )


def runs_arguments(
    filter: Annotated[RunFilter | None, strawberry.argument(description="Which runs.")] = UNSET,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> resolvers.ListRuns:
    """Arguments of `runs`."""
    page = page_of(CREATED_AT_DESC, first, after, last, before, default=DEFAULT_PAGE)
    return resolvers.ListRuns(to_filter(nothing(filter)), page)


def run_argument(id: Annotated[strawberry.ID, strawberry.argument(description="The run's id.")]) -> str:
    """The argument of `run`."""
    return str(id)


def latest_argument(
    project_id: Annotated[
        strawberry.ID | None, strawberry.argument(description="Of this project; of any without.")
    ] = UNSET,
) -> str | None:
    """The argument of `latestRun`."""
    return None if nothing(project_id) is None else str(project_id)


def status_argument(
    run_id: Annotated[
        strawberry.ID | None, strawberry.argument(description="Of this run; of the newest without.")
    ] = UNSET,
) -> str | None:
    """The argument of `executionStatus`."""
    return None if nothing(run_id) is None else str(run_id)


@strawberry.type
class RunQueries:
    """The fields of Query for runs."""

    runs: RunConnection = root(
        resolvers.list_runs,
        scope="METRICS",
        arguments=runs_arguments,
        description="Runs by createdAt, the newest first. A run never moves, and a new one comes in front.",
    )
    run: Run | None = root(
        resolvers.get_run,
        scope="METRICS",
        arguments=run_argument,
        description="A run by its id; null when there is none.",
    )
    latest_run: Run | None = root(
        resolvers.latest_run,
        scope="METRICS",
        arguments=latest_argument,
        description="The run that began last, the newest plan when none has begun; null when there is neither.",
    )
    execution_status: ExecutionStatus | None = root(
        resolvers.get_execution_status,
        scope="METRICS",
        arguments=status_argument,
        description="How a run stands at this moment; null when there is no such run.",
    )
