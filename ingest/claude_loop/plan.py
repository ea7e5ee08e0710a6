"""Which files tell of which run of a project, and what the run is called.

A run is a run folder; a session that was saved without one; a PRD that belongs to neither; a progress log without PRD.
What several runs share (the project's PRD, its progress log) is read with the newest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ingest.claude_loop.documents import Contents, Findings, placeholder, read_object
from ingest.claude_loop.files import RUN_FOLDER, Loop, run_folders
from ingest.claude_loop.prd import Prd, is_prd, read_prd
from ingest.claude_loop.progress import ProgressLog, read_progress
from ingest.claude_loop.times import Times
from ingest.lines import shown

_SESSION_TIME = re.compile(r"\d{8}_\d{6}$")
# A loop stamps its session and its run's folder one after the other, and may ask a question in between.
_BESIDE = timedelta(minutes=1)
# For so long a session that has just begun waits for its folder: as a run of its own it would stay one. No longer than
# the margin in which a watch looks at a file again.
_FOLDER_COMES_WITHIN = timedelta(seconds=5)


@dataclass(slots=True)
class RunFiles:
    """One run: its name in its project, its files, and what was read of those that were needed to tell."""

    name: str
    folder: Path
    files: list[Path] = field(default_factory=list)
    metrics: Path | None = None
    summary: Path | None = None
    prd: Prd | None = None
    log: ProgressLog | None = None
    log_path: Path | None = None
    session: dict[str, Any] | None = None
    plan: tuple[Path, str] | None = None  # the project's PRD, and what the run was called while it was only a plan
    # Local times between which the shared log's blocks are this run's, as the clock read; "" and "~" are open.
    since: str = ""
    until: str = "~"
    is_newest: bool = True


class Planner:
    """Sorts a project's files into runs. Reads each PRD, log and session once."""

    def __init__(self, loop: Loop, times: Times, data: Contents, findings: Findings, now: datetime) -> None:
        self._loop, self._times, self._data, self._findings = loop, times, data, findings
        self._now = now
        self.waiting: set[Path] = set()  # files that are to be looked at again soon
        self._taken: set[Path] = set()

    def runs(self) -> list[RunFiles]:
        """The runs, oldest folder first."""
        runs = self._run_folders()
        session = self._session()
        if session is not None:
            self._join(session, runs)
        for index, run in enumerate(runs):
            run.is_newest = index == len(runs) - 1
            run.since = run.name if index else ""
            run.until = "~" if run.is_newest else runs[index + 1].name
        if runs:
            self._share(runs)
        for folder in sorted(self._loop.places):
            runs += self._place(folder)
        return runs

    def _run_folders(self) -> list[RunFiles]:
        runs = []
        for name, files in sorted(self._loop.runs.items()):
            folder = next(iter(files.values())).parent
            run = RunFiles(name, folder, [files[kind] for kind in sorted(files)])
            run.metrics, run.summary = files.get("metrics"), files.get("summary")
            if "prd" in files:
                run.prd = self._prd(files["prd"])
            if "progress" in files:
                run.log, run.log_path = self._log(files["progress"]), files["progress"]
            runs.append(run)
        return runs

    def _session(self) -> RunFiles | None:
        path = self._loop.session
        state = None if path is None else read_object(path, self._data.read(path), self._findings)
        if path is None or state is None:
            return None
        session_id = state.get("session_id")
        found = _SESSION_TIME.search(session_id) if isinstance(session_id, str) else None
        name = found[0] if found else f"session:{session_id}"
        run = RunFiles(name, path.parent, [path], session=state)
        prd = self._session_prd(state)
        if prd is not None:
            run.prd = self._prd(prd)
            run.plan = None if run.prd is None else (prd, self._name(prd, run.prd.label))
            run.files.append(prd)
            self._taken.add(prd)
            self._add_log(run, prd.parent)
        return run

    def _join(self, session: RunFiles, runs: list[RunFiles]) -> None:
        """Put a session to the run of its folder; without one it is a run of its own."""
        state = session.session or {}
        stamp = self._times.folder(session.name)
        began = stamp.at if stamp else self._times.read(state.get("started_at"))
        folder = None if began is None else self._folder_of(session, began)
        if folder is None and began is not None and timedelta() <= self._now - began < _FOLDER_COMES_WITHIN:
            self.waiting.update(session.files)
            return
        session.name = folder or session.name
        current = next((run for run in runs if run.name == session.name), None)
        if current is None:
            runs.append(session)
            runs.sort(key=lambda run: run.name)
            return
        current.session, current.files = session.session, [*current.files, *session.files]
        if current.prd is None:
            current.prd, current.plan = session.prd, session.plan
        if current.log is None:
            current.log, current.log_path = session.log, session.log_path

    def _folder_of(self, session: RunFiles, began: datetime) -> str | None:
        """The newest run folder, empty ones too, that was made while the session lasted: one is taken up again."""
        state = session.session or {}
        told = [self._times.read(state.get(key)) for key in ("started_at", "last_saved_at")]
        lasted = told[1] - told[0] if told[0] is not None and told[1] is not None else timedelta()
        until = began + max(lasted, timedelta()) + _BESIDE
        made = [
            (stamp.at, name)
            for name in {*self._loop.runs, *run_folders(session.folder)}
            if (stamp := self._times.folder(name)) is not None and began - _BESIDE <= stamp.at <= until
        ]
        return max(made)[1] if made else None

    def _session_prd(self, state: dict[str, Any]) -> Path | None:
        """The PRD that a session names by a path of the machine that it ran on."""
        named = state.get("prd_file")
        parts = re.split(r"[/\\]", named) if isinstance(named, str) else []
        for start in range(len(parts)):
            is_lone = start == len(parts) - 1  # then the folder must be the project's, wherever that lay
            if parts[start] and (not is_lone or parts[start - 1] == self._loop.root.name):
                path = self._loop.root.joinpath(*parts[start:])
                if path in self._data and path in self._loop.places[path.parent].prds:
                    return path
        return None

    def _share(self, runs: list[RunFiles]) -> None:
        """Give the project's PRD to the newest run, and its logs to all of them, each its own time."""
        newest, root = runs[-1], self._loop.root
        newest.files += self._loop.logs
        path = root / "prd.json"
        if newest.prd is None and path in self._data and path in self._loop.places[root].prds:
            newest.prd = self._prd(path)
            if newest.prd is not None:
                newest.plan = (path, self._name(path, newest.prd.label))
                newest.files.append(path)
                self._taken.add(path)
        if self._add_log(newest, root):
            for run in runs[:-1]:
                if run.log is None:
                    run.log, run.log_path = newest.log, newest.log_path

    def _add_log(self, run: RunFiles, folder: Path) -> bool:
        path = self._loop.places[folder].progress
        if path is None or path in self._taken or run.log is not None:
            return False
        log = self._log(path)
        if log.slug is not None and run.prd is not None and log.slug != run.prd.project:
            return False
        run.log, run.log_path = log, path
        run.files.append(path)
        self._taken.add(path)
        return True

    def _place(self, folder: Path) -> list[RunFiles]:
        """The runs that a folder of PRDs stands for."""
        place = self._loop.places[folder]
        found: list[RunFiles] = []
        for file in place.prds:
            prd = None if file in self._taken else self._prd(file)
            if prd is not None:
                found.append(RunFiles(self._name(file, prd.label), folder, [file], prd=prd))
        path = place.progress
        if path is None or path in self._taken or path not in self._data:
            return found
        log = self._log(path)
        owner = next((run for run in found if run.prd and run.prd.project and run.prd.project == log.slug), None)
        if owner is None and log.slug is None and found:
            owner = next((run for run in found if run.files[0].name == "prd.json"), found[0] if not found[1:] else None)
        if owner is None and log.blocks:
            owner = RunFiles(self._name(path, log.slug or ""), folder)
            found.append(owner)
        if owner is None:
            self._findings.skip(path, "no iterations in it yet")
            return found
        owner.log, owner.log_path = log, path
        owner.files.append(path)
        return found

    def _name(self, path: Path, label: str) -> str:
        """What a run without a folder of its own is called: the file's place in the project, and what it is about."""
        relative = shown(path.relative_to(self._loop.root)) if path.is_relative_to(self._loop.root) else shown(path)
        return f"{relative}:{label}" if label else relative

    def _prd(self, path: Path) -> Prd | None:
        value = read_object(path, self._data.read(path), self._findings) if path in self._data else None
        if value is None:
            return None
        if not is_prd(value):
            self._findings.skip(path, "no stories in it (userStories)")
            return None
        names = [value.get("project"), value.get("branchName")]
        listed = value.get("userStories") or value.get("stories") or []
        names += [story.get("id") for story in listed if isinstance(story, dict)]
        unfilled = next((found for name in names if isinstance(name, str) and (found := placeholder(name))), None)
        if unfilled is not None:
            self._findings.skip(path, f"a template: {unfilled} was never filled in")
            return None
        return read_prd(value)

    def _log(self, path: Path) -> ProgressLog:
        return read_progress(self._data.read(path).decode("utf-8-sig", errors="replace"), self._times)


def is_run_folder(name: str) -> bool:
    """Whether a run's name is the time of its folder."""
    return RUN_FOLDER.fullmatch(name) is not None
