"""Checks of prices, and which tokens of a target have none."""

from collections.abc import Iterator
from typing import Final

from app.config.pricing_schema import PriceConfig
from app.config.routing_schema import RouteConfig
from app.config.rules import Finding, check_amount, check_count

PRICE_KEYS: Final = PriceConfig.__struct_fields__
"""Every component of a price."""


def check_prices(key_path: str, route: RouteConfig) -> Iterator[Finding]:
    """Check the prices of a target."""
    yield from _amounts(key_path, route)
    longest = 0
    for index, tier in enumerate(route.price_tiers):
        place = f"{key_path}.price_tiers[{index}]"
        yield from _amounts(place, tier)
        yield from check_count(f"{place}.above_input_tokens", tier.above_input_tokens)
        if tier.above_input_tokens <= longest:
            yield Finding(
                f"{place}.above_input_tokens", repr(tier.above_input_tokens), "more than that of the tier before"
            )
        longest = max(longest, tier.above_input_tokens)


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


def _amounts(key_path: str, prices: PriceConfig) -> Iterator[Finding]:
    for key in PRICE_KEYS:
        amount = getattr(prices, key)
        if amount is not None:
            yield from check_amount(f"{key_path}.{key}", amount)
