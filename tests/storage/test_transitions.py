"""Which status may follow which: every pair, and every word."""

import itertools

import pytest

from db.models.agents import COMMAND_KINDS, COMMAND_STATUSES
from db.models.base import TASK_STATUSES
from domain.transitions import (
    COMMAND_NEXT,
    FINAL,
    NEXT,
    OPEN_COMMANDS,
    RETRYABLE,
    SETTLES,
    STATUS_WORDS,
    allowed,
    command_allowed,
    reachable,
    status_of,
)

ALLOWED = {
    ("QUEUED", "RUNNING"),
    ("QUEUED", "CANCELLED"),
    ("RUNNING", "WAITING_INPUT"),
    ("RUNNING", "COMPLETED"),
    ("RUNNING", "FAILED"),
    ("RUNNING", "CANCELLED"),
    ("WAITING_INPUT", "RUNNING"),
    ("WAITING_INPUT", "CANCELLED"),
    ("WAITING_INPUT", "FAILED"),
}
# Where a report may arrive by several allowed steps of which it saw only the last.
WALKED = {
    ("QUEUED", "WAITING_INPUT"),
    ("QUEUED", "COMPLETED"),
    ("QUEUED", "FAILED"),
    ("WAITING_INPUT", "COMPLETED"),
}
PAIRS = list(itertools.product(TASK_STATUSES, TASK_STATUSES))
ALLOWED_COMMANDS = {
    ("REQUESTED", "ACKNOWLEDGED"),
    ("REQUESTED", "REFUSED"),
    ("REQUESTED", "TIMED_OUT"),
    ("ACKNOWLEDGED", "DONE"),
    ("ACKNOWLEDGED", "REFUSED"),
    ("ACKNOWLEDGED", "TIMED_OUT"),
}


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_every_pair(before: str, after: str) -> None:
    assert allowed(before, after) == ((before, after) in ALLOWED)
    assert reachable(before, after) == (before == after or (before, after) in ALLOWED | WALKED)


def test_the_table_is_whole() -> None:
    assert set(NEXT) == set(TASK_STATUSES)
    assert frozenset({"COMPLETED", "FAILED", "CANCELLED"}) == FINAL


@pytest.mark.parametrize(("before", "after"), list(itertools.product(COMMAND_STATUSES, COMMAND_STATUSES)))
def test_every_pair_of_a_command(before: str, after: str) -> None:
    assert command_allowed(before, after) == ((before, after) in ALLOWED_COMMANDS)


def test_the_table_of_commands_is_whole() -> None:
    assert set(COMMAND_NEXT) == set(COMMAND_STATUSES)
    assert OPEN_COMMANDS == ("REQUESTED", "ACKNOWLEDGED")


def test_every_end_of_a_task_ends_what_was_asked_about_it() -> None:
    assert set(SETTLES) == set(COMMAND_KINDS)
    for kind in ("START_TASK", "RETRY_TASK", "CANCEL_TASK"):
        assert set(SETTLES[kind]) >= FINAL
        assert set(SETTLES[kind].values()) == {"DONE", "REFUSED"}
    assert SETTLES["RETRY_TASK"] == SETTLES["START_TASK"]


def test_only_what_failed_or_was_cancelled_is_retried() -> None:
    assert frozenset({"FAILED", "CANCELLED"}) == RETRYABLE
    assert RETRYABLE < FINAL


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("in_progress", "RUNNING"),
        ("In Progress", "RUNNING"),
        ("processing", "RUNNING"),
        ("success", "COMPLETED"),
        ("complete", "COMPLETED"),
        ("error", "FAILED"),
        ("blocked", "WAITING_INPUT"),
        ("pending", "QUEUED"),
        ("waiting-for-input", "WAITING_INPUT"),
        (" RUNNING ", "RUNNING"),
        ("canceled", "CANCELLED"),
        ("sideways", None),
        ("", None),
    ],
)
def test_words_of_sources(word: str, status: str | None) -> None:
    assert status_of(word) == status


def test_every_word_means_a_status_and_is_written_as_it_is_looked_up() -> None:
    assert set(STATUS_WORDS.values()) == set(TASK_STATUSES)
    assert all(status_of(word) == status for word, status in STATUS_WORDS.items())
