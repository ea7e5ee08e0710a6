"""Batches of runs and stories. `args` is what the field's arguments function made of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.handles import Handle
from db.models.runs import RunRow, StoryRow
from db.queries import runs as queries
from db.queries.runs import RunSelection, RunSumsRow
from loaders.batch import align, group

UNIQUE = dict.fromkeys


@dataclass(frozen=True, slots=True)
class StoryCounts:
    """A run with the number of its stories."""

    run: RunRow
    story_count: int
    completed_story_count: int


async def by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[RunRow | None]:
    """A run per id."""
    return align(keys, await queries.by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def story_by_id(database: Handle, keys: Sequence[UUID], args: None) -> list[StoryRow | None]:
    """A story per id."""
    return align(keys, await queries.stories_by_id(database, list(UNIQUE(keys))), lambda row: row.id)


async def story_by_key(database: Handle, keys: Sequence[tuple[UUID, str]], args: None) -> list[StoryRow | None]:
    """A story per run and key."""
    rows = await queries.stories_by_key(database, list(UNIQUE(keys)))
    return align(keys, rows, lambda row: (row.run_id, row.key))


async def stories_by_run(database: Handle, keys: Sequence[UUID], args: None) -> list[list[StoryRow]]:
    """The stories of each run, by priority."""
    return group(keys, await queries.stories_by_run(database, list(UNIQUE(keys))), lambda row: row.run_id)


async def dependencies(database: Handle, keys: Sequence[UUID], args: None) -> list[list[StoryRow]]:
    """What each story depends on, by priority."""
    rows = await queries.depended_on(database, list(UNIQUE(keys)), unfinished=False)
    return group(keys, rows, lambda row: row["parent_key"])


async def blockers(database: Handle, keys: Sequence[UUID], args: None) -> list[list[StoryRow]]:
    """What each story depends on and is not completed, by priority."""
    rows = await queries.depended_on(database, list(UNIQUE(keys)), unfinished=True)
    return group(keys, rows, lambda row: row["parent_key"])


async def story_counts(database: Handle, keys: Sequence[RunRow], args: None) -> list[StoryCounts]:
    """Each run with the number of its stories."""
    rows = await queries.story_counts(database, list(UNIQUE(run.id for run in keys)))
    found = {row.run_id: row for row in rows}
    return [
        StoryCounts(run, counted.story_count, counted.completed_count) if counted else StoryCounts(run, 0, 0)
        for run, counted in ((run, found.get(run.id)) for run in keys)
    ]


async def sums(database: Handle, keys: Sequence[UUID], args: None) -> list[RunSumsRow | None]:
    """What each run's iterations came to."""
    return align(keys, await queries.sums(database, list(UNIQUE(keys))), lambda row: row.run_id)


async def counts(database: Handle, keys: Sequence[RunSelection], args: int) -> list[int]:
    """A number of runs per selection, no further than `args`; an operation has one per root field."""
    answers = {key: await queries.count(database, key, args) for key in UNIQUE(keys)}
    return [answers[key] for key in keys]
