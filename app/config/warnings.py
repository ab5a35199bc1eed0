"""Warns of settings that are allowed but probably not intended."""

import ipaddress
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from app.config.pricing_checks import has_price, unpriced_parts
from app.config.schema import AppConfig
from app.config.variables import meant_by

_DOCTOR = "GATEWAYZ_DOCTOR_"
"""The doctor has variables of its own, with one underscore (`app/doctor/parser.py`)."""


def config_warnings(config: AppConfig, environ: Mapping[str, str]) -> list[str]:
    """Return one line for each; they never stop the start."""
    lines = []
    if not config.providers:
        lines.append("no providers are configured: add [[providers]] and [[models]]; gatewayz.example.toml shows how")
    elif not config.models:
        lines.append("no models are configured, so no request can be served: add [[models]] with routes to a provider")
    used = {route.provider for model in config.models for route in model.routes}
    unused = dict.fromkeys(provider.name for provider in config.providers if provider.name not in used)
    if config.models and unused:
        lines.append(f"no model has a route to {', '.join(map(repr, unused))}")
    return [*lines, *_ignored_variables(config, environ)]


def _ignored_variables(config: AppConfig, environ: Mapping[str, str]) -> Iterator[str]:
    """A variable with one underscore where two belong; not one that the configuration names, or that Kubernetes sets for a service."""
    named = set(_named_variables(config))
    for name in sorted(environ):
        meant = None if name in named or name.startswith(_DOCTOR) or "://" in environ[name] else meant_by(name)
        if meant is not None:
            yield f"environment variable {name} is ignored: two underscores stand before a key, as in {meant}"


def _named_variables(config: AppConfig) -> Iterator[str]:
    for table in (config.database, config.cache, config.monitoring, *config.providers):
        for field in msgspec.structs.fields(table):
            value = getattr(table, field.name)
            if field.name.endswith("_env") and value:
                yield from value.values() if isinstance(value, dict) else (value,)


def key_warnings(config: AppConfig) -> Iterator[str]:
    """Name each provider on another machine to which no key is sent: few need none."""
    without = dict.fromkeys(
        provider.name
        for provider in config.providers
        if provider.api_key_env is None
        and not provider.headers_env
        and not _is_this_machine(urlsplit(provider.base_url).hostname or "")
    )
    for name in without:
        yield f"provider {name!r} has no api_key_env, so no key is sent to it: name the variable of its key, unless it needs none"


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def price_warnings(config: AppConfig) -> Iterator[str]:
    """Name each target without a price: what it costs counts as 0, unless the provider's own figure is trusted.

    What the price catalogue has is not looked up here: `gatewayz prices` does.
    """
    trusting = {provider.name for provider in config.providers if provider.trust_reported_cost}
    from_catalogue = {provider.name for provider in config.providers if provider.prices == "catalogue"}
    for model in config.models:
        for route in model.routes:
            trusts = route.provider in trusting if route.trust_reported_cost is None else route.trust_reported_cost
            parts = unpriced_parts(route, model.operation)
            if parts and not trusts and (route.provider not in from_catalogue or has_price(route)):
                keys = " and ".join(f"{part}_usd_per_million" for part in parts)
                yield (
                    f"no price is known for {' and '.join(parts)} of {route.upstream_model!r} at {route.provider!r}:"
                    f" it counts as 0; set {keys} (0.0 where it is free)"
                )
