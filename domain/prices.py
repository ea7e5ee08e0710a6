"""What a model call costs, from the dated prices that genai-prices carries inside its package.

Owns the way from a model's name to dollars. It never fetches prices (the library's updater is not started) and never
guesses: a model that the library does not know has no price, which is not the price 0.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import NamedTuple

import genai_prices
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

from domain.records import Tokens

PRICE_VERSION = f"genai-prices {genai_prices.__version__}"

# Names of models come from outside; the library's own memo of them has no bound. A fleet uses a few dozen.
KNOWN_NAMES = 1024

_EXACT = Context(prec=60)
_NANO = Decimal("1e-9")
_MILLION = Decimal(1_000_000)
_TOO_LARGE = Decimal(10) ** 9  # what NUMERIC(18,9) cannot hold; no call costs that
_PRICED_KEYS = ("input_mtok", "output_mtok", "requests_kcount")

# OpenTelemetry's well-known values of gen_ai.provider.name that the library does not know or takes for another.
_PROVIDERS = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gen_ai": "google",
    "x_ai": "x-ai",
}


class Priced(NamedTuple):
    """A computed cost, exact to nine decimals, and the price list it comes from; `usd` is None for an unknown model."""

    usd: Decimal | None
    version: str


def cost(model: str, provider: str, tokens: Tokens, at: datetime, *, speed: str | None = None) -> Priced:
    """Price a call by the prices of its time `at` (aware); `speed` is the provider's word, such as ``fast``.

    A cache write of 5 minutes costs the library's price of a cache write. One of 1 hour costs the library's price of
    that tier, or twice the call's input price where the library has none, as in Anthropic's price list
    (platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing: 1.25 times and twice the input price).
    Searches and other tools that a provider bills per use are not tokens and are not part of it.
    """
    found = _find(model.strip().lower(), provider.strip().lower())
    if found is None:
        return Priced(None, PRICE_VERSION)
    offered_by, info = found
    # A variant holds for the provider that lists it; one who resells the model has none.
    context = {"speed": speed} if speed and any(info is own for own in offered_by.models) else None
    usd = _total(info.get_prices(at, context), tokens)
    return Priced(None if usd is None or usd >= _TOO_LARGE else usd, PRICE_VERSION)


@lru_cache(maxsize=KNOWN_NAMES)
def _find(model: str, provider: str) -> tuple[Provider, ModelInfo] | None:
    """The library's entry for a model, by its name at that provider."""
    providers = get_snapshot().providers
    for provider_name, reference in _readings(model, provider):
        offered_by = find_provider_by_id(providers, provider_name)
        if offered_by is not None:
            info = offered_by.find_model(reference, all_providers=providers)
            if info is not None:
                return offered_by, info
    if provider in ("", "unknown"):
        for candidate in providers:
            if candidate.model_match is not None and candidate.model_match.is_match(model):
                info = candidate.find_model(model, all_providers=providers)
                return None if info is None else (candidate, info)
    return None


def _readings(model: str, provider: str) -> list[tuple[str, str]]:
    """Providers and names under which a model may be listed, the one that was told first."""
    readings = [(_PROVIDERS.get(provider, provider), model)] if provider else []
    if "anthropic.claude" in model:  # Bedrock's names (us.anthropic.claude-…), whoever says that he provides them
        readings.append(("aws", model))
    vendor, slash, rest = model.partition("/")
    if slash:  # a router's names: anthropic/claude-…
        readings.append((vendor, rest))
    return readings


def _total(prices: ModelPrice, tokens: Tokens) -> Decimal | None:
    """Tokens times prices. What has no price of its own costs what the larger kind costs, as in the library."""
    listed = vars(prices)
    if all(listed.get(key) is None for key in _PRICED_KEYS):
        return None
    input_total = tokens.input + tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h

    def rate(*keys: str) -> Decimal | None:
        for key in keys:
            price = listed.get(key)
            if price is not None:
                return _at_size(price, input_total)
        return None

    nothing = Decimal(0)
    base = rate("input_mtok") or nothing
    output = rate("output_mtok") or nothing
    write_1h = rate("cache_write_1h_mtok")
    total = base * tokens.input + output * tokens.output
    if tokens.cache_read:
        total += (rate("cache_read_mtok", "input_mtok") or nothing) * tokens.cache_read
    if tokens.cache_write_5m:
        total += (rate("cache_write_5m_mtok", "cache_write_mtok", "input_mtok") or nothing) * tokens.cache_write_5m
    if tokens.cache_write_1h:
        total += (2 * base if write_1h is None else write_1h) * tokens.cache_write_1h
    reasoning = rate("output_reasoning_mtok")
    if reasoning is not None:  # they are part of the output
        total += (reasoning - output) * min(tokens.reasoning, tokens.output)
    total = total / _MILLION + (rate("requests_kcount") or nothing) / 1000
    return total.quantize(_NANO, rounding=ROUND_HALF_EVEN, context=_EXACT)


def _at_size(price: Decimal | TieredPrices, input_total: int) -> Decimal:
    """The price per million for a call of that many input tokens; passing a threshold reprices the whole call."""
    if isinstance(price, Decimal):
        return price
    applicable = price.base
    for tier in price.tiers:
        if input_total > tier.start:
            applicable = tier.price
    return applicable
