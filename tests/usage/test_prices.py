"""The price of a call: dates, tiers, names as they come, and never a guess."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot

from domain.prices import PRICE_VERSION, _find, _total, cost
from domain.records import Tokens

AT = datetime(2026, 5, 1, tzinfo=UTC)
MILLION = 1_000_000


def usd(model: str, provider: str = "anthropic", at: datetime = AT, speed: str | None = None, **tokens: int) -> str:
    price = cost(model, provider, Tokens(**tokens), at, speed=speed).usd
    assert price is not None
    return f"{price:f}"


def test_each_kind_of_token_has_its_price() -> None:
    model = "claude-opus-4-20250514"
    assert usd(model, input=MILLION) == "15.000000000"
    assert usd(model, cache_read=MILLION) == "1.500000000"
    assert usd(model, cache_write_5m=MILLION) == "18.750000000"
    assert usd(model, cache_write_1h=MILLION) == "30.000000000"
    assert usd(model, output=MILLION, reasoning=400_000) == "75.000000000"


def test_one_hour_costs_twice_the_input_where_the_library_has_no_such_tier() -> None:
    model = "anthropic.claude-sonnet-4-20250514-v1:0"
    assert usd(model, "aws", cache_write_1h=MILLION) == "6.000000000"
    assert usd(model, "aws", cache_write_5m=MILLION) == "3.750000000"


def test_prices_are_those_of_the_call_s_day_and_size() -> None:
    before, after = datetime(2026, 3, 12, 23, tzinfo=UTC), datetime(2026, 3, 13, 1, tzinfo=UTC)
    model = "claude-opus-4-6"
    assert usd(model, at=before, input=100_000) == usd(model, at=after, input=100_000) == "0.500000000"
    assert usd(model, at=before, input=100_000, cache_read=100_001) == "1.100001000"
    assert usd(model, at=after, input=100_000, cache_read=100_001) == "0.550000500"


def test_fast_mode_has_its_own_price_where_the_provider_lists_one() -> None:
    assert usd("claude-opus-4-8", output=MILLION) == "25.000000000"
    assert usd("claude-opus-4-8", speed="fast", output=MILLION) == "50.000000000"
    assert usd("claude-opus-4-8", speed="standard", output=MILLION) == "25.000000000"
    assert usd("claude-opus-4-20250514", speed="fast", output=MILLION) == "75.000000000"


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("claude-sonnet-5", "anthropic", "10"),
        ("Claude-Sonnet-5", "Anthropic", "10"),
        ("claude-opus-4-6[1m]", "anthropic", "25"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "aws.bedrock", "27.5"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "anthropic", "27.5"),
        ("claude-opus-4-5@20251101", "gcp.vertex_ai", "25"),
        ("anthropic/claude-opus-4-5", "litellm", "25"),
        ("claude-haiku-4-5-20251001", "", "5"),
        ("gpt-4o", "azure.ai.openai", "10"),
        ("grok-4-0709", "x_ai", "15"),
    ],
)
def test_names_are_taken_as_they_come(model: str, provider: str, expected: str) -> None:
    assert Decimal(usd(model, provider, output=MILLION)) == Decimal(expected)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("<synthetic>", "anthropic"),
        ("", "anthropic"),
        ("claude-nonsense-9", "anthropic"),
        ("gpt-4o", "anthropic"),
        ("gpt-4o", "in-house"),
        ("whisper-1", "openai"),  # known, but sold by the hour
    ],
)
def test_an_unknown_model_has_no_price(model: str, provider: str) -> None:
    assert cost(model, provider, Tokens(input=5, output=5), AT) == (None, PRICE_VERSION)


def test_a_price_is_exact_and_rounded_half_even_at_nine_decimals() -> None:
    assert usd("claude-haiku-4-5-20251001", cache_read=1) == "0.000000100"
    # 0.075 dollars a million: 0.0000000750 for one, 0.0000002250 for three.
    assert usd("gpt-4o-mini", "openai", cache_read=1) == "0.000000075"
    assert usd("claude-opus-4-6", output=9_007_199) == "225.179975000"


def test_nonsense_that_no_column_holds_has_no_price() -> None:
    assert cost("claude-opus-4-6", "anthropic", Tokens(output=2**53 - 1), AT).usd is None


def test_agrees_with_the_library_s_own_sum_for_every_model_sold_by_tokens() -> None:
    tokens = Tokens(input=150_001, cache_read=60_000, cache_write_5m=12_345, output=9_876, reasoning=1_234)
    usage = Usage(
        input_tokens=tokens.total - tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write_5m,
        output_tokens=tokens.output,
        output_reasoning_tokens=tokens.reasoning,
    )
    compared = 0
    other_kinds = ("audio", "image", "video", "citation", "text", "mchars", "hours", "kpages")
    for provider in get_snapshot().providers:
        for model in provider.models:
            listed = vars(model.get_prices(AT))
            if "input_mtok" not in listed or any(word in key for key in listed for word in other_kinds):
                continue
            theirs = model.calc_price(usage, provider, genai_request_timestamp=AT).total_price
            assert _total(model.get_prices(AT), tokens) == theirs.quantize(Decimal("1e-9")), (provider.id, model.id)
            compared += 1
    assert compared > 1000


def test_names_from_outside_do_not_grow_memory() -> None:
    for number in range(3000):
        cost(f"claude-opus-4-5-{number}", "anthropic", Tokens(input=1), AT)
    info = _find.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize
    assert len(get_snapshot()._lookup_cache) < 3000


def test_pricing_starts_no_thread_and_opens_no_connection() -> None:
    script = """
import socket, sys, threading
from datetime import datetime, UTC
def refuse(*arguments, **keywords): raise AssertionError("a connection was opened")
socket.socket.connect = socket.getaddrinfo = refuse
from domain.prices import cost
from domain.records import Tokens
assert cost("claude-opus-4-6", "anthropic", Tokens(input=1), datetime.now(UTC)).usd
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
