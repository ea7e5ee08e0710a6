"""The threads of work in a transcript: which task each is at, how it stands, and when one ends and the next begins."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.records import Ref
from ingest.claude_code.progress import SIDECHAIN_LIMIT, Progress, Session, Thread
from ingest.claude_code.rows import Row, optional_text, text_of, title_of
from ingest.claude_code.writing import FINAL, MAIN_AGENT, BatchWriter

# A turn without a new row for this long, and without an end, was left behind: the terminal was closed or killed.
# Tools run ten minutes at most by default, and people answer permission prompts later than that.
ABANDONED_AFTER = timedelta(hours=1)
# Tools that wait for a person.
ASKING_TOOLS = frozenset({"AskUserQuestion", "ExitPlanMode"})


class Threads:
    """The threads of one file. `is_new` and `row_id` are those of the row that is being read."""

    def __init__(self, writer: BatchWriter, progress: Progress, agent_id: str | None) -> None:
        self.is_new = True
        self.row_id = ""
        self.parent: Ref | None = None  # of the sub-agent whose file this is
        self.born = False  # its task is in the store
        self._writer = writer
        self._progress = progress
        self._agent_id = agent_id

    @property
    def is_open(self) -> bool:
        """Whether time alone can still change a task of this file."""
        threads = self._progress.threads.values()
        return bool(self._progress.background) or any(
            thread.fresh and thread.task is not None and thread.status not in FINAL for thread in threads
        )

    def session(self, row: Row, session_id: str, at: datetime) -> Session:
        """The row's session, with what the row adds to what is known of it."""
        session = self._progress.sessions.get(session_id)
        if session is None:
            session = self._progress.sessions[session_id] = Session()
        session.created_at = session.created_at or at
        session.updated_at = at if session.updated_at is None else max(session.updated_at, at)
        # The folder of the first row: an agent that changes folders stays in its project.
        session.cwd = session.cwd or optional_text(row.get("cwd"))
        session.branch = optional_text(row.get("gitBranch")) or session.branch
        if self.is_new and row["type"] in ("user", "assistant"):
            session.fresh = True
            self._writer.conversation(session_id, session)
        return session

    def thread(self, row: Row, session_id: str, agent: str | None) -> Thread:
        """The session's own thread, or that of the sub-agent that the row belongs to; `agent` when that is known."""
        agent = agent or self._agent_id
        if agent == self._agent_id and row.get("isSidechain") is False:
            agent = None  # a session whose file is only named like a sub-agent's
        if agent is None and row.get("isSidechain") is True:
            agent = optional_text(row.get("agentId")) or self._sidechain(row)
        key = session_id if agent is None else f"{session_id}/{agent}"
        thread = self._progress.threads.get(key)
        if thread is None:
            thread = self._progress.threads[key] = Thread(session_id, agent)
        return thread

    def _sidechain(self, row: Row) -> str:
        """Claude Code 1.0 wrote sub-agents into the session's file, without a name: follow the rows' parents."""
        chains = self._progress.sidechains
        name = chains.get(text_of(row.get("parentUuid"))) or f"sidechain-{self.row_id[:8]}"
        chains[self.row_id] = name
        while len(chains) > SIDECHAIN_LIMIT:
            del chains[next(iter(chains))]
        return name

    def begin(self, thread: Thread, session: Session, at: datetime, task: str, text: str | None, title: str) -> None:
        """Start a task on the thread; the one before it is over."""
        if thread.task is not None and thread.status not in FINAL:
            _conclude(thread)
            if thread.fresh:
                self._writer.status(thread)
        thread.task, thread.title, thread.created_at, thread.updated_at = task, title, at, at
        thread.status, thread.source_status, thread.error_type, thread.last = "RUNNING", None, None, ""
        thread.pending, thread.fresh = None, self.is_new
        if not self.is_new:
            return
        record = self._writer.task(task, at)
        self._writer.place(record, thread.session, session)
        record.started_at = at
        if thread.agent is None:
            record.agent_name = self._writer.agent(MAIN_AGENT, at)
            record.title, record.input = title or None, text
            if session.title is None:
                session.title = title or None
        else:
            self._describe_agent(thread, at, text, title)
        self._writer.status(thread)

    def _describe_agent(self, thread: Thread, at: datetime, text: str | None, title: str) -> None:
        """A sub-agent's task, unless the one that launched it has described it already, and better."""
        record = self._writer.task(thread.task or "", at)
        agent = thread.agent or ""
        if agent == self._agent_id:
            record.parent = self.parent
            if self.born:
                return
        else:
            own = thread.session if self._agent_id is None else f"{thread.session}/{self._agent_id}"
            launcher = self._progress.threads.get(own)
            if launcher is not None and launcher.task is not None:
                record.parent = self._writer.ref(launcher.task)
        name = "sub-agent"
        if agent.startswith("acompact-"):
            name, title = "compact", "Compaction of the conversation"
        elif text == "Warmup":
            name = "warm-up"
        record.agent_name = record.agent_name or self._writer.agent(name, at)
        record.title, record.input = record.title or title or None, record.input or text

    def touch(self, thread: Thread, at: datetime) -> None:
        """Something happened on the thread's task."""
        if not self.is_new or thread.task is None:
            return
        thread.fresh = True
        thread.updated_at = at if thread.updated_at is None else max(thread.updated_at, at)
        if thread.status == "WAITING_INPUT":
            thread.status, thread.source_status = "RUNNING", None
        self._writer.status(thread)

    def end(self, thread: Thread, status: str, source_status: str | None) -> None:
        """A status that ends the task; the first one stays."""
        if thread.status not in FINAL:
            thread.status, thread.source_status = status, source_status
            if self.is_new:
                self._writer.status(thread)

    def interrupted(self, thread: Thread, at: datetime, text: str) -> None:
        """A person stopped the turn."""
        if thread.task is None:
            return
        self.touch(thread, at)
        if self.is_new:
            self._writer.log(thread.task, at, "SYSTEM", text, "WARN")
        self.end(thread, "CANCELLED", "interrupted")

    def ensure_task(self, thread: Thread, session: Session, at: datetime) -> str:
        """The task that the agent works on now; one is started where there is none."""
        pending, thread.pending = thread.pending, None
        if thread.agent is not None:
            if thread.task is None:
                self.begin(thread, session, at, f"{thread.session}/{thread.agent}", None, "")
        elif pending is not None and (pending.answered or not pending.echoed):
            self.begin(thread, session, pending.at, pending.id, pending.text, pending.title)
            if self.is_new:
                self._writer.message(thread.session, "USER", pending.at, pending.text, pending.id, thread.task)
        elif thread.task is None:
            self.begin(thread, session, at, self.row_id, None, "Work before the first prompt")
        elif thread.status in ("CANCELLED", "FAILED"):
            title = thread.title.removeprefix("Continued: ")
            self.begin(thread, session, at, self.row_id, None, title_of(f"Continued: {title}"))
        return thread.task or ""

    def conclude_all(self, now: datetime) -> None:
        """Say how the open tasks stand when the file has no more rows at this time."""
        for thread in self._progress.threads.values():
            if thread.task is None or not thread.fresh or thread.status in FINAL or thread.updated_at is None:
                continue
            before = thread.status
            if now - thread.updated_at >= ABANDONED_AFTER:
                _conclude(thread)
            else:
                calls = thread.calls.values()
                asks = any(call.name in ASKING_TOOLS and call.task == thread.task for call in calls)
                thread.status = "WAITING_INPUT" if asks else "RUNNING"
            if thread.status != before:
                self._writer.status(thread)


def _conclude(thread: Thread) -> None:
    """The end of a task whose transcript does not tell it: what came last decides."""
    if thread.last == "text":
        thread.status, thread.source_status = "COMPLETED", thread.source_status or "answered"
    elif thread.last == "error":
        thread.status, thread.source_status = "FAILED", "api_error"
    else:
        thread.status, thread.source_status = "CANCELLED", "abandoned"
