"""A board of 40 tasks with known facts, and one deep task: what reads of tasks are compared with, in plain Python."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from db.models.base import Row
from db.statements import Statement, raw_statement
from domain.ids import new_id, show_id
from domain.records import (
    AgentRecord,
    Applied,
    Batch,
    ConversationRecord,
    LogRecord,
    ProjectRecord,
    Ref,
    TaskRecord,
    Tokens,
    ToolCallRecord,
    UsageEntry,
)
from tests.client import Server

ORIGIN = "test:board"
# A Sunday. In Berlin the clocks went forward this night: the day began at 23:00 UTC, an hour from the present offset.
NOW = datetime(2026, 3, 29, 10, 30, 0, 500_000, tzinfo=UTC)
STATUSES = ("QUEUED", "RUNNING", "WAITING_INPUT", "COMPLETED", "FAILED", "CANCELLED")
SOURCES = ("CLAUDE_CODE", "ENGINE", "API")
TYPES = ("PLANNING", "EXECUTOR")
SIZE = 40
DEEP = 25  # how many children, lines, tool calls and model calls the deep task has


def created(n: int) -> datetime:
    """Two tasks in a row came to be in the same millisecond, four hours after the two before; the last four today."""
    return NOW - timedelta(hours=4 * ((SIZE - 1 - n) // 2), minutes=1)


@dataclass(frozen=True)
class Fact:
    """What was told of one task."""

    name: str
    created_at: datetime
    status: str
    source: str
    agent: int
    model: str | None
    owner: int | None
    host: int
    project: int
    conversation: int
    parent: str | None
    flow: str | None
    branch: str | None
    costs: tuple[Decimal | None, ...]
    took_ms: int | None

    @property
    def cost(self) -> Decimal:
        return sum((cost for cost in self.costs if cost is not None), Decimal(0))


def fact(n: int) -> Fact:
    """The n-th task of the board, the oldest first."""
    return Fact(
        name=f"t{n:02}",
        created_at=created(n),
        status=STATUSES[n % 6],
        source=SOURCES[n % 3],
        agent=n % 4,
        model=None if n % 5 == 0 else f"model-{n % 5}",
        owner=None if n % 2 else n % 4 // 2,
        host=n % 4,  # its agent's
        project=n % 3,
        conversation=n % 7,
        parent=None if n < 4 else f"t{n % 4:02}",
        flow=None if n % 3 else f"jira:FG-{n % 2}",
        branch=("main", "fix/1", None)[n % 3],
        costs=tuple(None if call == 3 else Decimal(call + 1) / 1000 for call in range(n % 5)),
        took_ms=1_000 * n + 7 if STATUSES[n % 6] in ("COMPLETED", "FAILED") else None,
    )


FACTS = [fact(n) for n in range(SIZE)]
DEEP_FACT = Fact("deep", created(0), "RUNNING", "OTHER", 0, "m", None, 0, 0, 0, None, None, None, (), None)


def _ref(name: str) -> Ref:
    return Ref(ORIGIN, name)


def usage(task: str, call: str, at: datetime, cost: Decimal | None, **counts: int) -> UsageEntry:
    """A model call; one without a cost is of a model that nobody knows."""
    tokens = Tokens(**{"input": 10, "output": 3, **counts})
    model = "claude-sonnet-4-5" if cost is not None else "nobody-knows-it"
    return UsageEntry(
        at, model, "anthropic", tokens, "API", dedup_key=f"{task}/{call}", reported_cost_usd=cost, task=_ref(task)
    )


def _records(owners: list[Any]) -> Batch:
    batch = Batch(
        projects=[ProjectRecord(f"p{n}", f"Project {n}") for n in range(3)],
        agents=[AgentRecord(f"a{n}", f"h{n}", TYPES[n % 2]) for n in range(4)],
        conversations=[ConversationRecord(ORIGIN, f"c{n}", created(0), created(0)) for n in range(7)],
    )
    for told in FACTS:
        started = None if told.took_ms is None else told.created_at + timedelta(seconds=1)
        batch.tasks.append(
            TaskRecord(
                ORIGIN,
                told.name,
                told.source,
                told.created_at,
                told.created_at,
                status=told.status,
                agent_name=f"a{told.agent}",
                host=f"h{told.host}",
                model=told.model,
                owner_id=None if told.owner is None else owners[told.owner],
                project_key=f"p{told.project}",
                conversation=_ref(f"c{told.conversation}"),
                parent=None if told.parent is None else _ref(told.parent),
                flow_id=told.flow,
                git_branch=told.branch,
                started_at=started,
                ended_at=None
                if told.took_ms is None or started is None
                else started + timedelta(milliseconds=told.took_ms),
            )
        )
        batch.usage += [usage(told.name, str(n), told.created_at, cost) for n, cost in enumerate(told.costs)]
    return batch


def _deep() -> Batch:
    """Rows of lists share their instants by threes: only the id tells them apart."""
    batch = Batch(tasks=[TaskRecord(ORIGIN, "deep", "OTHER", created(0), created(0), status="RUNNING")])
    for n in range(DEEP):
        at = created(0) + timedelta(minutes=n // 3)
        batch.tasks.append(TaskRecord(ORIGIN, f"deep/{n}", "OTHER", at, at, status="QUEUED", parent=_ref("deep")))
        level, stream = ("INFO", "ERROR", "WARN")[n % 3], ("STDOUT", "STDERR")[n % 2]
        batch.logs.append(LogRecord(_ref("deep"), at, level, stream, f"Line {n}: Größe 50% _done_"))
        batch.tool_calls.append(ToolCallRecord(_ref("deep"), f"call{n}", f"Tool{n}", at))
        batch.usage.append(usage("deep", str(n), at, Decimal("0.000000001"), input=n))
    return batch


@dataclass
class Board:
    """The server, and the ids of what was written by the names above."""

    server: Server
    ids: dict[str, str] = field(default_factory=dict)

    async def names(self, document: str, **variables: Any) -> list[str]:
        """The externalIds of a page of `tasks`."""
        return [node["externalId"] for node in (await self.server.query(document, **variables))["tasks"]["nodes"]]


NEW_USER: Statement[Row] = raw_statement("INSERT INTO users (id, subject, name, created_at) VALUES ($1, $2, $2, $3)")
NAMES: dict[str, Statement[Row]] = {
    "agent": raw_statement("SELECT name, id FROM agents"),
    "host": raw_statement("SELECT name, id FROM hosts"),
    "project": raw_statement("SELECT key AS name, id FROM projects"),
    "user": raw_statement("SELECT name, id FROM users"),
}


async def fill(server: Server) -> Board:
    """Write everything."""
    owners = [new_id(NOW), new_id(NOW)]
    async with server.database.write() as transaction:
        await transaction.execute_many(NEW_USER, [(id_, f"u{n}", NOW) for n, id_ in enumerate(owners)])
    board = Board(server)
    for batch in (_records(owners), _deep()):
        applied: Applied = await server.write(batch)
        board.ids |= {name: show_id("task", id_) for (_, name), id_ in applied.task_ids.items()}
        board.ids |= {name: show_id("conversation", id_) for (_, name), id_ in applied.conversation_ids.items()}
    for kind, statement in NAMES.items():
        rows = await server.database.read.fetch(statement)
        board.ids |= {row["name"]: show_id(kind, row["id"]) for row in rows}
    return board
