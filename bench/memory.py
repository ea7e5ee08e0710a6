"""Memory: how much the server holds after a million requests of a thousand different documents."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from bench.load import Requests, press
from bench.servers import Server
from bench.stores import Stores, say

DOCUMENTS = 1_000
REQUESTS = 1_000_000
CONNECTIONS = 32
SLICE_S = 10

# By type: its own fields, and those that read more. Documents of them are as large as those of graphql/operations.
TOTALS = "usage{costUsd,callCount,inputTokens,cacheReadTokens,cacheWrite5mTokens,outputTokens,reasoningTokens}"
INNER = f"{{id,status,title,model,createdAt,startedAt,endedAt,updatedAt,durationMs,gitBranch,sessionId,{TOTALS}}}"
PAGE = "pageInfo{hasNextPage,hasPreviousPage,startCursor,endCursor}"
TASK = (
    "revision status sourceStatus source origin externalId contentAccess title errorType sessionId flowId gitBranch"
    f" model createdAt startedAt endedAt updatedAt durationMs stuckSince stuckReason {TOTALS}",
    "input agent{id,name,type,status,lastSeenAt,isControllable} conversation{id,title,tags,createdAt,updatedAt}"
    f" project{{id,name}} parentTask{INNER} children(first:2){{nodes{INNER},{PAGE},totalCount}}"
    f" logs(first:3){{nodes{{seq,at,level,stream,text,truncated}},{PAGE},eventCursor}}"
    f" toolCalls(first:3){{nodes{{id,name,startedAt,durationMs,succeeded}},{PAGE}}}",
)
AGENT = ("name type status lastSeenAt isControllable", f"host{{id,name}} currentTasks(first:2){{nodes{INNER},{PAGE}}}")
CONVERSATION = (
    "revision title visibility sessionId flowId tags createdAt updatedAt contentAccess",
    f"project{{id,name}} owner{{id,name}} {TOTALS} messages(first:2){{nodes{{id,role,at,text}},{PAGE}}}"
    f" tasks(first:2){{nodes{INNER},{PAGE}}}",
)


def documents(tasks: Sequence[UUID], count: int = DOCUMENTS) -> list[dict[str, Any]]:
    """Requests that all differ in their document: other fields, aliases and pages, the same each time."""
    return [_document(n, random.Random(n), tasks[n % len(tasks)]) for n in range(count)]  # noqa: S311 - no secret


def _document(n: int, chance: random.Random, task: UUID) -> dict[str, Any]:
    kind = chance.choice(("task", "task", "tasks", "agents", "conversations"))
    if kind == "task":
        head, variables = f"query Task{n}($id: ID!)", {"id": f"task_{task.hex}"}
        return {"query": f"{head} {{ task(id: $id) {{ id {_some(chance, TASK)} }} }}", "variables": variables}
    fields = {"tasks": TASK, "agents": AGENT, "conversations": CONVERSATION}[kind]
    query = (
        f"query {kind.title()}{n}($first: Int!) {{ {kind}(first: $first)"
        f" {{ nodes {{ id {_some(chance, fields)} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    )
    return {"query": query, "variables": {"first": chance.randint(1, 5)}}


def _some(chance: random.Random, fields: tuple[str, str]) -> str:
    own, more = (words.split() for words in fields)
    chosen = [
        *chance.sample(own, chance.randint(len(own) // 3, len(own))),
        *chance.sample(more, min(len(more), chance.randint(1, 3))),
    ]
    return " ".join(f"a{n}: {field}" if chance.random() < 0.1 else field for n, field in enumerate(chosen))


def measure_memory(
    stores: Stores, server: Server, asked: Sequence[dict[str, Any]], *, requests: int, minutes: float
) -> list[tuple[int, float]]:
    """Resident MiB by the number of requests answered; ends at `requests`, or when the time is up."""
    found = [(0, server.memory_mib)]
    for body in asked:
        answer = server.post(body)
        assert "errors" not in answer, f"{body} is answered with {answer['errors']}"
    found.append((len(asked), server.memory_mib))
    prepared = Requests.write(stores.folder / "requests", "memory", server.url, asked, server.kind.headers)
    deadline = time.monotonic() + minutes * 60
    while found[-1][0] < requests and time.monotonic() < deadline:
        load = press(prepared, CONNECTIONS, SLICE_S)
        found.append((found[-1][0] + load.requests, server.memory_mib))
        say(f"{found[-1][0]:>9,} requests, {load.rate:.0f} a second: {found[-1][1]:.0f} MiB")
    return found
