"""Which status may follow which, and what sources' own status words mean. The only such tables of the house."""

from __future__ import annotations

from db.models.base import TASK_STATUSES

# What may follow directly. What is empty is final.
NEXT: dict[str, frozenset[str]] = {
    "QUEUED": frozenset({"RUNNING", "CANCELLED"}),
    "RUNNING": frozenset({"WAITING_INPUT", "COMPLETED", "FAILED", "CANCELLED"}),
    "WAITING_INPUT": frozenset({"RUNNING", "CANCELLED", "FAILED"}),
    "COMPLETED": frozenset(),
    "FAILED": frozenset(),
    "CANCELLED": frozenset(),
}
FINAL = frozenset(status for status, following in NEXT.items() if not following)
# What a person may ask to have done again. What is COMPLETED did what was asked: more of it is a new task.
RETRYABLE = frozenset({"FAILED", "CANCELLED"})

# Commands to agents. Nothing is DONE that the agent's side has not taken first.
COMMAND_NEXT: dict[str, frozenset[str]] = {
    "REQUESTED": frozenset({"ACKNOWLEDGED", "REFUSED", "TIMED_OUT"}),
    "ACKNOWLEDGED": frozenset({"DONE", "REFUSED", "TIMED_OUT"}),
    "DONE": frozenset(),
    "REFUSED": frozenset(),
    "TIMED_OUT": frozenset(),
}
OPEN_COMMANDS = tuple(status for status, following in COMMAND_NEXT.items() if following)
# What a task's new status says of the open commands that ask for it: reporting the status acknowledges the command.
# A cancellation that came too late was not carried out; neither is a start when the task was cancelled before.
_STARTED = {"RUNNING": "DONE", "WAITING_INPUT": "DONE", "COMPLETED": "DONE", "FAILED": "DONE", "CANCELLED": "REFUSED"}
SETTLES: dict[str, dict[str, str]] = {
    "START_TASK": _STARTED,
    "RETRY_TASK": _STARTED,
    "CANCEL_TASK": {"CANCELLED": "DONE", "COMPLETED": "REFUSED", "FAILED": "REFUSED"},
    "RESTART_AGENT": {},
    "STOP_AGENT": {},
}

# The words of Claude Code, claude-loop, the engine, OpenTelemetry, CI systems; compared in lower case, `-` as `_`.
STATUS_WORDS: dict[str, str] = {
    **{status.lower(): status for status in TASK_STATUSES},
    "created": "QUEUED",
    "new": "QUEUED",
    "pending": "QUEUED",
    "scheduled": "QUEUED",
    "submitted": "QUEUED",
    "todo": "QUEUED",
    "waiting": "QUEUED",
    "active": "RUNNING",
    "executing": "RUNNING",
    "in_progress": "RUNNING",
    "processing": "RUNNING",
    "started": "RUNNING",
    "working": "RUNNING",
    "blocked": "WAITING_INPUT",
    "input_required": "WAITING_INPUT",
    "needs_input": "WAITING_INPUT",
    "paused": "WAITING_INPUT",
    "waiting_for_input": "WAITING_INPUT",
    "complete": "COMPLETED",
    "done": "COMPLETED",
    "finished": "COMPLETED",
    "ok": "COMPLETED",
    "passed": "COMPLETED",
    "succeeded": "COMPLETED",
    "success": "COMPLETED",
    "crashed": "FAILED",
    "error": "FAILED",
    "errored": "FAILED",
    "failure": "FAILED",
    "rejected": "FAILED",
    "timed_out": "FAILED",
    "timeout": "FAILED",
    "aborted": "CANCELLED",
    "canceled": "CANCELLED",
    "interrupted": "CANCELLED",
    "killed": "CANCELLED",
    "skipped": "CANCELLED",
    "stopped": "CANCELLED",
}


def allowed(before: str, after: str) -> bool:
    """Whether `after` may follow `before` in one step. Staying is no step."""
    return after in NEXT[before]


def command_allowed(before: str, after: str) -> bool:
    """Whether a command's status may become `after` in one step. Staying is no step."""
    return after in COMMAND_NEXT[before]


def reachable(before: str, after: str) -> bool:
    """Whether steps that are each allowed lead from `before` to `after`; staying counts.

    An importer tells what it saw last: between two looks a task may have gone QUEUED → RUNNING → COMPLETED, so it may
    walk. A mutation tells each step and asks `allowed`. Nothing leads back to QUEUED, nor out of a final status.
    """
    seen = {before}
    ahead = [before]
    while ahead and after not in seen:
        following = NEXT[ahead.pop()] - seen
        seen |= following
        ahead.extend(following)
    return after in seen


def status_of(word: str) -> str | None:
    """The TaskStatus that a source's word means, or None when the word is not known."""
    return STATUS_WORDS.get(word.strip().lower().replace("-", "_").replace(" ", "_"))
