"""Filters, orders and page arguments of tasks, logs and tool calls, and what they become for the resolvers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from db.pages import Order, PageRequest
from db.queries import tasks as queries
from db.queries.tasks import ALL_LINES, LogSelection, TaskSelection
from domain.ids import parse_id
from domain.text import clean
from loaders.tasks import LogPageRequest
from resolvers import tasks
from resolvers.inputs import choices, phrase, search_text
from resolvers.pages import DEFAULT_NESTED_PAGE, DEFAULT_PAGE, MAX_LOG_PAGE, page_request
from schema.enums import AgentType, LogLevel, LogStream, SortDirection, TaskOrderField, TaskSource, TaskStatus
from schema.pagination import After, Before, First, Last
from schema.ranges import TimeRange, to_range

RULE = (
    "Fields of a filter are joined by AND, the values of a list (up to 500) by OR; absent or null is no filter,"
    " [] matches nothing."
)


def some(description: str) -> Any:
    """An optional field of an input."""
    return strawberry.field(default=UNSET, description=description)


@strawberry.input(description=f"Which tasks. {RULE}")
class TaskFilter:
    """Becomes resolvers.tasks.TaskFilter."""

    status: list[TaskStatus] | None = some("Any of these statuses.")
    source: list[TaskSource] | None = some("Told of by any of these.")
    agent_id: list[strawberry.ID] | None = some("Worked on by any of these agents.")
    agent_type: list[AgentType] | None = some("Worked on by an agent of any of these types.")
    model: list[str] | None = some("Answered last by any of these models, by exact name.")
    owner_id: list[strawberry.ID] | None = some("Of any of these people.")
    host_id: list[strawberry.ID] | None = some("On any of these hosts.")
    project_id: list[strawberry.ID] | None = some("About any of these projects.")
    run_id: list[strawberry.ID] | None = some("An iteration of any of these runs.")
    conversation_id: list[strawberry.ID] | None = some("In any of these conversations.")
    parent_task_id: list[strawberry.ID] | None = some("Started by any of these tasks.")
    flow_id: strawberry.ID | None = some("Of this flow, such as github:owner/repo#7.")
    git_branch: list[str] | None = some("On any of these branches.")
    created_at: TimeRange | None = some("Created in this range.")
    is_stuck: bool | None = some("Whether it counts as stuck: see stuckReason.")
    search: str | None = some(
        "Its title or the first 10,000 characters of its input contain this text, in any case: 3 letters or digits in"
        " a row at least, 200 characters at most. Needs the scope READ; content that is not shown is not found."
    )


@strawberry.input(
    description=f"Which changes of tasks: what a live stream can filter on are the facts that its events carry. {RULE}"
)
class TaskEventFilter:
    """Becomes resolvers.live_tasks.WatchTasks.facts."""

    status: list[TaskStatus] | None = some("Any of these statuses.")
    source: list[TaskSource] | None = some("Told of by any of these.")
    agent_id: list[strawberry.ID] | None = some("Worked on by any of these agents.")
    agent_type: list[AgentType] | None = some("Worked on by an agent of any of these types.")
    model: list[str] | None = some("Answered last by any of these models, by exact name.")
    owner_id: list[strawberry.ID] | None = some("Of any of these people.")
    host_id: list[strawberry.ID] | None = some("On any of these hosts.")
    project_id: list[strawberry.ID] | None = some("About any of these projects.")
    run_id: list[strawberry.ID] | None = some("An iteration of any of these runs.")
    conversation_id: list[strawberry.ID] | None = some("In any of these conversations.")
    parent_task_id: list[strawberry.ID] | None = some("Started by any of these tasks.")
    flow_id: strawberry.ID | None = some("Of this flow, such as github:owner/repo#7.")
    git_branch: list[str] | None = some("On any of these branches.")


@strawberry.input(description="What to order tasks by, and which way.")
class TaskOrder:
    """Becomes db.pages.Order."""

    field: TaskOrderField = strawberry.field(description="What to order by.")
    direction: SortDirection = strawberry.field(description="Which way.")

    def __hash__(self) -> int:
        """A default of an argument has to be hashable."""
        return hash((self.field, self.direction))


@strawberry.input(description=f"Which lines of a log. {RULE}")
class LogFilter:
    """Becomes db.queries.tasks.LogSelection."""

    level: list[LogLevel] | None = some("Any of these levels.")
    stream: list[LogStream] | None = some("From any of these streams.")
    search: str | None = some("Lines that contain this text of at most 200 characters, in any case.")


KINDS = {
    "agent_id": "agent",
    "owner_id": "user",
    "host_id": "host",
    "project_id": "project",
    "run_id": "run",
    "conversation_id": "conversation",
    "parent_task_id": "task",
}
FACTS = {
    "agent_id": "agent",
    "owner_id": "owner",
    "host_id": "host",
    "project_id": "project",
    "run_id": "run",
    "conversation_id": "conversation",
    "parent_task_id": "parent",
    "flow_id": "flow",
    "git_branch": "branch",
}


def given(value: Any) -> bool:
    """Whether an optional input field says something: absent and null do not."""
    return value is not UNSET and value is not None


def ids(kind: str, texts: Sequence[str]) -> tuple[UUID, ...]:
    """The uuids of ids; one of another kind can match nothing and is left out. Raises InvalidInput."""
    found = (parse_id(kind, text) for text in choices(texts))
    return tuple(key for key in found if key is not None)


def words(values: Sequence[Any]) -> tuple[str, ...]:
    """Enum members or strings as text. Raises InvalidInput."""
    return tuple(str(value.value) if isinstance(value, Enum) else clean(str(value)) for value in choices(values))


def to_filter(chosen: TaskFilter | None) -> tasks.TaskFilter:
    """The tasks that a filter names."""
    if chosen is None or not given(chosen):
        return tasks.TaskFilter()
    values: dict[str, Any] = {}
    created_at = None
    for name, value in vars(chosen).items():
        if not given(value):
            continue
        if name in KINDS:
            values[name] = ids(KINDS[name], value)
        elif name == "created_at":
            created_at = to_range(value)
        elif name == "flow_id":
            values[name] = clean(str(value))
        elif name == "is_stuck":
            values["stuck" if value else "not_stuck"] = True
        elif name == "search":
            values[name] = search_text(value, ("filter", "search"))
        else:
            values[name] = words(value)
    return tasks.TaskFilter(TaskSelection(**values), created_at)


def to_facts(chosen: TaskEventFilter | None) -> tuple[tuple[str, frozenset[str]], ...]:
    """The facts that a live filter asks for, as text."""
    if chosen is None or not given(chosen):
        return ()
    facts: list[tuple[str, frozenset[str]]] = []
    for name, value in vars(chosen).items():
        if not given(value):
            continue
        texts: Sequence[str]
        if name in KINDS:
            texts = [str(key) for key in ids(KINDS[name], value)]
        else:
            texts = [str(value)] if name == "flow_id" else words(value)
        facts.append((FACTS.get(name, name), frozenset(texts)))
    return tuple(facts)


def to_lines(chosen: LogFilter | None) -> LogSelection:
    """The lines that a log filter names."""
    if chosen is None or not given(chosen):
        return ALL_LINES
    return LogSelection(
        level=words(chosen.level or ()) if given(chosen.level) else None,
        stream=words(chosen.stream or ()) if given(chosen.stream) else None,
        search=phrase(chosen.search, ("filter", "search")) if chosen.search else None,
    )


ORDERS = {
    (TaskOrderField.CREATED_AT, SortDirection.ASC): queries.CREATED_AT,
    (TaskOrderField.CREATED_AT, SortDirection.DESC): queries.CREATED_AT_DESC,
    (TaskOrderField.UPDATED_AT, SortDirection.ASC): queries.UPDATED_AT,
    (TaskOrderField.UPDATED_AT, SortDirection.DESC): queries.UPDATED_AT_DESC,
    (TaskOrderField.COST, SortDirection.ASC): queries.COST,
    (TaskOrderField.COST, SortDirection.DESC): queries.COST_DESC,
}
NEWEST_FIRST = TaskOrder(field=TaskOrderField.CREATED_AT, direction=SortDirection.DESC)

FilterArgument = Annotated[TaskFilter | None, strawberry.argument(description="Which tasks.")]
OrderArgument = Annotated[
    TaskOrder | None, strawberry.argument(description="In which order; the newest first without it.")
]


def nothing(value: Any) -> Any:
    """An optional argument's value: None where it is absent."""
    return None if value is UNSET else value


def page_of(
    order: Order,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    default: int = DEFAULT_NESTED_PAGE,
) -> PageRequest:
    """The page that the four arguments of a connection ask for."""
    return page_request(order, nothing(first), nothing(after), nothing(last), nothing(before), default=default)


def tasks_arguments(
    filter: FilterArgument = UNSET,
    order_by: OrderArgument = NEWEST_FIRST,
    first: First = UNSET,
    after: After = UNSET,
    last: Last = UNSET,
    before: Before = UNSET,
) -> tasks.ListTasks:
    """Arguments of `tasks`."""
    wanted = order_by if given(order_by) and order_by is not None else NEWEST_FIRST
    order = ORDERS[wanted.field, wanted.direction]
    page = page_of(order, first, after, last, before, default=DEFAULT_PAGE)
    return tasks.ListTasks(to_filter(nothing(filter)), order, page)


def children_arguments(
    first: First = UNSET, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
) -> PageRequest:
    """Arguments of `children`, and of other lists of tasks in order of creation."""
    return page_of(queries.CREATED_AT, first, after, last, before)


LogFirst = Annotated[
    int | None,
    strawberry.argument(description="How many from the start, or behind `after`: 1 to 1,000, 10 without it."),
]
LogLast = Annotated[
    int | None, strawberry.argument(description="How many from the end, or in front of `before`: 1 to 1,000.")
]


def log_arguments(
    first: LogFirst = UNSET,
    after: After = UNSET,
    last: LogLast = UNSET,
    before: Before = UNSET,
    filter: Annotated[LogFilter | None, strawberry.argument(description="Which lines.")] = UNSET,
) -> LogPageRequest:
    """Arguments of `logs`."""
    page = page_request(
        queries.LOG_SEQ, nothing(first), nothing(after), nothing(last), nothing(before), largest=MAX_LOG_PAGE
    )
    return LogPageRequest(page, to_lines(nothing(filter)))


def tool_call_arguments(
    first: First = UNSET, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
) -> PageRequest:
    """Arguments of `toolCalls`."""
    return page_of(queries.TOOL_STARTED_AT, first, after, last, before)


def include_children(
    include_children: Annotated[
        bool, strawberry.argument(description="Whether the work of its sub-agents, and theirs, is added.")
    ] = False,
) -> bool:
    """The argument of `usage`."""
    return include_children
