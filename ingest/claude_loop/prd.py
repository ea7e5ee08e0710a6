"""prd.json: what is to be built, as stories. The same file serves claude-loop and Ralph; keys differ between users."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from domain.records import StoryRecord

_COMPLEXITIES = {
    "simple": "SIMPLE",
    "low": "SIMPLE",
    "medium": "MEDIUM",
    "complex": "COMPLEX",
    "high": "COMPLEX",
}
_STATUSES = {
    "blocked": "BLOCKED",
    "complete": "COMPLETED",
    "completed": "COMPLETED",
    "done": "COMPLETED",
    "passed": "COMPLETED",
    "failed": "FAILED",
    "in_progress": "IN_PROGRESS",
    "pending": "PENDING",
    "todo": "PENDING",
}
_PRIORITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}


@dataclass(slots=True)
class Prd:
    """A PRD. `project` and `branch` tell it from others that stood in the same file before and after it."""

    project: str | None = None
    branch: str | None = None
    title: str | None = None
    generated_at: object = None
    stories: list[StoryRecord] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What tells it from others at the same place."""
        return self.branch or self.project or ""


def is_prd(value: dict[str, Any]) -> bool:
    """Whether an object has stories."""
    return isinstance(value.get("userStories"), list) or isinstance(value.get("stories"), list)


def read_prd(value: dict[str, Any]) -> Prd:
    """A PRD from its JSON."""
    listed = value.get("userStories")
    if not isinstance(listed, list):
        listed = value.get("stories")
    generated = value.get("_generated")
    prd = Prd(
        project=_text(value.get("project")) or _text(value.get("name")),
        branch=_text(value.get("branchName")),
        title=_text(value.get("description")) or _text(value.get("title")) or _text(value.get("project")),
        generated_at=generated.get("at") if isinstance(generated, dict) else None,
    )
    known: set[str] = set()
    for number, story in enumerate(listed if isinstance(listed, list) else [], 1):
        if isinstance(story, dict):
            record = _story(story, number)
            if record.key not in known:  # of two with one id the first is meant by those who name it
                known.add(record.key)
                prd.stories.append(record)
    return prd


def _story(value: dict[str, Any], number: int) -> StoryRecord:
    passes, word = value.get("passes"), _text(value.get("status"))
    status = "COMPLETED" if passes is True else "PENDING"
    if word is not None and passes is not True:
        status = _STATUSES.get(word.lower().replace("-", "_").replace(" ", "_"), status)
    named = value.get("dependencies")
    depends_on = [_text(key) for key in named] if isinstance(named, list) else []
    complexity = _text(value.get("estimatedComplexity")) or _text(value.get("complexity")) or ""
    return StoryRecord(
        key=_text(value.get("id")) or f"story-{number}",
        title=_text(value.get("title")) or _text(value.get("name")),
        description=_text(value.get("description")),
        notes=_text(value.get("notes")),
        priority=_priority(value.get("priority")),
        status=status,
        source_status=word if passes is None else f"passes: {str(passes).lower()}",
        complexity=_COMPLEXITIES.get(complexity.lower(), "UNKNOWN"),
        depends_on=tuple(key for key in depends_on if key),
    )


def _text(value: object) -> str | None:
    """A text that says something."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def _priority(value: object) -> int:
    """Lower comes first; a word, or P1, has its number; 0 when there is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return max(-(2**31), min(2**31 - 1, int(value)))
    if isinstance(value, str):
        number = re.fullmatch(r"[Pp]?(\d{1,6})", value.strip())
        return int(number[1]) if number else _PRIORITIES.get(value.strip().lower(), 0)
    return 0
