"""Runs with their stories. A run's revision counts changes of its stories too; the topic `runs` hears of both.

Stories are written under their run's row lock. One that a source no longer lists stays: its iterations point to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.database import WriteTransaction
from db.models.runs import COMPLEXITIES, RUN_STATUSES, STORY_STATUSES
from db.queries.writes import runs
from domain.errors import InvalidInput
from domain.ids import new_id
from domain.records import Applied, Batch, Ref, RunRecord, StoryRecord
from domain.text import clean_or_none, name_or_none, title_line
from domain.text import name as fit_name
from domain.writing.references import Name, References, name_of, resolve
from domain.writing.values import instant, merge

TOPIC = "runs"
NANO = Decimal("1e-9")
# What a newer record replaces and an older one only fills in.
STATE = ("status", "source_status", "elapsed_ms", "reported_cost_usd", "metrics", "ended_at")
ALWAYS = tuple(name for name in runs.TOLD if name not in (*STATE, "current_story_key"))
STORY_STATE = tuple(name for name in runs.STORY_TOLD if name not in ("created_at", "updated_at"))


@dataclass(slots=True)
class Runs:
    """The runs that a batch names, and the ids of their stories by (run, key)."""

    references: References
    stories: dict[tuple[UUID, str], UUID] = field(default_factory=dict)

    def story(self, run: Ref | None, key: str | None) -> UUID | None:
        """The id of a run's story; None when it has none of that key."""
        run_id = self.references.find(run)
        return None if run_id is None or key is None else self.stories.get((run_id, fit_name(key)))


async def write_runs(
    transaction: WriteTransaction,
    batch: Batch,
    hosts: Mapping[str, UUID],
    projects: Mapping[str, UUID],
    applied: Applied,
) -> Runs:
    """Make and move on the runs and stories of the batch; find those that its tasks name."""
    told: dict[Name, list[RunRecord]] = {}
    for record in batch.runs:
        told.setdefault(name_of(record.origin, record.external_id), []).append(record)
    found = Runs(await resolve(transaction, "run", runs.find, told, [task.run for task in batch.tasks]))
    by_name = found.references.by_name
    new = [_new(name, told[name], hosts, projects) for name in sorted(told) if name not in by_name]
    inserted: set[UUID] = set()
    if new:
        inserted = await runs.insert(transaction, new)
        by_name |= {(row["origin"], row["external_id"]): row["id"] for row in new if row["id"] in inserted}
        if len(inserted) < len(new):
            by_name |= (await runs.find(transaction, sorted(told), []))[0]
    records = {by_name[name]: told[name] for name in told}
    locked = await runs.lock(transaction, sorted(records)) if records else []
    with_stories = {*records, *(id_ for task in batch.tasks if task.story and (id_ := found.references.find(task.run)))}
    stored = await runs.stories_of(transaction, sorted(with_stories)) if with_stories else []
    stories: dict[UUID, dict[str, dict[str, Any]]] = {id_: {} for id_ in with_stories}
    for story in stored:
        stories[story.run_id][story.key] = dict(story.items())
    plan = _Plan()
    changed: list[dict[str, Any]] = []
    for row in locked:
        state = dict(row.items())
        before = dict(state)
        fresh = [_advance(state, record, hosts, projects) for record in records[row.id]]
        moved = False
        for record, is_newest in zip(records[row.id], fresh, strict=True):
            moved |= plan.stories(stories[row.id], row.id, record, is_newest=is_newest or row.id in inserted)
        if row.id in inserted:
            _tell(transaction, state)
        elif moved or state != before:
            state["revision"] += 1
            changed.append(state)
            _tell(transaction, state)
    if changed:
        await runs.write(transaction, changed)
    await plan.write(transaction)
    found.stories = {(run_id, key): story["id"] for run_id, keys in stories.items() for key, story in keys.items()}
    applied.new_runs, applied.changed_runs, applied.new_stories = len(inserted), len(changed), len(plan.new)
    applied.run_ids |= by_name
    return found


@dataclass(slots=True)
class _Plan:
    """What becomes of stories."""

    new: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    changed: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    depends_on: dict[UUID, list[UUID]] = field(default_factory=dict)

    def stories(self, held: dict[str, dict[str, Any]], run_id: UUID, record: RunRecord, *, is_newest: bool) -> bool:
        """Join what a record says of its run's stories with `held`; returns whether anything changes."""
        before = (len(self.new), len(self.changed), len(self.depends_on))
        for story in record.stories:
            self._story(held, run_id, record, story, is_newest=is_newest)
        for story in record.stories:
            if story.depends_on is None or not is_newest:
                continue
            state = held[fit_name(story.key)]
            keys = dict.fromkeys(fit_name(key) for key in story.depends_on)
            wanted = [held[key]["id"] for key in keys if key in held and key != state["key"]]
            if set(wanted) != set(state["depends_on"]):
                state["depends_on"] = self.depends_on[state["id"]] = wanted
        return before != (len(self.new), len(self.changed), len(self.depends_on))

    def _story(
        self, held: dict[str, dict[str, Any]], run_id: UUID, record: RunRecord, story: StoryRecord, *, is_newest: bool
    ) -> None:
        key, said = fit_name(story.key), _story_told(story)
        at = instant(record.updated_at)
        state = held.get(key)
        if state is None:
            created_at = instant(record.created_at)
            state = {"id": new_id(created_at), "run_id": run_id, "key": key, "depends_on": []}
            state |= {**dict.fromkeys(STORY_STATE), "priority": 0, "status": "PENDING", "complexity": "UNKNOWN"}
            state |= {"created_at": created_at, "updated_at": at}
            merge(state, said, STORY_STATE)
            held[key] = self.new[state["id"]] = state
            return
        before = dict(state)
        for name in STORY_STATE:
            if said[name] is not None and (is_newest or state[name] is None):
                state[name] = said[name]
        if state != before:
            state["updated_at"] = max(state["updated_at"], at)
            if state["id"] not in self.new:
                self.changed[state["id"]] = state

    async def write(self, transaction: WriteTransaction) -> None:
        """Write it."""
        if self.new:
            await runs.insert_stories(transaction, [self.new[id_] for id_ in sorted(self.new)])
        if self.changed:
            await runs.write_stories(transaction, [self.changed[id_] for id_ in sorted(self.changed)])
        if self.depends_on:
            pairs = [(id_, wanted) for id_, many in self.depends_on.items() for wanted in many]
            await runs.write_dependencies(transaction, sorted(self.depends_on), pairs)


def _word(value: str | None, allowed: Sequence[str], name: str) -> str | None:
    if value is not None and value not in allowed:
        raise InvalidInput(f"{value!r} is no {name}; there are {', '.join(allowed)}", (name,))
    return value


def _told(record: RunRecord, hosts: Mapping[str, UUID], projects: Mapping[str, UUID]) -> dict[str, Any]:
    """What a record says, by column."""
    cost = record.reported_cost_usd
    return {
        "status": _word(record.status, RUN_STATUSES, "status"),
        "source_status": name_or_none(record.source_status),
        "title": title_line(record.title),
        "git_branch": name_or_none(record.git_branch),
        "owner_id": record.owner_id,
        "project_id": projects[record.project_key] if record.project_key else None,
        "host_id": hosts[record.host] if record.host else None,
        "current_story_key": name_or_none(record.current_story),
        "elapsed_ms": record.elapsed_ms,
        "reported_cost_usd": None if cost is None else cost.quantize(NANO),
        "metrics": record.metrics,
        "started_at": instant(record.started_at),
        "ended_at": instant(record.ended_at),
        "created_at": instant(record.created_at),
        "updated_at": instant(record.updated_at),
    }


def _story_told(story: StoryRecord) -> dict[str, Any]:
    return {
        "title": title_line(story.title),
        "description": clean_or_none(story.description),
        "notes": clean_or_none(story.notes),
        "priority": story.priority,
        "status": _word(story.status, STORY_STATUSES, "status"),
        "source_status": name_or_none(story.source_status),
        "complexity": _word(story.complexity, COMPLEXITIES, "complexity"),
    }


def _new(
    name: Name, records: Sequence[RunRecord], hosts: Mapping[str, UUID], projects: Mapping[str, UUID]
) -> dict[str, Any]:
    first = _told(records[0], hosts, projects)
    state = {**first, "id": new_id(first["created_at"]), "origin": name[0], "external_id": name[1]}
    for record in records[1:]:
        _advance(state, record, hosts, projects)
    return state


def _advance(state: dict[str, Any], record: RunRecord, hosts: Mapping[str, UUID], projects: Mapping[str, UUID]) -> bool:
    """Move a run on to what a record says; returns whether the record is as new as what is stored."""
    values = _told(record, hosts, projects)
    is_newest: bool = values["updated_at"] >= state["updated_at"]
    merge(state, values, ALWAYS)
    for name in STATE:
        if values[name] is not None and (is_newest or state[name] is None):
            state[name] = values[name]
    if is_newest:
        # Between two stories there is none; and a run that goes on has not ended.
        state["current_story_key"] = values["current_story_key"]
        if state["status"] in ("RUNNING", "STALLED"):
            state["ended_at"] = None
    return is_newest


def _tell(transaction: WriteTransaction, state: Mapping[str, Any]) -> None:
    facts = {"id": str(state["id"]), "revision": state["revision"], "status": state["status"]}
    for fact in ("owner", "host", "project"):
        facts[fact] = str(state[f"{fact}_id"]) if state[f"{fact}_id"] else None
    transaction.emit(TOPIC, "RunChanged", facts)
