"""Whatever a document asks, a plan answers as graphql-core does: the same JSON, the same errors.

A long run (`make differential`) is in parts, one for each process; what each has seen is summed at the end (conftest).
"""

import os
import sys
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.differential.compare import Differs, Judge
from tests.differential.documents import BASES, FIRST, Node, Pool, Rewriter, read

# graphql-core leaves coroutines behind when an error ends their siblings.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Said of whoever uses it meanwhile: a server of another test that lives on in this process.
    pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies"),
]
DOCUMENTS = int(os.environ.get("DIFFERENTIAL_DOCUMENTS", "2000"))
PARTS = int(os.environ.get("DIFFERENTIAL_PARTS", "1"))
IS_LONG = DOCUMENTS > 2000
REWRITINGS = 40 if IS_LONG else 10  # of one base query: those are slow to make
SHOWN = 10  # differences after which a long run ends


@cache
def bases(count: int, part: int) -> list[list[Node]]:
    """Queries of ours and so many of hypothesis-graphql's; in a long run each part has others."""
    found = [read(text) for text in FIRST]

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=not IS_LONG,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(BASES)
    def collect(text: str) -> None:
        found.append(read(text))

    collect()
    return found


async def compare_all(
    judge: Judge, pool: Pool, queries: list[list[Node]], first_seed: int = 0, found: list[str] | None = None
) -> None:
    """Every query in its rewritings, a third without faults. Differences go into `found`, or the first is raised."""
    seed = first_seed
    for roots in queries:
        for _ in range(REWRITINGS):
            seed += 1
            document = Rewriter(pool, seed).rewrite(roots)
            try:
                await judge.compare(document, None if seed % 3 == 0 else seed)
            except Differs as difference:
                if found is None:
                    raise
                found.append(str(difference))
            if judge.seen["documents"] >= DOCUMENTS // PARTS or len(found or ()) >= SHOWN:
                return


@pytest.mark.parametrize("part", range(PARTS))
async def test_plans_answer_as_graphql_core_does(
    part: int,
    judge: Judge,
    pool: Pool,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    judge.seen.clear()
    done = part * 10 * DOCUMENTS  # no two parts have a seed in common
    found: list[str] = []
    while judge.seen["documents"] < DOCUMENTS // PARTS and len(found) < SHOWN:
        queries = bases(500 if IS_LONG else 100, done)  # not in a thread: Hypothesis minds others that use random
        await compare_all(judge, pool, queries, done, found)
        done += len(queries) * REWRITINGS
        if IS_LONG:
            with capsys.disabled():
                print(f"part {part}: {judge.seen['documents']:,}", file=sys.stderr, flush=True)  # noqa: T201
    record_property("compared", {**judge.seen, "mismatches": len(found)})
    record_property("fallbacks", dict(judge.apart.fallbacks + judge.joined.fallbacks))
    assert not found, "\n\n".join(found)
    assert judge.seen["without faults, joined"] > 0
    assert judge.seen["by a plan alone"] > 0.4 * judge.seen["documents"]
