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


@pytest.mark.parametrize("status", TASK_STATUSES)
def test_what_a_status_says_of_commands_ends_them_and_is_final(status: str) -> None:
    assert {kind for kind, _ in SETTLES} <= set(COMMAND_KINDS)
    assert {SETTLES.get((kind, status), "DONE") for kind in COMMAND_KINDS} <= {"DONE", "REFUSED"}
    # Every end of a task ends what was asked about it: nothing stays open for a task that is over.
    assert ((("CANCEL_TASK", status) in SETTLES) and (("START_TASK", status) in SETTLES)) == (status in FINAL)


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
