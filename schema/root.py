"""Query, Mutation and Subscription, assembled from the slices; the built schema and its SDL."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import strawberry
from graphql import GraphQLInputObjectType, GraphQLSchema
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from execution.fields import operation_type, root
from resolvers import tasks as task_resolvers
from resolvers import usage as usage_resolvers
from schema.access import AccessQueries
from schema.agents import AgentQueries
from schema.control import ControlMutations
from schema.conversation_mutations import ConversationMutations
from schema.conversations import ConversationQueries
from schema.runs import RunQueries
from schema.scalars import SCALARS
from schema.subscriptions import LiveFields
from schema.system import SystemQueries
from schema.task_inputs import tasks_arguments
from schema.task_mutations import TaskMutations
from schema.tasks import Task, TaskConnection, ToolCall
from schema.usage import Summary, UsageRecord, summary_arguments
from schema.usage_mutations import UsageMutations


def task_argument(id: Annotated[strawberry.ID, strawberry.argument(description="Its id: task_ and 32 digits.")]) -> str:
    """The argument of `task`."""
    return str(id)


@operation_type(name="Query", description="What can be read.")
class Query(AgentQueries, ConversationQueries, RunQueries, AccessQueries, SystemQueries):
    """All fields of Query."""

    task: Task | None = root(
        task_resolvers.get_task,
        scope="METRICS",
        arguments=task_argument,
        description="One task by its id; null when there is none.",
    )
    tasks: TaskConnection = root(
        task_resolvers.list_tasks,
        scope="METRICS",
        arguments=tasks_arguments,
        description="Tasks, page by page: stable while new ones arrive.",
    )
    summary: Summary = root(
        usage_resolvers.get_summary,
        scope="METRICS",
        arguments=summary_arguments,
        description="What happened in a range of time: cost, tokens, tasks, success and duration.",
    )


@operation_type(name="Mutation", description="What can be told. Each field is a transaction of its own.")
class Mutation(ControlMutations, TaskMutations, ConversationMutations, UsageMutations):
    """All fields of Mutation."""


@operation_type(name="Subscription", description="What can be followed live, over graphql-transport-ws.")
class Subscription(LiveFields):
    """All fields of Subscription."""


@lru_cache(maxsize=1)
def strawberry_schema() -> strawberry.Schema:
    """The Strawberry schema; there is one."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[ToolCall, UsageRecord],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def build_schema() -> GraphQLSchema:
    """The graphql-core schema that operations run on."""
    schema = strawberry_schema()._schema
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            # Strawberry checks @oneOf when a field is resolved; graphql-core does before, if it is told.
            type_.is_one_of = type_.extensions["strawberry-definition"].is_one_of
    return schema


def print_sdl() -> str:
    """The schema as SDL, with a newline at the end."""
    return print_schema(strawberry_schema()).rstrip() + "\n"
