"""Checks what types cannot express: references, ranges, names, URLs.

A finding never shows a value that could be a secret: a URL may hold a password, and a key may have
been written where the name of a variable belongs.
"""

import math
import re
from collections.abc import Iterator

import msgspec

from app.config.routing_checks import check_model, check_names, check_plan, check_provider, check_tag_headers
from app.config.rules import (
    Finding,
    check_count,
    check_name,
    check_origins,
    check_seconds,
    check_variable,
    is_http_url,
)
from app.config.schema import (
    AnomaliesConfig,
    AppConfig,
    BreakerConfig,
    DatabaseConfig,
    DoctorSection,
    ProbesConfig,
    ServerConfig,
)

MIN_LEDGER_DAYS = 2
MAX_LEDGER_DAYS = 36_500
URL_SCHEMES = {
    "database": ("sqlite+aiosqlite", "postgresql+asyncpg"),
    "cache": ("redis", "rediss", "valkey", "valkeys", "unix"),
}
_MAX_PORT = 65_535


def find_all(config: AppConfig) -> list[Finding]:
    """Return everything that is wrong, in the order of the file's tables."""
    return list(_findings(config))


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
    yield from _doctor(config.doctor)
    yield from check_names("providers", config.providers)
    yield from check_names("models", config.models)
    yield from check_names("plans", config.plans)
    for index, provider in enumerate(config.providers):
        yield from check_provider(f"providers[{index}]", provider)
    provider_names = [provider.name for provider in config.providers]
    for index, model in enumerate(config.models):
        yield from check_model(f"models[{index}]", model, provider_names)
    if not config.plans:
        yield Finding("plans", "an empty array", "at least one plan")
    for index, plan in enumerate(config.plans):
        yield from check_plan(f"plans[{index}]", plan, config.retention.ledger_days)


def _sections(config: AppConfig) -> Iterator[Finding]:
    server, telemetry, ledger = config.server, config.telemetry, config.ledger
    host = server.host
    is_with_port = host.count(":") == 1  # an IPv6 address has two at least
    if not host or not host.isprintable() or any(char.isspace() or char in "/[]" for char in host) or is_with_port:
        yield Finding(
            "server.host", repr(host), "a host name or address to listen on, without scheme, port and brackets"
        )
    yield from check_tag_headers(server.tag_headers)
    yield from check_origins("server.cors_origins", server.cors_origins)
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
        yield from check_count(key_path, count)
    yield from _shares(server)
    if server.max_connections is not None:
        yield from check_count("server.max_connections", server.max_connections)
    yield from check_seconds("server.receive_head_seconds", server.receive_head_seconds)
    yield from check_seconds("server.receive_body_seconds", server.receive_body_seconds)
    yield from check_seconds("server.keepalive_comment_seconds", server.keepalive_comment_seconds, zero=True)
    yield from check_seconds("server.send_stall_seconds", server.send_stall_seconds)
    yield from check_seconds("server.shutdown_grace_seconds", server.shutdown_grace_seconds, zero=True)
    yield from check_seconds("monitoring.share_seconds", config.monitoring.share_seconds, zero=True)
    yield from check_seconds("telemetry.shutdown_seconds", telemetry.shutdown_seconds, zero=True)
    yield from check_seconds("telemetry.export_slower_than_seconds", telemetry.export_slower_than_seconds, zero=True)
    yield from check_seconds("ledger.commit_seconds", ledger.commit_seconds)
    for field in msgspec.structs.fields(config.jobs):
        yield from check_seconds(f"jobs.{field.name}", getattr(config.jobs, field.name))
    if not MIN_LEDGER_DAYS <= config.retention.ledger_days <= MAX_LEDGER_DAYS:
        yield Finding(
            "retention.ledger_days",
            repr(config.retention.ledger_days),
            f"{MIN_LEDGER_DAYS} to {MAX_LEDGER_DAYS:,}: uptime needs 24 hours",
        )
    yield from check_variable("monitoring.token_env", config.monitoring.token_env)
    if config.monitoring.open and config.monitoring.token_env is not None:
        yield Finding("monitoring.open", "true, and monitoring.token_env is set as well", "one of the two")
    yield from check_name("telemetry.app_name", telemetry.app_name)
    if telemetry.spool_folder is not None and not telemetry.spool_folder.isprintable():
        yield Finding("telemetry.spool_folder", repr(telemetry.spool_folder), "a folder, of printable characters")
    yield from _url("database", config.database.url, config.database.url_env)
    yield from _url("cache", config.cache.url, config.cache.url_env)


def _shares(server: ServerConfig) -> Iterator[Finding]:
    """Check the shares of one key: requests in flight, and bytes of request bodies."""
    requests = server.max_concurrent_requests_per_key
    if requests is not None and not 1 <= requests <= server.max_concurrent_requests:
        yield Finding(
            "server.max_concurrent_requests_per_key",
            repr(requests),
            f"1 to max_concurrent_requests ({server.max_concurrent_requests})",
        )
    least, most = server.max_body_bytes, server.max_body_bytes_in_flight
    if most < least:
        yield Finding("server.max_body_bytes_in_flight", repr(most), f"max_body_bytes ({least}) or more")
    share = server.max_body_bytes_in_flight_per_key
    if share is not None and not least <= share <= most:
        yield Finding(
            "server.max_body_bytes_in_flight_per_key",
            repr(share),
            f"max_body_bytes ({least}) to max_body_bytes_in_flight ({most})",
        )


def _breaker(breaker: BreakerConfig) -> Iterator[Finding]:
    yield from check_count("breaker.consecutive_failures", breaker.consecutive_failures)
    yield from check_count("breaker.minimum_attempts", breaker.minimum_attempts)
    yield from check_count("breaker.half_open_calls", breaker.half_open_calls)
    yield from check_seconds("breaker.window_seconds", breaker.window_seconds)
    yield from check_seconds("breaker.open_seconds", breaker.open_seconds)
    yield from check_seconds("breaker.max_open_seconds", breaker.max_open_seconds)
    yield from check_seconds("breaker.max_pause_seconds", breaker.max_pause_seconds, zero=True)
    if not 0 < breaker.failure_ratio <= 1:
        yield Finding("breaker.failure_ratio", repr(breaker.failure_ratio), "more than 0, at most 1")
    if breaker.max_open_seconds < breaker.open_seconds:
        yield Finding(
            "breaker.max_open_seconds", repr(breaker.max_open_seconds), f"open_seconds ({breaker.open_seconds}) or more"
        )


def _probes(probes: ProbesConfig) -> Iterator[Finding]:
    yield from check_seconds("probes.provider_interval_seconds", probes.provider_interval_seconds)
    yield from check_seconds("probes.model_interval_seconds", probes.model_interval_seconds)
    yield from check_seconds("probes.timeout_seconds", probes.timeout_seconds)
    if probes.timeout_seconds > probes.provider_interval_seconds:
        yield Finding(
            "probes.timeout_seconds",
            repr(probes.timeout_seconds),
            f"provider_interval_seconds ({probes.provider_interval_seconds}) or less, so that no probe outlasts the next",
        )


def _anomalies(anomalies: AnomaliesConfig) -> Iterator[Finding]:
    yield from check_seconds("anomalies.interval_seconds", anomalies.interval_seconds)
    yield from check_count("anomalies.min_attempts", anomalies.min_attempts)
    yield from check_count("anomalies.max_episode_minutes", anomalies.max_episode_minutes)
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


def _doctor(doctor: DoctorSection) -> Iterator[Finding]:
    for key, url in msgspec.structs.asdict(doctor).items():
        if url != "off" and not is_http_url(url):
            yield Finding(f"doctor.{key}", "not an address", "http://HOST:PORT, or off for a server that is not used")


def _url(section: str, url: str | None, variable: str | None) -> Iterator[Finding]:
    yield from check_variable(f"{section}.url_env", variable)
    if url is not None and (finding := check_url_scheme(f"{section}.url", url, section)):
        yield finding
    if url is not None and variable is not None and url != DatabaseConfig().url:
        yield Finding(f"{section}.url_env", f"{section}.url is set as well", "one of the two")
