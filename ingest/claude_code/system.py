"""System rows in words: what a log line says of them, at which level."""

from __future__ import annotations

from typing import Any

from ingest.claude_code.rows import Row, optional_text, short_json, text_of

_LEVELS = {"error": "ERROR", "warning": "WARN", "warn": "WARN", "debug": "DEBUG"}


def level(row: Row) -> str:
    """The level of the log line."""
    if row.get("subtype") == "turn_duration":
        return "DEBUG"
    return _LEVELS.get(text_of(row.get("level")), "INFO")


def text(row: Row) -> str:
    """The row as one line for a person."""
    subtype = text_of(row.get("subtype"))
    if subtype == "api_error":
        return _api_error(row)
    if subtype == "turn_duration":
        return f"The turn took {_seconds(row.get('durationMs'))}"
    said = optional_text(row.get("content")) or optional_text(row.get("summary"))
    if said is not None:
        return said
    rest = {name: value for name, value in row.items() if name not in _COMMON}
    return f"{subtype or 'system'}: {short_json(rest)}"


_COMMON = frozenset(
    {
        "type",
        "subtype",
        "uuid",
        "parentUuid",
        "sessionId",
        "timestamp",
        "isSidechain",
        "isMeta",
        "userType",
        "entrypoint",
        "cwd",
        "version",
        "gitBranch",
        "slug",
        "level",
    }
)


def error_type(row: Row) -> str:
    """The provider's word for the error: `rate_limit_error`, `overloaded_error`; else the HTTP status."""
    error = row.get("error")
    if not isinstance(error, dict):
        return "api_error"
    inner = _inner(error)
    word = optional_text(inner.get("type")) or optional_text(error.get("type"))
    return word if word not in (None, "error") else f"http_{error.get('status', 'error')}"


def _api_error(row: Row) -> str:
    error = row.get("error")
    error = error if isinstance(error, dict) else {}
    said = text_of(_inner(error).get("message")) or text_of(error.get("message"))
    parts = [f"API error {error.get('status', '')}".strip(), error_type(row)]
    attempt, most = row.get("retryAttempt"), row.get("maxRetries")
    retry = f" (retry {attempt} of {most} in {_seconds(row.get('retryInMs'))})" if attempt is not None else ""
    return " ".join(parts) + (f": {said}" if said else "") + retry


def _inner(error: dict[str, Any]) -> dict[str, Any]:
    """The provider's own error object, which lies one or two levels down."""
    inner = error.get("error")
    if isinstance(inner, dict) and isinstance(inner.get("error"), dict):
        inner = inner["error"]
    return inner if isinstance(inner, dict) else {}


def _seconds(milliseconds: Any) -> str:
    return f"{milliseconds / 1000:.1f} s" if isinstance(milliseconds, int | float) else "? s"
