"""The comparison is worth its time: it finds every fault that is put into the compiler."""

import dataclasses

import pytest

from tests.differential.compare import Differs, Judge
from tests.differential.documents import SCHEMA, Node, Pool
from tests.differential.mutants import MUTANTS, Mutant, mutated
from tests.differential.test_plans import bases, compare_all

# graphql-core leaves coroutines behind when an error ends their siblings.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def queries() -> list[list[Node]]:
    return bases(200, 0)  # so many that a mutation whose selection fails is among them


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
async def test_it_is_found(judge: Judge, pool: Pool, queries: list[list[Node]], mutant: Mutant) -> None:
    with mutated(mutant) as service:
        apart, joined = (service.Executor(SCHEMA, plans=True, joins=joins) for joins in (False, True))
        changed = dataclasses.replace(judge, apart=apart, joined=joined, seen=type(judge.seen)())
    with pytest.raises(Differs):
        await compare_all(changed, pool, queries)
