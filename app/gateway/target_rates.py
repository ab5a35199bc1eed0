"""The rates of a target: those of the configuration, else those of the price catalogue, else none."""

from collections.abc import Mapping
from typing import Final

from app.config.pricing_checks import has_price
from app.config.pricing_schema import PriceConfig
from app.config.schema import RouteConfig
from app.gateway.ports import Target
from app.gateway.price_catalogue import CataloguePrice
from app.gateway.pricing import UsdRates, exact

_KEYS: Final = {
    "input": "input_usd_per_million",
    "cached_input": "cached_input_usd_per_million",
    "cache_write": "cache_write_usd_per_million",
    "cache_write_1h": "cache_write_1h_usd_per_million",
    "output": "output_usd_per_million",
    "reasoning": "reasoning_usd_per_million",
    "audio_input": "audio_input_usd_per_million",
    "audio_output": "audio_output_usd_per_million",
    "request": "usd_per_request",
}


def rates_of(route: RouteConfig, catalogue: Mapping[Target, CataloguePrice]) -> tuple[UsdRates, ...]:
    """Return the rates of a target by length of input, the shortest first; none where no price is known."""
    if not has_price(route):
        found = catalogue.get((route.provider, route.upstream_model))
        return () if found is None else found.rates
    return (_rates(route), *(_rates(tier, tier.above_input_tokens) for tier in route.price_tiers))


def _rates(prices: PriceConfig, above_input_tokens: int = 0) -> UsdRates:
    given = {name: getattr(prices, key) for name, key in _KEYS.items()}
    return UsdRates(
        **{name: None if usd is None else exact(usd) for name, usd in given.items()},
        above_input_tokens=above_input_tokens,
    )
