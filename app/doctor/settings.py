"""The doctor's settings: the address of each server, and its timeouts.

An option wins over its variable, a variable over the configuration, and the configuration over the
documented port on loopback.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from app.config.rules import is_http_url
from app.config.schema import DoctorSection
from app.providers.probe_request import ProbeRequest
from otel.config.otlp import OtlpConfig, Signal, read_otlp
from otel.config.values import EnvironReader

SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics", "logs")
OFF: Final = "off"
"""As an address: this server is not part of the pipeline."""

DEFAULTS: Final[Mapping[str, str]] = {"gateway": "http://127.0.0.1:8000", **msgspec.structs.asdict(DoctorSection())}
"""By name; the flag is `--collector-health`, the variable GATEWAYZ_DOCTOR_COLLECTOR_HEALTH."""

VARIABLE_PREFIX: Final = "GATEWAYZ_DOCTOR_"
_OTLP_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


class SettingsError(Exception):
    """A setting that cannot be used; the message is one line."""


class ProviderToQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One provider of the configuration: the request that the gateway's probes send to it, and the models to be listed.

    `key_variables` hold its key and its secret headers; of these, `unset_variables` have no usable value here.
    `unset_proxy` is the variable of its proxy where that has none.
    """

    name: str
    request: ProbeRequest
    key_variables: tuple[str, ...]
    unset_variables: tuple[str, ...]
    unset_proxy: str | None
    models: tuple[str, ...]

    def __repr__(self) -> str:
        """Show no secret."""
        return f"ProviderToQuery({self.name})"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of the doctor. Addresses are base URLs without a slash at the end, or empty for a server that is left out.

    `otlp` is where OTLP is expected, by signal, with the headers (tokens) that the environment holds; empty where it is not used.
    """

    addresses: Mapping[str, str]
    otlp: Mapping[Signal, OtlpConfig]
    api_key: str | None = None
    metrics_token: str | None = None
    providers: tuple[ProviderToQuery, ...] = ()
    grafana_token: str | None = None
    model: str | None = None
    send_request: bool = True
    timeout_seconds: float = 30.0
    request_seconds: float = 3.0
    max_skew_seconds: float = 5.0
    poll_seconds: float = 0.4

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Settings({dict(self.addresses)})"


def addresses_from(
    flags: Mapping[str, str | None], environ: Mapping[str, str], known: Mapping[str, str], *, has_pipeline: bool = True
) -> dict[str, str]:
    """Return the base URL of each server; `known` is what the configuration sets. Raises `SettingsError`.

    Without a pipeline only those servers are used whose address was given: the documented ports mean nothing then.
    """
    found = {}
    for name, default in DEFAULTS.items():
        variable = VARIABLE_PREFIX + name.upper()
        flag = flags.get(name)
        if flag is not None:
            source, url = f"--{name.replace('_', '-')}", flag
        elif environ.get(variable, "").strip():
            source, url = variable, environ[variable].strip()
        else:
            source, url = f"doctor.{name}", known.get(name, default)
            if not has_pipeline and name != "gateway" and url == default:
                url = OFF
        found[name] = "" if url == OFF else _checked(source, url)
    return found


def _checked(source: str, url: str) -> str:
    if not is_http_url(url):
        raise SettingsError(f"{source} takes http://HOST:PORT, or {OFF} for a server that is not used")
    return url.rstrip("/")


def otlp_from(
    flag: str | None, environ: Mapping[str, str], warn: Callable[[str], None] = lambda _: None
) -> dict[Signal, OtlpConfig]:
    """Return where OTLP is expected, by signal: `--otlp` as the base URL, else the OTEL_* variables; nothing for `off`.

    Warnings that the gateway would log go to `warn`. Raises `SettingsError` where there is no address to query.
    """
    if flag == OFF:
        return {}
    variables = dict(environ)
    if flag is not None:
        variables[_OTLP_ENDPOINT] = flag
        for signal in SIGNALS:
            variables.pop(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", None)
    reader = EnvironReader(variables)
    found: dict[Signal, OtlpConfig] = {}
    for signal in SIGNALS:
        config = read_otlp(reader, signal)
        if config is None:
            line = reader.warnings[-1].partition("; ")[0]
            raise SettingsError(line if flag is None else line.replace(_OTLP_ENDPOINT, "--otlp"))
        found[signal] = config
    for line in reader.warnings:
        warn(f"warning: {line}")
    return found
