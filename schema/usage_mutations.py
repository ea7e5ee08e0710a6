"""`reportUsage`: inputs, result, declaration."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry

from domain import errors
from execution.declarations import Failure
from execution.fields import column, mutation, nested, object_type, operation_type
from resolvers import usage_mutations as resolvers
from schema.errors import InvalidInput
from schema.scalars import USD, SafeInt
from schema.task_inputs import nothing, some
from schema.task_mutations import AT
from schema.usage import CACHE_READ, CACHE_WRITE_1H, CACHE_WRITE_5M, INPUT, OUTPUT, REASONING


def tokens(description: str) -> SafeInt:
    """A count of tokens that is 0 where it is absent."""
    field: SafeInt = strawberry.field(default=SafeInt(0), description=description)
    return field


@strawberry.input(description="One call of a model.")
class UsageInput:
    """Becomes resolvers.usage_mutations.ReportedCall."""

    dedup_key: str = strawberry.field(
        description="What names the call, 1 to 200 characters: a call that is told again under the same key is counted"
        " once, and the larger of the records counts."
    )
    task_id: strawberry.ID | None = some("The task that it was made for.")
    at: datetime = strawberry.field(description=f"When. {AT}")
    model: str = strawberry.field(description="The model, by the provider's own name.")
    provider: str = strawberry.field(description="Who serves the model: anthropic, openai, google …")
    input_tokens: SafeInt = strawberry.field(description=f"{INPUT} 0 to 100,000,000, as all counts here.")
    output_tokens: SafeInt = strawberry.field(description=OUTPUT)
    cache_read_tokens: SafeInt = tokens(CACHE_READ)
    cache_write_5m_tokens: SafeInt = tokens(CACHE_WRITE_5M)
    cache_write_1h_tokens: SafeInt = tokens(CACHE_WRITE_1H)
    reasoning_tokens: SafeInt = tokens(REASONING)
    reported_cost_usd: USD | None = some(
        "What it cost, where you know it, 0 to 10,000; without it the price is worked out from the tokens."
    )


@strawberry.input(description="Model calls to count.")
class ReportUsageInput:
    """Becomes resolvers.usage_mutations.ReportUsage."""

    records: list[UsageInput] = strawberry.field(description="1 to 1,000 calls.")


@object_type(
    of=resolvers.ReportUsageSuccess,
    scope="METRICS",
    description="The records that can be true were counted. writtenCount + duplicateCount + the rejected ones are all.",
)
class ReportUsageSuccess:
    """See resolvers.usage_mutations."""

    written_count: int = column(description="Calls that were not known before.")
    duplicate_count: int = column(description="Records of calls that were known; they are not counted twice.")
    rejected: list[InvalidInput] = nested(
        lambda result: [Failure(error) for error in result.rejected],
        description='Records that cannot be, with the place of each: path ["records", "3", "model"] is the fourth.',
    )


ReportUsageResult = Annotated[
    ReportUsageSuccess | InvalidInput,
    strawberry.union("ReportUsageResult", description="What came of `reportUsage`."),
]


def _call(record: UsageInput) -> resolvers.ReportedCall:
    return resolvers.ReportedCall(
        record.dedup_key,
        record.at,
        record.model,
        record.provider,
        (
            record.input_tokens,
            record.cache_read_tokens,
            record.cache_write_5m_tokens,
            record.cache_write_1h_tokens,
            record.output_tokens,
            record.reasoning_tokens,
        ),
        nothing(record.task_id),
        nothing(record.reported_cost_usd),
    )


def report_usage_arguments(
    input: Annotated[ReportUsageInput, strawberry.argument(description="The calls.")],
) -> resolvers.ReportUsage:
    """The argument of `reportUsage`."""
    return resolvers.ReportUsage(tuple(_call(record) for record in input.records))


@operation_type(name="UsageMutations", description="Mutations of usage.")
class UsageMutations:
    """Fields of Mutation."""

    report_usage: ReportUsageResult = mutation(
        resolvers.report_usage,
        scope="WRITE",
        arguments=report_usage_arguments,
        expected=(errors.InvalidInput,),
        description="Tell of model calls: tokens and cost. A record that cannot be is rejected, the rest is counted.",
    )
