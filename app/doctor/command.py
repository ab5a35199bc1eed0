"""Runs `gatewayz doctor`: a table or JSON on stdout, progress on stderr.

The exit code is 0 when nothing is broken, 1 when something is, 2 when the arguments are invalid.
"""

import argparse
import asyncio
import secrets
import sys
from collections.abc import Callable, Container, Mapping
from typing import Final, TextIO

import msgspec

from app.config.load import resolve_usable_secrets
from app.config.schema import AppConfig, ProviderConfig
from app.doctor.check_providers import provider_checks
from app.doctor.checks import CHECKS
from app.doctor.facts import Facts
from app.doctor.findings import judge_all
from app.doctor.observe import observe
from app.doctor.report import as_json, as_table, is_healthy
from app.doctor.settings import (
    DEFAULTS,
    OFF,
    VARIABLE_PREFIX,
    ProviderToQuery,
    Settings,
    SettingsError,
    addresses_from,
    otlp_from,
)
from app.doctor.web import Web
from app.providers.probe_request import ProbeRequest, probe_requests
from otel.delivery.build import build_sender

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, not bound to


def run_doctor(
    args: argparse.Namespace,
    config: AppConfig | None,
    environ: Mapping[str, str],
    *,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    stdin: TextIO | None = None,
) -> int:
    """Run the command and return the exit code. Starts an event loop of its own."""
    errors = stderr or sys.stderr

    def log(text: str) -> None:
        print(f"doctor: {text}", file=errors, flush=True)

    try:
        settings = settings_from(args, config, environ, warn=log, stdin=stdin)
    except SettingsError as error:
        log(str(error))
        return 2
    facts = asyncio.run(_observe(settings, log))
    findings = judge_all((*CHECKS, *provider_checks(facts)), facts)
    print(as_json(findings, facts) if args.json else as_table(findings), file=stdout or sys.stdout)
    return 0 if is_healthy(findings) else 1


def settings_from(
    args: argparse.Namespace,
    config: AppConfig | None,
    environ: Mapping[str, str],
    *,
    warn: Callable[[str], None] = lambda _: None,
    stdin: TextIO | None = None,
) -> Settings:
    """Return the settings; raises `SettingsError`."""
    known: dict[str, str] = {}
    token = environ.get(f"{VARIABLE_PREFIX}METRICS_TOKEN")
    if config is not None:
        known.update(msgspec.structs.asdict(config.doctor))
        if config.server.port:
            known["gateway"] = f"http://{_reachable_host(config.server.host)}:{config.server.port}"
        if config.monitoring.token_env is not None:
            token = token or environ.get(config.monitoring.token_env)
    timeout_seconds: float = args.timeout
    settings = Settings(
        addresses=addresses_from(
            {name: getattr(args, name) for name in DEFAULTS}, environ, known, has_pipeline=args.otlp != OFF
        ),
        otlp=otlp_from(args.otlp, environ, warn),
        providers=() if config is None else providers_from(config, environ),
        api_key=_api_key(args.key, environ, stdin, warn),
        metrics_token=token,
        grafana_token=environ.get(f"{VARIABLE_PREFIX}GRAFANA_TOKEN"),
        model=args.model,
        send_request=not args.no_request,
        timeout_seconds=timeout_seconds,
        request_seconds=min(3.0, timeout_seconds),
    )
    if not settings.addresses["gateway"]:
        raise SettingsError("--gateway cannot be left out")
    return settings


def providers_from(config: AppConfig, environ: Mapping[str, str]) -> tuple[ProviderToQuery, ...]:
    """Return what to query of each configured provider."""
    secrets_found, unusable = resolve_usable_secrets(config, environ)
    requests = probe_requests(config, secrets_found)
    return tuple(_to_query(config, provider, requests[provider.name], unusable) for provider in config.providers)


def _to_query(
    config: AppConfig, provider: ProviderConfig, request: ProbeRequest, unusable: Container[str]
) -> ProviderToQuery:
    key = () if provider.api_key_env is None else (provider.api_key_env,)
    key_variables = tuple(dict.fromkeys((*key, *provider.headers_env.values())))
    routes = (route for model in config.models for route in model.routes if route.provider == provider.name)
    return ProviderToQuery(
        name=provider.name,
        request=request,
        key_variables=key_variables,
        unset_variables=tuple(variable for variable in key_variables if variable in unusable),
        unset_proxy=provider.proxy_env if provider.proxy_env in unusable else None,
        models=tuple(dict.fromkeys(route.upstream_model for route in routes)),
    )


def _api_key(
    flag: str | None, environ: Mapping[str, str], stdin: TextIO | None, warn: Callable[[str], None]
) -> str | None:
    """Return the key: from the flag, from stdin for `-`, or from the variable."""
    if flag == "-":
        flag = (stdin or sys.stdin).readline().strip()
        if not flag:
            raise SettingsError("--key - reads the key from stdin, which has none")
        return flag
    if flag:
        warn(f"warning: --key shows the key in the list of processes; {VARIABLE_PREFIX}KEY or --key - does not")
    key = flag or environ.get(f"{VARIABLE_PREFIX}KEY", "").strip() or None
    if key is not None and not (key.isascii() and key.isprintable()):
        raise SettingsError("the API key holds characters that no key has")
    return key


def _reachable_host(host: str) -> str:
    """Return where to reach a gateway that listens on `host`."""
    host = "127.0.0.1" if host in _ANY_ADDRESS else host
    return f"[{host}]" if ":" in host else host


async def _observe(settings: Settings, log: Callable[[str], None]) -> Facts:
    async with Web(settings.request_seconds) as web:
        return await observe(settings, web, make_sender=build_sender, random_bytes=secrets.token_bytes, log=log)
