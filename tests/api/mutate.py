"""The mutations as documents, and tasks and conversations to use them on."""

from typing import Any

from db.queries import events as queries
from domain.ids import show_id
from domain.records import Batch, ConversationRecord, TaskRecord
from tests.client import Server
from tests.storage.build import START

TASK = "id revision status sourceStatus startedAt endedAt result errorType errorMessage conversation { id }"
CONVERSATION = "id revision title flowId tags project { id } messages { nodes { text } }"
ERROR = "... on UserError { code message path }"

TRIED = f"{TASK} input title agent {{ id }} retryOf {{ id }} viewerCanCancel viewerCanRetry"

SELECTIONS = {
    "createTask": f"... on CreateTaskSuccess {{ task {{ {TRIED} }} }}",
    "cancelTask": f"... on CancelTaskSuccess {{ task {{ {TRIED} }} command {{ id status reason requestedAt }} }}"
    " ... on InvalidTransition { currentTask { id status } }",
    "retryTask": f"... on RetryTaskSuccess {{ task {{ {TRIED} }} }}"
    " ... on InvalidTransition { currentTask { id status } }",
    "reportTask": f"... on ReportTaskSuccess {{ task {{ {TASK} }} }}"
    " ... on InvalidTransition { currentTask { id status } }",
    "appendTaskLog": "... on AppendTaskLogSuccess { lastSeq task { id revision } }",
    "createConversation": f"... on CreateConversationSuccess {{ conversation {{ {CONVERSATION} }} }}",
    "addMessage": "... on AddMessageSuccess { addedMessage { id role text at task { id } }"
    f" conversation {{ {CONVERSATION} }} }}",
    "linkTask": f"... on LinkTaskSuccess {{ task {{ {TASK} }} conversation {{ {CONVERSATION} }} }}",
    "reportUsage": "... on ReportUsageSuccess { writtenCount duplicateCount rejected { code message path } }",
}


def document(name: str) -> str:
    """The mutation as an operation with a variable."""
    input_type = name[0].upper() + name[1:] + "Input"
    return (
        f"mutation Run($input: {input_type}!) {{ {name}(input: $input) {{ __typename {SELECTIONS[name]} {ERROR} }} }}"
    )


async def mutate(server: Server, name: str, **values: Any) -> dict[str, Any]:
    """The member of the result union."""
    return dict((await server.query(document(name), input=values))[name])


async def new_task(server: Server, name: str = "t", status: str = "QUEUED") -> str:
    """A task's id."""
    record = TaskRecord("test", name, "ENGINE", START, START, status=status)
    applied = await server.write(Batch(tasks=[record]))
    return show_id("task", applied.task_ids["test", name])


async def new_conversation(server: Server, name: str = "c") -> str:
    """A conversation's id."""
    applied = await server.write(Batch(conversations=[ConversationRecord("test", name, START, START)]))
    return show_id("conversation", applied.conversation_ids["test", name])


async def events(server: Server, topic: str) -> list[tuple[str, dict[str, Any]]]:
    """Kinds and facts of a topic's events, in order."""
    return [(row.kind, row.facts) for row in await queries.since(server.database.read, topic, 0, 1_000)]
