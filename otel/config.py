"""CONFIG: OpenTelemetry's own `OTEL_*` variables as one frozen struct, with the meaning the specification gives them.

Comes in: a mapping of environment variables. Goes out: `TelemetryConfig`, or a `TelemetryConfigError` of one line that
names the variable and what it allows. It reads no file and no global; `otel/otlp_config.py` reads `OTEL_EXPORTER_OTLP_*`.

Where we leave the specification, and why:
- Push is on for a signal only when an endpoint is set for it or `OTEL_<SIGNAL>_EXPORTER=otlp` asks for it. The
  specification would push to localhost by default: a gateway run alone would then retry into a void for ever.
- Batches of 64 every 500 ms instead of 512 every 5 s: encoding 512 spans holds the interpreter for 20 ms.
- Metrics are pushed every 15 s instead of 60 s: push is the source of truth, and rules look at single minutes.
- `*_MAX_QUEUE_SIZE` (8192 by default) bounds the items that wait to be encoded; encoded ones are bounded in bytes.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

import msgspec
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)

from otel.otlp_config import (
    OtlpConfig,
    Signal,
    TelemetryConfigError,
    endpoint_is_set,
    otlp_config_from_environ,
    variable,
)

__all__ = [
    "BatchConfig",
    "OtlpConfig",
    "Signal",
    "TelemetryConfig",
    "TelemetryConfigError",
    "telemetry_config_from_environ",
]

DEFAULT_BUFFER_BYTES: Final = 64 * 1024 * 1024

_EXPORTERS: Final[Mapping[Signal, tuple[str, ...]]] = {
    "traces": ("otlp", "none"),
    "metrics": ("otlp", "prometheus", "none"),  # `prometheus` is always on: the pull endpoints are part of the gateway
    "logs": ("otlp", "none"),
}
_SAMPLERS: Final = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)


class BatchConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How items become batches: a batch is due when it is full, or `schedule_delay_seconds` after the last one.

    `max_queue_size` bounds the items that wait to be encoded.
    """

    schedule_delay_seconds: float = 0.5
    max_export_batch_size: int = 64
    max_queue_size: int = 8_192


class TelemetryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `OTEL_*` says; a signal whose `OtlpConfig` is None is not pushed.

    `resource_attributes` holds what the environment says of the resource, `service.name` included.
    """

    disabled: bool = False
    resource_attributes: Mapping[str, str] = {}
    traces: OtlpConfig | None = None
    metrics: OtlpConfig | None = None
    logs: OtlpConfig | None = None
    span_batch: BatchConfig = BatchConfig()
    log_batch: BatchConfig = BatchConfig()
    metric_export_interval_seconds: float = 15.0
    sampler: str = "parentbased_always_on"
    sampler_ratio: float = 1.0
    buffer_bytes: int = DEFAULT_BUFFER_BYTES
    spool_folder: str | None = None

    def build_sampler(self) -> Sampler:
        """Return the SDK's sampler of that name."""
        match self.sampler:
            case "always_on":
                return ALWAYS_ON
            case "always_off":
                return ALWAYS_OFF
            case "traceidratio":
                return TraceIdRatioBased(self.sampler_ratio)
            case "parentbased_always_off":
                return DEFAULT_OFF
            case "parentbased_traceidratio":
                return ParentBasedTraceIdRatio(self.sampler_ratio)
            case _:
                return DEFAULT_ON


def telemetry_config_from_environ(
    environ: Mapping[str, str], *, buffer_bytes: int = DEFAULT_BUFFER_BYTES, spool_folder: str | None = None
) -> TelemetryConfig:
    """Read the `OTEL_*` variables; an empty one is unset, as the specification wants.

    `buffer_bytes` bounds the encoded spans and log records in memory; it is no `OTEL_*` variable. `spool_folder` is where
    shutdown keeps what it could not deliver, None to give it up. Raises `TelemetryConfigError`.
    """
    _refuse_delta(environ)
    sampler, ratio = _sampler(environ)
    return TelemetryConfig(
        disabled=_flag(environ, "OTEL_SDK_DISABLED"),
        resource_attributes=_resource_attributes(environ),
        traces=_exporter(environ, "traces"),
        metrics=_exporter(environ, "metrics"),
        logs=_exporter(environ, "logs"),
        span_batch=_batch(environ, "OTEL_BSP"),
        log_batch=_batch(environ, "OTEL_BLRP"),
        metric_export_interval_seconds=_milliseconds(environ, "OTEL_METRIC_EXPORT_INTERVAL", 15_000) / 1000,
        sampler=sampler,
        sampler_ratio=ratio,
        buffer_bytes=buffer_bytes,
        spool_folder=spool_folder,
    )


def _exporter(environ: Mapping[str, str], signal: Signal) -> OtlpConfig | None:
    """Return where a signal is pushed to, or None when it is not."""
    name = f"OTEL_{signal.upper()}_EXPORTER"
    value = variable(environ, name)
    if value is None:
        return otlp_config_from_environ(environ, signal) if endpoint_is_set(environ, signal) else None
    chosen = {part.strip().lower() for part in value.split(",")}
    allowed = _EXPORTERS[signal]
    if not chosen <= set(allowed) or ("none" in chosen and len(chosen) > 1):
        raise TelemetryConfigError(name, value, " or ".join(allowed))
    return otlp_config_from_environ(environ, signal) if "otlp" in chosen else None


def _resource_attributes(environ: Mapping[str, str]) -> dict[str, str]:
    """Parse `key=value,key=value` with percent-encoded values; OTEL_SERVICE_NAME wins over `service.name` in the list."""
    name = "OTEL_RESOURCE_ATTRIBUTES"
    attributes: dict[str, str] = {}
    for pair in (variable(environ, name) or "").split(","):
        if not pair.strip():
            continue
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise TelemetryConfigError(name, pair.strip(), "a list like key1=value1,key2=value2")
        try:
            attributes[unquote(key.strip(), errors="strict")] = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            raise TelemetryConfigError(name, pair.strip(), "percent-encoded UTF-8") from None
    service_name = variable(environ, "OTEL_SERVICE_NAME")
    if service_name is not None:
        attributes["service.name"] = service_name
    return attributes


def _batch(environ: Mapping[str, str], prefix: str) -> BatchConfig:
    """Read the variables of the batch span processor (`OTEL_BSP`) or log record processor (`OTEL_BLRP`)."""
    default = BatchConfig()
    queue_size = _count(environ, f"{prefix}_MAX_QUEUE_SIZE", default.max_queue_size)
    batch_name = f"{prefix}_MAX_EXPORT_BATCH_SIZE"
    batch_size = _count(environ, batch_name, min(default.max_export_batch_size, queue_size))
    if batch_size > queue_size:
        raise TelemetryConfigError(
            batch_name, str(batch_size), f"at most {prefix}_MAX_QUEUE_SIZE, which is {queue_size}"
        )
    return BatchConfig(
        schedule_delay_seconds=_milliseconds(environ, f"{prefix}_SCHEDULE_DELAY", 500) / 1000,
        max_export_batch_size=batch_size,
        max_queue_size=queue_size,
    )


def _sampler(environ: Mapping[str, str]) -> tuple[str, float]:
    """Return the sampler's name and ratio; the ratio counts only for the `traceidratio` samplers."""
    name = variable(environ, "OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    if name.lower() not in _SAMPLERS:
        raise TelemetryConfigError("OTEL_TRACES_SAMPLER", name, " or ".join(_SAMPLERS))
    argument = variable(environ, "OTEL_TRACES_SAMPLER_ARG")
    if not name.lower().endswith("traceidratio") or argument is None:
        return name.lower(), 1.0
    try:
        ratio = float(argument)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise TelemetryConfigError("OTEL_TRACES_SAMPLER_ARG", argument, "a number from 0 to 1")
    return name.lower(), ratio


def _refuse_delta(environ: Mapping[str, str]) -> None:
    """Delta temporality loses what an undelivered push held; cumulative repairs itself with the next one."""
    name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    value = variable(environ, name)
    if value is not None and value.lower() != "cumulative":
        raise TelemetryConfigError(name, value, "cumulative")


def _flag(environ: Mapping[str, str], name: str) -> bool:
    """Read `true` or `false`, in any case."""
    value = variable(environ, name)
    if value is None or value.lower() == "false":
        return False
    if value.lower() != "true":
        raise TelemetryConfigError(name, value, "true or false")
    return True


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    """Read a whole number above 0."""
    value = variable(environ, name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise TelemetryConfigError(name, value, "a whole number above 0")
    return int(value)


def _milliseconds(environ: Mapping[str, str], name: str, default: int) -> int:
    """Read a duration; the specification counts all of them in whole milliseconds."""
    value = variable(environ, name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise TelemetryConfigError(name, value, "a whole number of milliseconds above 0")
    return int(value)
