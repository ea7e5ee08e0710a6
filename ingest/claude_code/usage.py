"""The model call that an assistant row tells of. Counting each call once is domain.usage's work, not done here."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, TypeGuard

import orjson

from domain.records import Ref, Tokens, UsageEntry
from ingest.claude_code.rows import Row, optional_text

# Written by Claude Code itself, without a call: error messages, and text that was on screen when a turn was stopped.
SYNTHETIC_MODEL = "<synthetic>"
# Fixtures and very old rows name no model. Their tokens count; their price is not known.
UNKNOWN_MODEL = "unknown"
PROVIDER = "anthropic"
# No call is as large or as dear: what says more is a broken row, and must not spoil every sum that it is in.
MOST_TOKENS = 100_000_000
MOST_USD = 10_000

_COUNTED = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "iterations",  # the same tokens again, step by step
    }
)


def model_of(row: Row) -> str | None:
    """The model that answered; None for rows that no model wrote."""
    message = row.get("message")
    model = optional_text(message.get("model")) if isinstance(message, dict) else None
    return None if model == SYNTHETIC_MODEL else model


def usage_entry(
    row: Row, *, at: datetime, session_id: str, task: Ref, host: str, project_key: str | None, location: str
) -> UsageEntry | None:
    """The row's model call, or None when it tells of none."""
    message = row.get("message")
    usage = message.get("usage") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(usage, dict) or message.get("model") == SYNTHETIC_MODEL:
        return None
    cost = row.get("costUSD")
    return UsageEntry(
        at=at,
        model=model_of(row) or UNKNOWN_MODEL,
        provider=PROVIDER,
        tokens=tokens_of(usage),
        source="CLAUDE_CODE",
        message_id=optional_text(message.get("id")),
        request_id=optional_text(row.get("requestId")),
        session_id=session_id,
        is_sidechain=row.get("isSidechain") is True,
        reported_cost_usd=Decimal(str(cost)) if _is_number(cost) and 0 <= cost <= MOST_USD else None,
        task=task,
        host=host,
        project_key=project_key,
        location=location,
        raw=_raw(row, usage),
    )


def _raw(row: Row, usage: dict[str, Any]) -> dict[str, Any] | None:
    """What else the source said of the call: speed, service_tier, inference_geo, query_source, fields yet unknown."""
    raw = {name: value for name, value in usage.items() if name not in _COUNTED and value is not None}
    if isinstance(row.get("querySource"), str):
        raw["query_source"] = row["querySource"]
    # PostgreSQL's jsonb refuses a NUL character; nothing here is worth losing the call for.
    return raw if raw and b"\\u0000" not in orjson.dumps(raw) else None


def tokens_of(usage: dict[str, Any]) -> Tokens:
    """Token counts; of a cache write without a tier, or of what the tiers leave over, all is 5 minutes."""
    tiers = usage.get("cache_creation")
    short = long = 0
    if isinstance(tiers, dict):
        short = _count(tiers.get("ephemeral_5m_input_tokens"))
        long = _count(tiers.get("ephemeral_1h_input_tokens"))
    written = _count(usage.get("cache_creation_input_tokens"))
    details = usage.get("output_tokens_details")
    reasoning = 0
    if isinstance(details, dict):
        reasoning = _count(details.get("reasoning_tokens")) or _count(details.get("thinking_tokens"))
    return Tokens(
        input=_count(usage.get("input_tokens")),
        cache_read=_count(usage.get("cache_read_input_tokens")),
        cache_write_5m=max(short, written - long),
        cache_write_1h=long,
        output=_count(usage.get("output_tokens")),
        reasoning=reasoning,
    )


def _count(value: Any) -> int:
    return int(value) if _is_number(value) and 0 <= value <= MOST_TOKENS else 0


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
