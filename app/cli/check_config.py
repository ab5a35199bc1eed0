"""`gatewayz check-config`: reports every mistake of the configuration and starts nothing.

Prints `ok` and a summary on stdout, or one line per mistake on stderr; the exit code is 0 or 1.
Warnings go to stderr and do not change the exit code. Secrets are shown by the names of their
variables only.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import TextIO
from urllib.parse import urlsplit

from app.config.checks import check_url_scheme
from app.config.load import (
    ConfigError,
    find_missing_secrets,
    read_config,
    resolve_cache_url,
    resolve_database_url,
)
from app.config.schema import AppConfig
from app.config.warnings import config_warnings, key_warnings, price_warnings
from otel.recording.noop import DisabledRecorder


def run_check_config(
    path: str | None, environ: Mapping[str, str], *, stdout: TextIO | None = None, stderr: TextIO | None = None
) -> int:
    """Check the file, the `GATEWAYZ_*` variables, the secrets that they name and the `OTEL_*` variables; return the exit code."""
    errors = stderr or sys.stderr
    config: AppConfig | None = None
    try:
        config, mistakes = read_config(path, environ)
    except ConfigError as error:
        mistakes = [str(error)]
    if config is not None:
        # The missing secret of a key that is reported already would be a second line for one mistake.
        wrong = list(mistakes)
        mistakes.extend(each for each in find_missing_secrets(config, environ) if not any(each in one for one in wrong))
        mistakes.extend(each for each in _store_mistakes(config, environ) if each not in mistakes)
        telemetry_warnings, telemetry_mistakes = _telemetry_settings(config, environ)
        mistakes.extend(telemetry_mistakes)
        warnings = (*config_warnings(config, environ), *key_warnings(config), *price_warnings(config))
        for line in (*warnings, *telemetry_warnings):
            print(f"gateway: warning: {line}", file=errors)
    for line in mistakes:
        print(f"gateway: {line}", file=errors)
    if mistakes or config is None:
        return 1
    print("\n".join(["ok", *_summary(config)]), file=stdout or sys.stdout)
    return 0


def _store_mistakes(config: AppConfig, environ: Mapping[str, str]) -> Iterator[str]:
    """Build the engine and the cache client from their URLs, as the start does, without connecting.

    A URL with an unknown scheme is skipped: the configuration's own checks report it.
    """
    from app.gateway.clock import SystemClock  # noqa: PLC0415  with the drivers below
    from app.store.database import DatabaseOpenError, create_engine  # noqa: PLC0415  its imports take a second
    from app.store.valkey_cache import open_valkey_cache  # noqa: PLC0415  likewise

    try:
        database_url = resolve_database_url(config, environ)
        if check_url_scheme("database.url", database_url, "database") is None:
            create_engine(database_url, DisabledRecorder())
    except (ConfigError, DatabaseOpenError) as error:
        yield str(error)
    try:
        url = resolve_cache_url(config, environ)
        if url is not None and check_url_scheme("cache.url", url, "cache") is None:
            open_valkey_cache(url, SystemClock())
    except ConfigError as error:
        yield str(error)


def _telemetry_settings(config: AppConfig, environ: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the `OTEL_*` variables as the start does; return the warnings and what stops it."""
    from otel.config.environ import (  # noqa: PLC0415  the SDK's imports take a second
        TelemetryConfigError,
        telemetry_config_from_environ,
    )

    off = {} if config.telemetry.enabled else {"OTEL_SDK_DISABLED": "true"}
    try:
        return telemetry_config_from_environ({**environ, **off}).warnings, ()
    except TelemetryConfigError as error:
        return (), (str(error),)


def _summary(config: AppConfig) -> Iterator[str]:
    """Name what is configured."""
    yield f"listens on {config.server.host}:{config.server.port}"
    database = config.database
    yield f"database: {f'from {database.url_env}' if database.url_env else database.url.partition('://')[0]}"
    for provider in config.providers:
        url = urlsplit(provider.base_url)
        key = f"key from {provider.api_key_env}" if provider.api_key_env else "no key"
        yield f"provider {provider.name}: {url.scheme}://{url.netloc}{url.path}, {key}"
    for model in config.models:
        routes = ", then ".join(f"{route.provider} ({route.upstream_model})" for route in model.routes)
        yield f"model {model.name} ({model.operation}): {routes}"
    for plan in config.plans:
        limits = [
            f"{limit} {name.replace('_', ' ')}"
            for name in (
                "key_requests_per_minute",
                "key_tokens_per_minute",
                "plan_requests_per_minute",
                "plan_tokens_per_minute",
            )
            if (limit := getattr(plan, name)) is not None
        ]
        limits += [
            f"{usd:g} {name.replace('_', ' ')}"
            for name in ("key_usd_per_day", "key_usd_per_month", "plan_usd_per_day", "plan_usd_per_month")
            if (usd := getattr(plan, name)) is not None
        ]
        yield f"plan {plan.name}: {', '.join(limits) or 'no limits'}"
