"""The telemetry of a serving process: the `OTEL_*` variables, the file's `[telemetry]`, and the secrets that it must not show."""

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import unquote, urlsplit

from app.config.load import Secrets
from app.config.schema import AppConfig
from app.errors import GatewayError
from app.http.route_table import TRAFFIC_PATHS
from app.version import VERSION
from otel.config.environ import telemetry_config_from_environ
from otel.delivery.spool import Spool
from otel.labels import LabelBounds
from otel.pipeline import Pipeline, PipelineSettings, build_pipeline
from otel.traces.held_trace import HoldRules

_FRAMEWORK_EXCEPTIONS: Final = ("HTTPException", "InternalServerException", "LitestarException")


def build_server_telemetry(
    config: AppConfig, secrets: Secrets, environ: Mapping[str, str], stdout: TextIO, print_line: Callable[[str], None]
) -> Pipeline:
    """Build telemetry from the `OTEL_*` variables, of which it warns, and the file's section; raises `TelemetryConfigError`."""
    section = config.telemetry
    settings = telemetry_config_from_environ(
        environ if section.enabled else {**environ, "OTEL_SDK_DISABLED": "true"},
        buffer_bytes=section.buffer_bytes,
        spool_folder=section.spool_folder,
        conventions=section.semconv_opt_in,
    )
    instance_id = str(uuid.uuid4())
    if settings.spool_folder is not None:
        problem = Spool(Path(settings.spool_folder), instance_id).problem()
        if problem is not None:
            print_line(
                f"warning: telemetry.spool_folder {settings.spool_folder}: {problem}; telemetry that a stop cannot deliver will be lost"
            )
    for line in settings.warnings:
        print_line(f"warning: {line}")
    return build_pipeline(
        settings,
        PipelineSettings(
            bounds=label_bounds(config),
            version=VERSION,
            instance_id=instance_id,
            clock=time.monotonic,
            unix_ns=time.time_ns,
            rng=random.Random(),  # noqa: S311  jitter of retries
            stdout=stdout,
            share_seconds=config.monitoring.share_seconds,
            secrets=tuple(secret_values(secrets)),
            hold=HoldRules(failed=section.export_failed_traces, slower_than_seconds=section.export_slower_than_seconds),
        ),
    )


def secret_values(secrets: Secrets) -> Iterator[str]:
    """Return every secret that the process knows: provider keys, the monitoring token, passwords of its URLs."""
    yield from secrets.provider_keys.values()
    for headers in secrets.provider_headers.values():
        yield from headers.values()
    if secrets.monitoring_token is not None:
        yield secrets.monitoring_token
    for url in (secrets.database_url, secrets.cache_url, *secrets.provider_proxies.values()):
        password = _password(url or "")
        if password:
            yield password
            yield unquote(password)


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:  # brackets without an IPv6 address
        return None


def label_bounds(config: AppConfig) -> LabelBounds:
    """Return the closed sets of the gateway's labels, from its configuration and its code; no client adds to them."""
    return LabelBounds.from_routes(
        config.telemetry.app_name,
        config.routes,
        paths=TRAFFIC_PATHS,
        exception_types=frozenset(each.__name__ for each in _subclasses(GatewayError)).union(_FRAMEWORK_EXCEPTIONS),
    )


def _subclasses(cls: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _subclasses(subclass)
