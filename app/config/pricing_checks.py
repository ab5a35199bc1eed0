"""Checks of prices, and which tokens of a target have none."""

from collections.abc import Iterator
from typing import Final

from app.config.pricing_schema import PriceConfig
from app.config.routing_schema import ModelConfig, RouteConfig
from app.config.rules import MAX_AMOUNT, MAX_MULTIPLIER, Finding, check_amount, check_count

PRICE_KEYS: Final = PriceConfig.__struct_fields__
"""Every component of a price."""


def check_prices(key_path: str, route: RouteConfig) -> Iterator[Finding]:
    """Check the prices of a target."""
    yield from _amounts(key_path, route)
    longest = 0
    for index, tier in enumerate(route.price_tiers):
        tier_path = f"{key_path}.price_tiers[{index}]"
        yield from _amounts(tier_path, tier)
        yield from check_count(f"{tier_path}.above_input_tokens", tier.above_input_tokens)
        if tier.above_input_tokens <= longest:
            yield Finding(
                f"{tier_path}.above_input_tokens", repr(tier.above_input_tokens), "more than that of the tier before"
            )
        longest = max(longest, tier.above_input_tokens)
    if route.price_tiers and not has_price(route):
        yield Finding(f"{key_path}.price_tiers", "tiers without prices beside them", "prices of the route itself too")


def check_charges(key_path: str, model: ModelConfig) -> Iterator[Finding]:
    """The charge of a call must fit a row of the ledger, which holds nano-US-dollars in 64 bits."""
    amounts = [
        (amount, f"routes[{index}].{place}{key}")
        for index, route in enumerate(model.routes)
        for place, prices in _price_lists(route)
        for key in PRICE_KEYS
        if (amount := getattr(prices, key)) is not None
    ]
    if not 0 <= model.credit_multiplier <= MAX_MULTIPLIER or not all(0 <= each <= MAX_AMOUNT for each, _ in amounts):
        return  # that is reported by itself
    amount, key = max(amounts, default=(0.0, ""))
    if amount * model.credit_multiplier > MAX_AMOUNT:
        found = f"{model.credit_multiplier!r} times {key} ({amount!r})"
        yield Finding(f"{key_path}.credit_multiplier", found, f"a product up to {MAX_AMOUNT:,.0f}")


def has_price(route: RouteConfig) -> bool:
    """Whether the configuration has a price for a target."""
    return any(getattr(route, key) is not None for key in PRICE_KEYS)


def unpriced_parts(route: RouteConfig, operation: str) -> list[str]:
    """Return what of a target the configuration has no price for: `input`, `output`. A price per request alone is one for both."""
    given = {key for key in PRICE_KEYS if getattr(route, key) is not None}
    if given == {"usd_per_request"}:
        return []
    parts = ["input"] if operation == "embeddings" else ["input", "output"]
    return [part for part in parts if f"{part}_usd_per_million" not in given]


def _price_lists(route: RouteConfig) -> Iterator[tuple[str, PriceConfig]]:
    yield "", route
    for index, tier in enumerate(route.price_tiers):
        yield f"price_tiers[{index}].", tier


def _amounts(key_path: str, prices: PriceConfig) -> Iterator[Finding]:
    for key in PRICE_KEYS:
        amount = getattr(prices, key)
        if amount is not None:
            yield from check_amount(f"{key_path}.{key}", amount)
