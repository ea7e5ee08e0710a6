"""The enums of the schema, each value described once."""

from __future__ import annotations

from enum import Enum

import strawberry
from strawberry import enum_value as value


@strawberry.enum(description="How far a task is. COMPLETED, FAILED and CANCELLED are final.")
class TaskStatus(Enum):
    """See domain.transitions."""

    QUEUED = value("QUEUED", description="Waits for an agent.")
    RUNNING = value("RUNNING", description="An agent works on it.")
    WAITING_INPUT = value("WAITING_INPUT", description="The agent waits for a person: a question, or a permission.")
    COMPLETED = value("COMPLETED", description="Ended as it should. Final.")
    FAILED = value("FAILED", description="Ended with an error. Final.")
    CANCELLED = value("CANCELLED", description="Stopped by a person, or abandoned. Final.")


@strawberry.enum(description="What told of the task.")
class TaskSource(Enum):
    """Kinds of origins."""

    CLAUDE_CODE = value("CLAUDE_CODE", description="A transcript of Claude Code.")
    CLAUDE_LOOP = value("CLAUDE_LOOP", description="A run folder of claude-loop.")
    ENGINE = value("ENGINE", description="The agent engine, over Redis.")
    OTLP = value("OTLP", description="OpenTelemetry.")
    WEBHOOK = value("WEBHOOK", description="A webhook delivery.")
    API = value("API", description="A mutation of this API.")
    OTHER = value("OTHER", description="Anything else.")


@strawberry.enum(description="Why a task counts as stuck.")
class StuckReason(Enum):
    """What the sweeper found."""

    NO_OUTPUT = value("NO_OUTPUT", description="It is running and has said nothing for a long time.")
    WAITING_INPUT = value("WAITING_INPUT", description="It has waited for a person for a long time.")
    RETRY_STORM = value("RETRY_STORM", description="Its model calls fail and are tried again and again.")
    AGENT_OFFLINE = value("AGENT_OFFLINE", description="Its agent has gone.")


@strawberry.enum(description="Whether text that people and agents wrote is shown, and if not, why.")
class ContentAccess(Enum):
    """Why a content field may be null."""

    FULL = value("FULL", description="It is shown; null means there is none.")
    REDACTED = value("REDACTED", description="It was cut before it was sent here.")
    HIDDEN = value("HIDDEN", description="You may not see it.")
    EXPIRED = value("EXPIRED", description="It was removed after its time of retention.")
    NOT_COLLECTED = value("NOT_COLLECTED", description="The source did not send it.")


@strawberry.enum(description="Who sees the content of a conversation.")
class Visibility(Enum):
    """A later step decides by row; today every reader sees all."""

    OWNER = value("OWNER", description="Its owner.")
    PROJECT = value("PROJECT", description="The people of its project.")
    EVERYONE = value("EVERYONE", description="Every reader.")


@strawberry.enum(description="How grave a log line is.")
class LogLevel(Enum):
    """Levels."""

    DEBUG = value("DEBUG", description="For those who look for a fault.")
    INFO = value("INFO", description="What happens.")
    WARN = value("WARN", description="Worth a look.")
    ERROR = value("ERROR", description="Something failed.")


@strawberry.enum(description="Where a log line comes from.")
class LogStream(Enum):
    """Streams."""

    STDOUT = value("STDOUT", description="What the agent says.")
    STDERR = value("STDERR", description="What it says of errors.")
    THINKING = value("THINKING", description="What the model thought.")
    TOOL_CALL = value("TOOL_CALL", description="A call of a tool.")
    TOOL_RESULT = value("TOOL_RESULT", description="What a tool answered.")
    SYSTEM = value("SYSTEM", description="What the agent's own program says.")


@strawberry.enum(description="What an agent is made for.")
class AgentType(Enum):
    """Types."""

    PLANNING = value("PLANNING", description="Plans work.")
    EXECUTOR = value("EXECUTOR", description="Carries work out.")
    CODE_IMPLEMENTATION = value("CODE_IMPLEMENTATION", description="Writes code.")
    QUESTION_ASKING = value("QUESTION_ASKING", description="Asks and answers questions, explores.")
    CONSULTATION = value("CONSULTATION", description="Gives advice, reviews.")
    CUSTOM = value("CUSTOM", description="Anything else.")


@strawberry.enum(description="What an agent does now.")
class AgentStatus(Enum):
    """Statuses."""

    ONLINE = value("ONLINE", description="It is there.")
    BUSY = value("BUSY", description="It works on a task.")
    IDLE = value("IDLE", description="It is there and has nothing to do.")
    OFFLINE = value("OFFLINE", description="It has not been heard of for a while.")
    STOPPED = value("STOPPED", description="It was stopped.")


@strawberry.enum(description="Where a usage record's costUsd comes from.")
class CostSource(Enum):
    """Sources of cost."""

    REPORTED = value("REPORTED", description="The source said what the call cost.")
    COMPUTED = value("COMPUTED", description="Worked out from the tokens and the dated prices of the model.")
    UNPRICED = value("UNPRICED", description="Nobody knows the model's price: costUsd is null, never 0.")


@strawberry.enum(description="Who wrote a message.")
class MessageRole(Enum):
    """Roles."""

    USER = value("USER", description="A person, or the program that asks in their place.")
    ASSISTANT = value("ASSISTANT", description="The agent.")
    SYSTEM = value("SYSTEM", description="The agent's own program.")
    TOOL = value("TOOL", description="A tool.")


@strawberry.enum(description="How a run of a loop stands.")
class RunStatus(Enum):
    """See domain.progress: the first two are told apart by the clock."""

    RUNNING = value("RUNNING", description="Has not ended, and was heard of in the last 60 seconds.")
    STALLED = value("STALLED", description="Has not ended, and is silent: stopped, or not begun.")
    COMPLETED = value("COMPLETED", description="All its stories are completed.")
    FAILED = value("FAILED", description="Ended with stories that failed.")


@strawberry.enum(description="How far a story is.")
class StoryStatus(Enum):
    """Statuses of stories."""

    PENDING = value("PENDING", description="Not begun, or not passed yet.")
    IN_PROGRESS = value("IN_PROGRESS", description="An iteration works on it.")
    COMPLETED = value("COMPLETED", description="Done: it passes.")
    FAILED = value("FAILED", description="Given up.")
    BLOCKED = value("BLOCKED", description="Its source says that something is in its way; see also blockedBy.")


@strawberry.enum(description="How much work a story is.")
class Complexity(Enum):
    """Complexities; sources also say low and high."""

    SIMPLE = value("SIMPLE", description="Little.")
    MEDIUM = value("MEDIUM", description="Some.")
    COMPLEX = value("COMPLEX", description="Much.")
    UNKNOWN = value("UNKNOWN", description="Nobody said.")


@strawberry.enum(description="How far a command to an agent is.")
class CommandStatus(Enum):
    """Statuses of a command."""

    REQUESTED = value("REQUESTED", description="Asked for; the agent's side has not answered yet.")
    ACKNOWLEDGED = value("ACKNOWLEDGED", description="The agent's side has taken it.")
    DONE = value("DONE", description="Carried out.")
    REFUSED = value("REFUSED", description="Not done: the agent's side would not, or the task ended first.")
    TIMED_OUT = value("TIMED_OUT", description="Nobody answered in time.")


@strawberry.enum(description="Which way a list runs.")
class SortDirection(Enum):
    """Directions."""

    ASC = value("ASC", description="Smallest or oldest first.")
    DESC = value("DESC", description="Largest or newest first.")


@strawberry.enum(description="What tasks can be ordered by.")
class TaskOrderField(Enum):
    """Orders."""

    CREATED_AT = value("CREATED_AT", description="When the task was created. Rows never move.")
    UPDATED_AT = value("UPDATED_AT", description="When anything of it last changed. Rows move while tasks run.")
    COST = value("COST", description="What its model calls cost. Rows may move while tasks run.")


@strawberry.enum(description="A unit of the calendar.")
class CalendarUnit(Enum):
    """Units."""

    DAY = value("DAY", description="Since midnight.")
    WEEK = value("WEEK", description="Since Monday.")
    MONTH = value("MONTH", description="Since the first of the month.")


@strawberry.enum(name="Scope", description="What a token allows.")
class ScopeName(Enum):
    """Scopes."""

    METRICS = value("METRICS", description="Status, times, tokens and money; no content.")
    READ = value("READ", description="Content too: prompts, messages, logs, results.")
    WRITE = value("WRITE", description="Report tasks, logs and usage; conversations and messages.")
    CONTROL = value("CONTROL", description="Create, cancel and retry tasks; restart and stop agents.")
    INGEST = value("INGEST", description="Send transcripts and telemetry.")
    ADMIN = value("ADMIN", description="Keys, rules and sources.")


@strawberry.enum(description="Whether the service has all it needs.")
class HealthStatus(Enum):
    """Health."""

    OK = value("OK", description="All is well.")
    DEGRADED = value("DEGRADED", description="It answers, but a store is away: live events may come late.")
