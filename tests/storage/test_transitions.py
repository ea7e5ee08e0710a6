"""Which status may follow which: every pair, and every word."""

import itertools

import pytest

from db.models.base import TASK_STATUSES
from domain.transitions import FINAL, NEXT, STATUS_WORDS, allowed, reachable, status_of

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


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_every_pair(before: str, after: str) -> None:
    assert allowed(before, after) == ((before, after) in ALLOWED)
    assert reachable(before, after) == (before == after or (before, after) in ALLOWED | WALKED)


def test_the_table_is_whole() -> None:
    assert set(NEXT) == set(TASK_STATUSES)
    assert frozenset({"COMPLETED", "FAILED", "CANCELLED"}) == FINAL


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
