"""What importers and mutations hand to the one writer (domain.writer): plain facts, named by the source's own ids.

A record says what is known now; None means not known and never erases what is stored. Times are aware and UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Ref:
    """A task, conversation or run, by the source's name for it, or by our id when the caller already has it."""

    origin: str = ""
    external_id: str = ""
    id: UUID | None = None


@dataclass(slots=True)
class ProjectRecord:
    """A repository or folder; `key` is unique: the host and folder, or the repository's address."""

    key: str
    name: str
    repository: str | None = None


@dataclass(slots=True)
class AgentRecord:
    """An agent, unique by (host, name)."""

    name: str
    host: str | None
    type: str = "CUSTOM"
    status: str | None = None
    last_seen_at: datetime | None = None
    is_controllable: bool | None = None


@dataclass(slots=True)
class ConversationRecord:
    """A conversation or session."""

    origin: str
    external_id: str
    created_at: datetime
    updated_at: datetime
    title: str | None = None
    host: str | None = None
    project_key: str | None = None
    owner_id: UUID | None = None
    session_id: str | None = None
    flow_id: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class StoryRecord:
    """A story of a run; `key` is unique within it. `depends_on`: keys of the same run, all of them; None: not known."""

    key: str
    title: str | None = None
    description: str | None = None
    notes: str | None = None
    priority: int | None = None
    status: str | None = None
    source_status: str | None = None
    complexity: str | None = None
    depends_on: tuple[str, ...] | None = None


@dataclass(slots=True)
class RunRecord:
    """A run of a loop over stories. Of two records the one with the later `updated_at` says how the run stands.

    `reported_cost_usd` is what the source says; what its model calls cost is summed from usage entries. `metrics` is
    what the source counted beside that, as JSON: cache, parallel.
    """

    origin: str
    external_id: str
    status: str
    created_at: datetime
    updated_at: datetime
    source_status: str | None = None
    title: str | None = None
    git_branch: str | None = None
    host: str | None = None
    project_key: str | None = None
    owner_id: UUID | None = None
    current_story: str | None = None
    elapsed_ms: int | None = None
    reported_cost_usd: Decimal | None = None
    metrics: dict[str, Any] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    stories: list[StoryRecord] = field(default_factory=list)


@dataclass(slots=True)
class TaskRecord:
    """One attempt at a piece of work. Its status is applied by the transition table; a first sight may have any."""

    origin: str
    external_id: str
    source: str
    created_at: datetime
    updated_at: datetime
    status: str | None = None
    source_status: str | None = None
    title: str | None = None
    input: str | None = None
    result: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    host: str | None = None
    project_key: str | None = None
    owner_id: UUID | None = None
    agent_name: str | None = None
    conversation: Ref | None = None
    run: Ref | None = None
    story: str | None = None  # its key, in that run
    parent: Ref | None = None
    session_id: str | None = None
    flow_id: str | None = None
    git_branch: str | None = None
    model: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    # By our ids, for a caller that has the rows; they must exist.
    agent_id: UUID | None = None
    host_id: UUID | None = None
    project_id: UUID | None = None
    retry_of_id: UUID | None = None


@dataclass(slots=True)
class MessageRecord:
    """A message of a conversation; written once by (conversation, external_id) where the source has an id."""

    conversation: Ref
    role: str
    at: datetime
    text: str | None
    external_id: str | None = None
    task: Ref | None = None


@dataclass(slots=True)
class LogRecord:
    """One line of a task's log."""

    task: Ref
    at: datetime
    level: str
    stream: str
    text: str | None


@dataclass(slots=True)
class ToolCallRecord:
    """A tool call, unique by (task, external_id); its result may arrive in a later record of the same id."""

    task: Ref
    external_id: str
    name: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    succeeded: bool | None = None
    input: str | None = None
    output: str | None = None


@dataclass(slots=True)
class Tokens:
    """Token counts of one model call; input excludes what was read from or written to the cache."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        """All tokens; reasoning tokens are part of the output."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h + self.output

    def values(self) -> tuple[int, int, int, int, int, int]:
        """In the order of the tables' columns."""
        return (self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.output, self.reasoning)


@dataclass(slots=True)
class UsageEntry:
    """One row that tells of a model call. Rows that share a message id or a request id are one call (domain.usage)."""

    at: datetime
    model: str
    provider: str
    tokens: Tokens
    source: str
    message_id: str | None = None
    request_id: str | None = None
    dedup_key: str | None = None
    session_id: str | None = None
    is_sidechain: bool = False
    reported_cost_usd: Decimal | None = None
    task: Ref | None = None
    host: str | None = None
    project_key: str | None = None
    owner_id: UUID | None = None
    location: str | None = None
    raw: dict[str, Any] | None = None


@dataclass(slots=True)
class Batch:
    """What one transaction writes. Order within a list is the order in which things happened."""

    projects: list[ProjectRecord] = field(default_factory=list)
    agents: list[AgentRecord] = field(default_factory=list)
    conversations: list[ConversationRecord] = field(default_factory=list)
    runs: list[RunRecord] = field(default_factory=list)
    tasks: list[TaskRecord] = field(default_factory=list)
    messages: list[MessageRecord] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)
    tool_calls: list[ToolCallRecord] = field(default_factory=list)
    usage: list[UsageEntry] = field(default_factory=list)

    def extend(self, other: Batch) -> None:
        """Append what another batch holds: what it tells happened later."""
        self.projects += other.projects
        self.agents += other.agents
        self.conversations += other.conversations
        self.runs += other.runs
        self.tasks += other.tasks
        self.messages += other.messages
        self.logs += other.logs
        self.tool_calls += other.tool_calls
        self.usage += other.usage

    def __len__(self) -> int:
        return sum(
            len(records)
            for records in (
                self.projects,
                self.agents,
                self.conversations,
                self.runs,
                self.tasks,
                self.messages,
                self.logs,
                self.tool_calls,
                self.usage,
            )
        )


@dataclass(slots=True)
class Applied:
    """What `apply` did: counts of rows written, and the ids that names were resolved to."""

    task_ids: dict[tuple[str, str], UUID] = field(default_factory=dict)
    conversation_ids: dict[tuple[str, str], UUID] = field(default_factory=dict)
    run_ids: dict[tuple[str, str], UUID] = field(default_factory=dict)
    message_ids: list[UUID] = field(default_factory=list)  # one per message of the batch, in its order
    new_tasks: int = 0
    changed_tasks: int = 0
    new_conversations: int = 0
    new_runs: int = 0
    changed_runs: int = 0
    new_stories: int = 0
    new_messages: int = 0
    new_log_lines: int = 0
    new_tool_calls: int = 0
    new_calls: int = 0
    duplicate_calls: int = 0
    refused_transitions: list[tuple[str, str, str]] = field(default_factory=list)  # external id, from, to
