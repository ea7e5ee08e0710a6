"""Imports claude-loop's projects: each run in a transaction with the signatures of its files.

What has not changed by size, time and SHA-256 is not read into records again; what is half written keeps no signature
and so is looked at again. A log line is taken in once, known by its task, its place and its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from db.database import Database
from db.models.ingest import ImportOffsetRow
from db.queries import imports
from db.queries.imports import FileOffset
from domain.erase import erase_plan
from domain.ids import new_id
from domain.records import Batch
from domain.writer import apply
from ingest.claude_loop.documents import Contents, Findings, read_object, read_rows
from ingest.claude_loop.files import Found, Loop
from ingest.claude_loop.metrics import Metrics, read_metrics, read_summary
from ingest.claude_loop.plan import Planner, RunFiles, is_run_folder
from ingest.claude_loop.project import Surroundings, call_entry, queue_batch
from ingest.claude_loop.records import RunBuilder, Told
from ingest.claude_loop.times import Times
from ingest.lines import shown
from ingest.report import Report, Skipped
from ingest.run import Clock, Publish

IMPORTER = "claude-loop"
LOST = "no run covers it"


async def import_loops(
    database: Database,
    found: Found,
    *,
    host: str,
    zone: tzinfo | None,
    clock: Clock,
    publish: Publish,
    report: Report,
    advance: Callable[[int], None] = lambda _bytes: None,
) -> None:
    """Import all projects. `zone` is what times without a timezone are read in; None is this machine's."""
    report.kinds["other files"] += len(found.others)
    for loop in found.loops:
        await _LoopImport(database, loop, host, Times(zone), clock, publish, report, advance).run()


class _LoopImport:
    """The import of one project."""

    def __init__(
        self,
        database: Database,
        loop: Loop,
        host: str,
        times: Times,
        clock: Clock,
        publish: Publish,
        report: Report,
        advance: Callable[[int], None],
    ) -> None:
        self._database, self._loop, self._host, self._times = database, loop, host, times
        self._clock, self._publish, self._report, self._advance = clock, publish, report, advance
        self._contents = Contents(set(loop.files), report.unreadable)
        self._findings = Findings()
        self._stats: dict[Path, tuple[int, int]] = {}
        self._known: dict[str, ImportOffsetRow] = {}
        self._told_of: set[Path] = set()  # files whose bad lines are in the findings

    async def run(self) -> None:
        """Import what is new or has changed."""
        files, report = sorted(self._contents.paths), self._report
        report.files += len(files)
        self._stats = {path: stat for path in files if (stat := self._stat(path)) is not None}
        self._known = await imports.offsets(self._database.read, IMPORTER, self._host, [shown(path) for path in files])
        changed = {path for path in self._stats if self._has_changed(path)}
        report.unchanged_files += len(self._stats) - len(changed)
        if not changed:
            self._pass(files)
            return
        planner = Planner(self._loop, self._times, self._contents, self._findings, self._clock())
        runs = planner.runs()
        folders = [run for run in runs if is_run_folder(run.name) or run.session is not None]
        for run in runs:
            if any(path in changed or self._was_of(path) != run.name for path in run.files):
                await self._import_run(run, folders)
        of_runs = {path for run in runs for path in run.files}
        await self._import_rest(changed - planner.waiting, of_runs, has_runs=bool(folders))
        for found in self._findings.skipped:
            report.skip(found)
        report.waiting += self._findings.waiting
        self._pass(files)

    def _pass(self, files: Sequence[Path]) -> None:
        for path in files:
            size = self._stats.get(path, (0, 0))[0]
            self._advance(size)

    def _stat(self, path: Path) -> tuple[int, int] | None:
        try:
            status = path.stat()
        except OSError as error:
            self._contents.paths.discard(path)
            self._report.unreadable.append(Skipped(shown(path), 0, error.strerror or str(error)))
            return None
        return status.st_size, status.st_mtime_ns

    def _has_changed(self, path: Path) -> bool:
        known = self._known.get(shown(path))
        if known is None or known.state.get("open"):
            return True
        size, modified = self._stats[path]
        if known.byte_offset != size:
            return True
        return known.state.get("mtime_ns") != modified and self._hash(path) != known.head_sha256

    def _was_of(self, path: Path) -> object:
        """The run that the file was read for last time."""
        known = self._known.get(shown(path))
        return None if known is None else known.state.get("run")

    def _hash(self, path: Path) -> str:
        return sha256(self._contents.read(path)).hexdigest()

    def _modified_at(self, paths: Sequence[Path]) -> datetime:
        newest = max((self._stats[path][1] for path in paths if path in self._stats), default=0)
        return datetime.fromtimestamp(newest // 1_000_000 / 1000, UTC)

    def _around(self) -> Surroundings:
        name = self._loop.name or shown(self._loop.root)
        return Surroundings(self._host, name, name.rstrip("/").rpartition("/")[2] or name, self._times, self._clock())

    async def _import_run(self, run: RunFiles, folders: Sequence[RunFiles]) -> None:
        metrics = self._metrics(run)
        if run.metrics is not None and metrics is None and self._was_of(run.metrics) is not None:
            return  # all of it is stored as it was; the next pass looks again
        calls: list[tuple[int, dict[str, Any]]] = []
        executions: list[tuple[int, dict[str, Any]]] = []
        if run in folders and (metrics is not None or run.metrics is None):
            calls, executions = self._lines_of(run, folders)
        told = RunBuilder(run, self._around(), metrics, self._modified_at([*run.files]), calls, executions).build()
        was_plan = run.plan is not None and self._was_of(run.plan[0]) == run.plan[1]
        await self._write(told, run.files, run.name, plan=run.plan[1] if run.plan and was_plan else None)
        for path in {*run.files} - {*self._loop.logs, run.log_path}:  # a project may have thousands of runs
            self._contents.held.pop(path, None)

    def _metrics(self, run: RunFiles) -> Metrics | None:
        """What metrics.json and summary.json say; None when neither can be read now."""
        folder = self._times.folder(run.name) if is_run_folder(run.name) else None
        metrics: Metrics | None = None
        if run.metrics is not None:
            value = read_object(run.metrics, self._contents.read(run.metrics), self._findings)
            metrics = None if value is None else read_metrics(value, self._times, folder.at if folder else None)
        if run.summary is not None:
            value = read_object(run.summary, self._contents.read(run.summary), self._findings)
            if value is not None:
                metrics = metrics or (Metrics() if run.metrics is None else None)
                if metrics is not None:
                    read_summary(value, metrics)
        return metrics

    def _lines_of(
        self, run: RunFiles, folders: Sequence[RunFiles]
    ) -> tuple[list[tuple[int, dict[str, Any]]], list[tuple[int, dict[str, Any]]]]:
        """The lines of the shared logs that were written while the run was the newest."""
        if not self._loop.logs:
            return [], []
        index = list(folders).index(run)
        since = datetime.min.replace(tzinfo=UTC) if index == 0 else self._began(folders[index])
        last = datetime.max.replace(tzinfo=UTC)
        until = last if index == len(folders) - 1 else self._began(folders[index + 1])

        def within(paths: Sequence[Path], key: str) -> list[tuple[int, dict[str, Any]]]:
            rows = [row for path in paths for row in self._rows(path)]
            return [
                (number, row)
                for number, row in rows
                if (at := self._times.read(row.get(key))) is not None and since <= at < until
            ]

        return within(self._loop.usage, "timestamp"), within(self._loop.executions, "timestamp_start")

    def _rows(self, path: Path) -> list[tuple[int, dict[str, Any]]]:
        findings = self._findings if path not in self._told_of else Findings()
        self._told_of.add(path)
        return read_rows(path, self._contents.read(path), findings)

    def _began(self, run: RunFiles) -> datetime:
        value = None
        if run.metrics is not None:
            value = read_object(run.metrics, self._contents.read(run.metrics), Findings())
        told = None if value is None else self._times.read(value.get("started_at"))
        told = told or self._times.read((run.session or {}).get("started_at"))
        folder = self._times.folder(run.name)
        return told or (folder.at if folder else datetime.min.replace(tzinfo=UTC))

    async def _import_rest(self, changed: set[Path], of_runs: set[Path], *, has_runs: bool) -> None:
        """The daemon's queue, calls outside of any run, and the signatures of files that tell of none."""
        queue, around = self._loop.queue, self._around()
        batch = Batch()
        if queue is not None and queue in changed:
            value = read_object(queue, self._contents.read(queue), self._findings)
            if value is not None:
                batch = queue_batch(value, around, self._modified_at([queue]))
        if not has_runs:
            for path in self._loop.usage:
                for number, row in self._rows(path):
                    at = self._times.read(row.get("timestamp"))
                    if at is not None:
                        batch.usage.append(call_entry(row, at, around, f"{shown(path)}:{number}", None))
            for path in self._loop.executions:
                self._findings.skip(path, LOST)
        await self._write(Told(batch), sorted(changed - of_runs), None)

    async def _write(self, told: Told, files: Sequence[Path], run: str | None, *, plan: str | None = None) -> None:
        """One transaction: records, log lines that are new, and the files' signatures; a plan that began is a run."""
        origin = self._around().origin
        keys = [UUID(bytes=sha256(f"{IMPORTER}:{origin}:{name}".encode()).digest()[:16]) for name, _ in told.lines]
        async with self._database.write() as transaction:
            new = await imports.claim_rows(transaction, self._host, keys)
            for key, (_, record) in zip(keys, told.lines, strict=True):
                if key in new:
                    new.discard(key)
                    told.batch.logs.append(record)
            if plan is not None:
                await erase_plan(transaction, origin, plan)
            now = self._clock()
            applied = await apply(transaction, told.batch, now=now) if len(told.batch) else None
            offsets = self._offsets(files, run, now, is_open=told.is_open)
            await imports.save_offsets(transaction, IMPORTER, self._host, offsets, now)
        if applied is not None:
            self._report.add(applied)
        await self._publish(transaction)

    def _offsets(self, files: Iterable[Path], run: str | None, now: datetime, *, is_open: bool) -> list[FileOffset]:
        found: dict[str, FileOffset] = {}
        for path in files:
            name = shown(path)
            if path not in self._stats or name in self._findings.paths:
                continue
            known = self._known.get(name)
            size, modified = self._stats[path]
            id_ = new_id(now) if known is None else known.id
            state = {"mtime_ns": modified, "run": run, "open": is_open}
            found[name] = FileOffset(id_, name, size, 0, self._hash(path), state)
        return list(found.values())
