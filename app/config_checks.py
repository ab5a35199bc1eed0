"""CONFIG CHECKS: what the types of `app/config.py` cannot say: references, ranges, names, URLs.

Comes in: an `AppConfig` that has the right types. Goes out: the first `Finding`, or None. It must not show a value that could be a
secret: URLs may carry passwords, and a key may have been put where the name of a variable belongs.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from app.config import (
    AnomaliesConfig,
    AppConfig,
    BreakerConfig,
    DatabaseConfig,
    ModelConfig,
    PlanConfig,
    ProbesConfig,
    ProviderConfig,
    RouteConfig,
)
from otel.semconv import OTHER

MAX_NAME_CHARS = 128
MIN_LEDGER_DAYS = 2
OPERATIONS = ("chat", "embeddings")
URL_SCHEMES = {
    "database": ("sqlite+aiosqlite", "postgresql+asyncpg"),
    "cache": ("redis", "rediss", "valkey", "valkeys", "unix"),
}
_MAX_SHOWN_NAMES = 10
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_MAX_PORT = 65_535
_ONE_YEAR_SECONDS = 366 * 86_400


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: where, what was found, what is allowed."""

    key_path: str
    found: str
    allowed: str


def check_config(config: AppConfig) -> Finding | None:
    """Return the first thing that is wrong, in the order of the file's tables."""
    return next(_findings(config), None)


def check_url_scheme(key_path: str, url: str, section: str) -> Finding | None:
    """Check the URL of a database or cache without showing more of it than the scheme."""
    schemes = URL_SCHEMES[section]
    scheme, separator, _ = url.partition("://")
    if separator and scheme in schemes:
        return None
    found = (
        f"scheme {scheme!r}"
        if separator and re.fullmatch(r"[a-z0-9+.-]{1,40}", scheme)
        else "a value without a known scheme"
    )
    return Finding(key_path, found, "a URL that starts with " + " or ".join(f"{scheme}://" for scheme in schemes))


def _findings(config: AppConfig) -> Iterator[Finding]:
    yield from _sections(config)
    yield from _breaker(config.breaker)
    yield from _probes(config.probes)
    yield from _anomalies(config.anomalies)
    yield from _names("providers", config.providers)
    yield from _names("models", config.models)
    yield from _names("plans", config.plans)
    for index, provider in enumerate(config.providers):
        yield from _provider(f"providers[{index}]", provider)
    provider_names = [provider.name for provider in config.providers]
    for index, model in enumerate(config.models):
        yield from _model(f"models[{index}]", model, provider_names)
    if not config.plans:
        yield Finding("plans", "an empty array", "at least one plan")
    for index, plan in enumerate(config.plans):
        yield from _plan(f"plans[{index}]", plan)


def _sections(config: AppConfig) -> Iterator[Finding]:
    server, telemetry, ledger = config.server, config.telemetry, config.ledger
    if not server.host or not server.host.isprintable() or any(char.isspace() for char in server.host):
        yield Finding("server.host", repr(server.host), "a host name or address to listen on")
    if not 0 <= server.port <= _MAX_PORT:
        yield Finding("server.port", repr(server.port), f"0 (any free port) to {_MAX_PORT}")
    for key_path, count in (
        ("server.max_body_bytes", server.max_body_bytes),
        ("server.max_header_bytes", server.max_header_bytes),
        ("server.max_concurrent_requests", server.max_concurrent_requests),
        ("telemetry.buffer_bytes", telemetry.buffer_bytes),
        ("cache.max_bytes", config.cache.max_bytes),
        ("ledger.commit_rows", ledger.commit_rows),
        ("ledger.max_queued_rows", ledger.max_queued_rows),
    ):
        yield from _count(key_path, count)
    yield from _seconds("server.receive_head_seconds", server.receive_head_seconds)
    yield from _seconds("server.receive_body_seconds", server.receive_body_seconds)
    yield from _seconds("server.send_stall_seconds", server.send_stall_seconds)
    yield from _seconds("server.shutdown_grace_seconds", server.shutdown_grace_seconds, zero=True)
    yield from _seconds("monitoring.share_seconds", config.monitoring.share_seconds, zero=True)
    yield from _seconds("telemetry.shutdown_seconds", telemetry.shutdown_seconds, zero=True)
    yield from _seconds("ledger.commit_seconds", ledger.commit_seconds)
    for field in msgspec.structs.fields(config.jobs):
        yield from _seconds(f"jobs.{field.name}", getattr(config.jobs, field.name))
    if config.retention.ledger_days < MIN_LEDGER_DAYS:
        yield Finding(
            "retention.ledger_days",
            repr(config.retention.ledger_days),
            f"{MIN_LEDGER_DAYS} or more: uptime needs 24 hours",
        )
    yield from _variable("monitoring.token_env", config.monitoring.token_env)
    yield from _name("telemetry.app_name", telemetry.app_name)
    yield from _url("database", config.database.url, config.database.url_env)
    yield from _url("cache", config.cache.url, config.cache.url_env)


def _breaker(breaker: BreakerConfig) -> Iterator[Finding]:
    yield from _count("breaker.consecutive_failures", breaker.consecutive_failures)
    yield from _count("breaker.minimum_attempts", breaker.minimum_attempts)
    yield from _count("breaker.half_open_calls", breaker.half_open_calls)
    yield from _seconds("breaker.window_seconds", breaker.window_seconds)
    yield from _seconds("breaker.open_seconds", breaker.open_seconds)
    yield from _seconds("breaker.max_open_seconds", breaker.max_open_seconds)
    if not 0 < breaker.failure_ratio <= 1:
        yield Finding("breaker.failure_ratio", repr(breaker.failure_ratio), "more than 0, at most 1")
    if breaker.max_open_seconds < breaker.open_seconds:
        yield Finding(
            "breaker.max_open_seconds", repr(breaker.max_open_seconds), f"open_seconds ({breaker.open_seconds}) or more"
        )


def _probes(probes: ProbesConfig) -> Iterator[Finding]:
    yield from _seconds("probes.provider_interval_seconds", probes.provider_interval_seconds)
    yield from _seconds("probes.model_interval_seconds", probes.model_interval_seconds)
    yield from _seconds("probes.timeout_seconds", probes.timeout_seconds)
    if probes.timeout_seconds > probes.provider_interval_seconds:
        yield Finding(
            "probes.timeout_seconds",
            repr(probes.timeout_seconds),
            f"provider_interval_seconds ({probes.provider_interval_seconds}) or less, so that no probe outlasts the next",
        )


def _anomalies(anomalies: AnomaliesConfig) -> Iterator[Finding]:
    yield from _seconds("anomalies.interval_seconds", anomalies.interval_seconds)
    yield from _count("anomalies.min_attempts", anomalies.min_attempts)
    yield from _count("anomalies.max_episode_minutes", anomalies.max_episode_minutes)
    for key in ("latency_factor", "traffic_factor", "token_factor"):
        factor = getattr(anomalies, key)
        if not 1 < factor < math.inf:
            yield Finding(f"anomalies.{key}", repr(factor), "more than 1: times the usual")
    if not 0 < anomalies.error_rise < 1:
        yield Finding(
            "anomalies.error_rise", repr(anomalies.error_rise), "more than 0, less than 1: a share of the attempts"
        )
    if not 0 < anomalies.significance < math.inf:
        yield Finding("anomalies.significance", repr(anomalies.significance), "more than 0: standard deviations")


def _url(section: str, url: str | None, variable: str | None) -> Iterator[Finding]:
    yield from _variable(f"{section}.url_env", variable)
    if url is not None and (finding := check_url_scheme(f"{section}.url", url, section)):
        yield finding
    if url is not None and variable is not None and url != DatabaseConfig().url:
        yield Finding(f"{section}.url_env", f"{section}.url is set as well", "one of the two")


def _names(section: str, entries: Sequence[ProviderConfig | ModelConfig | PlanConfig]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, entry in enumerate(entries):
        key_path = f"{section}[{index}].name"
        yield from _name(key_path, entry.name)
        if entry.name == OTHER:
            yield Finding(key_path, repr(OTHER), f"any name but {OTHER!r}, which stands for what is not configured")
        if entry.name in first:
            yield Finding(
                key_path, f"{entry.name!r}, as {section}[{first[entry.name]}].name", "a name that is used once"
            )
        first[entry.name] = index


def _name(key_path: str, name: str) -> Iterator[Finding]:
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        shown = repr(name) if len(name) <= MAX_NAME_CHARS else f"{len(name)} characters"
        yield Finding(key_path, shown, f"1 to {MAX_NAME_CHARS} printable characters, no blank at either end")


def _provider(key_path: str, provider: ProviderConfig) -> Iterator[Finding]:
    yield from _base_url(f"{key_path}.base_url", provider.base_url)
    yield from _variable(f"{key_path}.api_key_env", provider.api_key_env)
    if not re.fullmatch(r"[A-Za-z0-9._~-][A-Za-z0-9._~/-]{0,199}", provider.probe_path):
        yield Finding(f"{key_path}.probe_path", repr(provider.probe_path), "a path below base_url, as in models")
    for key, seconds in (
        ("connect_seconds", provider.connect_seconds),
        ("first_byte_seconds", provider.first_byte_seconds),
        ("idle_seconds", provider.idle_seconds),
        ("total_seconds", provider.total_seconds),
        ("latency_target_seconds", provider.latency_target_seconds),
        ("latency_limit_seconds", provider.latency_limit_seconds),
    ):
        yield from _seconds(f"{key_path}.{key}", seconds)
    if provider.latency_limit_seconds <= provider.latency_target_seconds:
        yield Finding(
            f"{key_path}.latency_limit_seconds",
            repr(provider.latency_limit_seconds),
            f"more than latency_target_seconds ({provider.latency_target_seconds})",
        )
    yield from _count(f"{key_path}.max_connections", provider.max_connections)
    yield from _count(f"{key_path}.max_response_bytes", provider.max_response_bytes)


def _base_url(key_path: str, url: str) -> Iterator[Finding]:
    allowed = "http:// or https://, a host, an optional port and path, as in https://api.example.com/v1"
    if not url.isprintable() or any(char.isspace() for char in url):
        yield Finding(key_path, "a URL with blanks or control characters", allowed)
        return
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0
    except ValueError:
        yield Finding(key_path, "not a URL", allowed)
        return
    if parts.username is not None or parts.password is not None:
        yield Finding(key_path, "a URL with credentials", "a URL without; api_key_env names the variable with the key")
    elif parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        yield Finding(key_path, "a URL without http(s) scheme, host or valid port", allowed)
    elif parts.query or parts.fragment:
        yield Finding(key_path, "a URL with a query or fragment", allowed)


def _model(key_path: str, model: ModelConfig, providers: Sequence[str]) -> Iterator[Finding]:
    if model.operation not in OPERATIONS:
        yield Finding(f"{key_path}.operation", repr(model.operation), _one_of(OPERATIONS))
    yield from _amount(f"{key_path}.credit_multiplier", model.credit_multiplier)
    yield from _seconds(f"{key_path}.cache_ttl_seconds", model.cache_ttl_seconds, zero=True)
    if not model.routes:
        yield Finding(f"{key_path}.routes", "an empty array", "at least one route")
    seen: set[tuple[str, str]] = set()
    for index, route in enumerate(model.routes):
        yield from _route(f"{key_path}.routes[{index}]", route, providers)
        if (route.provider, route.upstream_model) in seen:
            yield Finding(
                f"{key_path}.routes[{index}]", "the same provider and upstream_model again", "each route once"
            )
        seen.add((route.provider, route.upstream_model))


def _route(key_path: str, route: RouteConfig, providers: Sequence[str]) -> Iterator[Finding]:
    if route.provider not in providers:
        yield Finding(f"{key_path}.provider", f"{route.provider!r} is not a configured provider", _one_of(providers))
    yield from _name(f"{key_path}.upstream_model", route.upstream_model)
    yield from _amount(f"{key_path}.input_usd_per_million", route.input_usd_per_million)
    yield from _amount(f"{key_path}.output_usd_per_million", route.output_usd_per_million)


def _plan(key_path: str, plan: PlanConfig) -> Iterator[Finding]:
    for key, limit in (
        ("key_requests_per_minute", plan.key_requests_per_minute),
        ("key_tokens_per_minute", plan.key_tokens_per_minute),
        ("plan_requests_per_minute", plan.plan_requests_per_minute),
        ("plan_tokens_per_minute", plan.plan_tokens_per_minute),
    ):
        if limit is not None:
            yield from _count(f"{key_path}.{key}", limit, "1 or more; leave the key out for no limit")


def _count(key_path: str, count: int, allowed: str = "1 or more") -> Iterator[Finding]:
    if count < 1:
        yield Finding(key_path, repr(count), allowed)


def _seconds(key_path: str, seconds: float, *, zero: bool = False) -> Iterator[Finding]:
    if not (math.isfinite(seconds) and (seconds >= 0 if zero else seconds > 0) and seconds <= _ONE_YEAR_SECONDS):
        yield Finding(key_path, repr(seconds), f"seconds, {'0 or more' if zero else 'more than 0'}, at most a year")


def _amount(key_path: str, amount: float) -> Iterator[Finding]:
    if not (math.isfinite(amount) and amount >= 0):
        yield Finding(key_path, repr(amount), "a finite number, 0 or more")


def _variable(key_path: str, variable: str | None) -> Iterator[Finding]:
    if variable is not None and not _VARIABLE_NAME.fullmatch(variable):
        yield Finding(
            key_path, "not the name of an environment variable", "letters, digits and _; the secret itself never"
        )


def _one_of(names: Iterable[str]) -> str:
    shown = [repr(name) for name in names]
    if not shown:
        return "none, because none is configured"
    more = f" and {len(shown) - _MAX_SHOWN_NAMES} more" if len(shown) > _MAX_SHOWN_NAMES else ""
    return ", ".join(shown[:_MAX_SHOWN_NAMES]) + more
