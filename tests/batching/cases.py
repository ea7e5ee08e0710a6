"""Every batch function of loaders/ with what it needs to be asked: a test looks that none is missing here."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from db.pages import Order, PageRequest
from db.queries import conversations as conversation_queries
from db.queries import tasks as task_queries
from db.queries import usage as usage_queries
from db.queries.tasks import LogSelection
from loaders import access, agents, commands, conversations, runs, tasks, usage
from loaders.tasks import LogPageRequest

Load = Callable[[Any, Sequence[Any], Any], Awaitable[Sequence[Any]]]


@dataclass(frozen=True)
class RowCase:
    """A row per id of a table."""

    load: Load
    table: str

    def __str__(self) -> str:
        return f"{self.load.__module__.removeprefix('loaders.')}.{self.load.__name__}"


@dataclass(frozen=True)
class PageCase:
    """A page of `table` per id of `parents`, by the column `parent`."""

    load: Load
    parents: str
    table: str
    parent: str
    order: Order
    where: str = "true"
    arguments: Callable[[PageRequest], Any] = lambda request: request
    label: str = ""

    def __str__(self) -> str:
        return f"{self.load.__module__.removeprefix('loaders.')}.{self.load.__name__}{self.label}"


ROWS = (
    RowCase(access.user_by_id, "users"),
    RowCase(access.host_by_id, "hosts"),
    RowCase(access.project_by_id, "projects"),
    RowCase(agents.by_id, "agents"),
    RowCase(commands.by_id, "agent_commands"),
    RowCase(conversations.by_id, "conversations"),
    RowCase(conversations.message_by_id, "messages"),
    RowCase(runs.by_id, "runs"),
    RowCase(runs.story_by_id, "stories"),
    RowCase(tasks.by_id, "tasks"),
    RowCase(tasks.content_by_id, "tasks"),
    RowCase(tasks.tool_calls_by_id, "tool_calls"),
    RowCase(tasks.tool_content_by_id, "tool_calls"),
    RowCase(usage.by_id, "usage_records"),
)

PAGES = (
    PageCase(tasks.children_by_task, "tasks", "tasks", "parent_task_id", task_queries.CREATED_AT),
    PageCase(tasks.by_conversation, "conversations", "tasks", "conversation_id", task_queries.CREATED_AT),
    PageCase(tasks.by_run, "runs", "tasks", "run_id", task_queries.CREATED_AT),
    PageCase(
        tasks.current_by_agent,
        "agents",
        "tasks",
        "agent_id",
        task_queries.CREATED_AT_DESC,
        where="status IN ('QUEUED', 'RUNNING', 'WAITING_INPUT')",
    ),
    PageCase(
        tasks.logs_by_task,
        "tasks",
        "log_lines",
        "task_id",
        task_queries.LOG_SEQ,
        arguments=LogPageRequest,
    ),
    PageCase(
        tasks.logs_by_task,
        "tasks",
        "log_lines",
        "task_id",
        task_queries.LOG_SEQ,
        where="level IN ('INFO', 'ERROR') AND text LIKE '%ine%'",
        arguments=lambda request: LogPageRequest(request, LogSelection(level=("INFO", "ERROR"), search="INE")),
        label="[filtered]",
    ),
    PageCase(tasks.tool_calls_by_task, "tasks", "tool_calls", "task_id", task_queries.TOOL_STARTED_AT),
    PageCase(
        conversations.messages_by_conversation,
        "conversations",
        "messages",
        "conversation_id",
        conversation_queries.MESSAGE_SEQ,
    ),
    PageCase(usage.records_by_task, "tasks", "usage_records", "task_id", usage_queries.RECORD_AT),
)

# Each has a test of its own in test_sums.py or test_runs.py.
SUMS: tuple[Load, ...] = (
    agents.counts,
    conversations.counts,
    runs.blockers,
    runs.counts,
    runs.dependencies,
    runs.stories_by_run,
    runs.story_by_key,
    runs.story_counts,
    runs.sums,
    tasks.counts,
    tasks.current_by_run,
    usage.totals_by_conversation,
    usage.totals_by_run,
    usage.totals_of_task,
)
