"""Warns of settings that are allowed but probably not intended."""

from collections.abc import Iterator

from app.config.pricing_checks import unpriced_parts
from app.config.schema import AppConfig


def config_warnings(config: AppConfig) -> list[str]:
    """Return one line for each; they never stop the start."""
    lines = []
    if not config.providers:
        lines.append("no providers are configured: add [[providers]] and [[models]]; gatewayz.example.toml shows how")
    elif not config.models:
        lines.append("no models are configured, so no request can be served: add [[models]] with routes to a provider")
    used = {route.provider for model in config.models for route in model.routes}
    unused = [provider.name for provider in config.providers if provider.name not in used]
    if config.models and unused:
        lines.append(f"no model has a route to {', '.join(map(repr, unused))}")
    return lines


def price_warnings(config: AppConfig) -> Iterator[str]:
    """Name each target without a price: what it costs counts as 0, unless the provider's own figure is trusted."""
    trusting = {provider.name for provider in config.providers if provider.trust_reported_cost}
    for model in config.models:
        for route in model.routes:
            trusts = route.provider in trusting if route.trust_reported_cost is None else route.trust_reported_cost
            parts = unpriced_parts(route, model.operation)
            if parts and not trusts:
                keys = " and ".join(f"{part}_usd_per_million" for part in parts)
                yield (
                    f"no price is known for {' and '.join(parts)} of {route.upstream_model!r} at {route.provider!r}:"
                    f" it counts as 0; set {keys} (0.0 where it is free)"
                )
