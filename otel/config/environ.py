"""The `OTEL_*` variables as one frozen struct, with the meaning that the specification gives them.

A value that cannot be used becomes a warning, because telemetry settings do not stop the program;
only a propagator that is not supported does. Certificate files are the only files that are read.

Differences from the specification, and their reasons:

- A signal is pushed only when an endpoint is set for it or `OTEL_<SIGNAL>_EXPORTER` names otlp. The
  specification pushes to localhost by default; a gateway without a Collector would retry
  indefinitely.
- Batches are sent every 500 ms, not every 5 s: what a killed process loses is at most that.
- Metrics every 15 s, not 60 s: push is the source of truth, and alert rules look at single minutes.
- `*_MAX_QUEUE_SIZE` (default 8192) bounds the items that wait to be encoded; encoded ones are
  bounded in bytes.
- `baggage` is propagated only where `OTEL_PROPAGATORS` names it: it would carry callers' text to
  the providers.
"""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

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

from otel.config.conventions import read_opt_ins
from otel.config.limits import AttributeLimits, read_limits
from otel.config.otlp import OtlpConfig, Signal, TelemetryConfigError, endpoint_is_set, read_otlp
from otel.config.propagators import DEFAULT_PROPAGATORS, read_propagators
from otel.config.unused import warn_of_unused
from otel.config.values import EnvironReader, shown

__all__ = [
    "AttributeLimits",
    "BatchConfig",
    "OtlpConfig",
    "Signal",
    "TelemetryConfig",
    "TelemetryConfigError",
    "telemetry_config_from_environ",
]

DEFAULT_BUFFER_BYTES: Final = 64 * 1024 * 1024

_EXPORTERS: Final[Mapping[Signal, tuple[str, ...]]] = {
    "traces": ("otlp", "console", "none"),
    # `prometheus` is always on: the pull endpoints are part of the gateway.
    "metrics": ("otlp", "console", "prometheus", "none"),
    # `console` is always on: the log lines on stdout.
    "logs": ("otlp", "console", "none"),
}
_SAMPLERS: Final = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
_LOG_LEVELS: Final[Mapping[str, str]] = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "fatal": "critical",
    "critical": "critical",
    "none": "none",
}
_MAX_COUNT: Final = 2**31 - 1


class BatchConfig(msgspec.Struct, frozen=True, kw_only=True):
    """When a batch is due: when it is full, or `schedule_delay_seconds` after the last one.

    `max_queue_size` bounds the items that wait to be encoded.
    """

    schedule_delay_seconds: float = 0.5
    max_export_batch_size: int = 512
    max_queue_size: int = 8_192


class TelemetryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the `OTEL_*` variables set.

    A signal whose `OtlpConfig` is None is not pushed. What the application passes in is
    `PipelineSettings`; `[telemetry]` in the configuration file is `TelemetrySection`.

    `resource_attributes` are those from the environment, `service.name` included. `console` names
    the signals that are written to stdout beside the log lines. `log_level` is the lowest level of
    lines on stdout. `conventions` are the opt-ins to the semantic conventions' metrics. `warnings` are
    logged once, for the operator.
    """

    disabled: bool = False
    resource_attributes: Mapping[str, str] = {}
    traces: OtlpConfig | None = None
    metrics: OtlpConfig | None = None
    logs: OtlpConfig | None = None
    console: frozenset[Signal] = frozenset()
    span_batch: BatchConfig = BatchConfig()
    log_batch: BatchConfig = BatchConfig()
    metric_export_interval_seconds: float = 15.0
    sampler: str = "parentbased_always_on"
    sampler_ratio: float = 1.0
    propagators: tuple[str, ...] = DEFAULT_PROPAGATORS
    exemplar_filter: str = "trace_based"
    limits: AttributeLimits = AttributeLimits()
    log_level: str = "info"
    conventions: frozenset[str] = frozenset()
    buffer_bytes: int = DEFAULT_BUFFER_BYTES
    spool_folder: str | None = None
    warnings: tuple[str, ...] = ()

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
    environ: Mapping[str, str],
    *,
    buffer_bytes: int = DEFAULT_BUFFER_BYTES,
    spool_folder: str | None = None,
    conventions: Iterable[str] = (),
) -> TelemetryConfig:
    """Read the `OTEL_*` variables; with `OTEL_SDK_DISABLED=true` only `OTEL_PROPAGATORS`.

    `buffer_bytes` bounds the encoded spans and log records in memory. `spool_folder` is where
    shutdown stores what it could not deliver; None drops it. `conventions` are added to those of
    `OTEL_SEMCONV_STABILITY_OPT_IN`.
    Raises `TelemetryConfigError` for a propagator that is not supported.
    """
    reader = EnvironReader(environ)
    if reader.flag("OTEL_SDK_DISABLED"):
        return TelemetryConfig(
            disabled=True,
            propagators=read_propagators(reader),
            buffer_bytes=buffer_bytes,
            spool_folder=spool_folder,
            warnings=reader.warnings,
        )
    _warn_of_delta(reader)
    sampler, ratio = _sampler(reader)
    exporters = {signal: _exporters(reader, signal) for signal in _EXPORTERS}
    pushed = {signal: _pushed(reader, signal, exporters[signal]) for signal in _EXPORTERS}
    config = TelemetryConfig(
        resource_attributes=_resource_attributes(reader),
        traces=pushed["traces"],
        metrics=pushed["metrics"],
        logs=pushed["logs"],
        console=frozenset(signal for signal, names in exporters.items() if "console" in names),
        span_batch=_batch(reader, "OTEL_BSP"),
        log_batch=_batch(reader, "OTEL_BLRP"),
        metric_export_interval_seconds=reader.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", 15_000) / 1000,
        sampler=sampler,
        sampler_ratio=ratio,
        propagators=read_propagators(reader),
        exemplar_filter=_exemplar_filter(reader),
        limits=read_limits(reader),
        log_level=_log_level(reader),
        conventions=read_opt_ins(reader, conventions),
        buffer_bytes=buffer_bytes,
        spool_folder=spool_folder,
    )
    warn_of_unused(reader, environ)
    return msgspec.structs.replace(config, warnings=reader.warnings)


def _exporters(reader: EnvironReader, signal: Signal) -> tuple[str, ...]:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    default = "using otlp, because an endpoint is set" if endpoint_is_set(reader, signal) else "nothing is pushed"
    return reader.choices(name, _EXPORTERS[signal], used=default)


def _pushed(reader: EnvironReader, signal: Signal, exporters: tuple[str, ...]) -> OtlpConfig | None:
    """Return where a signal is pushed; None where it is not."""
    wanted = "otlp" in exporters if exporters else endpoint_is_set(reader, signal)
    return read_otlp(reader, signal) if wanted else None


def _resource_attributes(reader: EnvironReader) -> dict[str, str]:
    """Parse `key=value,key=value`, percent-encoded.

    An error discards the whole list, as the specification requires. OTEL_SERVICE_NAME wins over
    `service.name` in the list.
    """
    name = "OTEL_RESOURCE_ATTRIBUTES"
    discarded = "the whole variable is discarded"
    attributes: dict[str, str] = {}
    for number, pair in enumerate((reader.text(name, used=discarded) or "").split(","), start=1):
        if not pair.strip():
            continue
        key, separator, value = pair.partition("=")
        decoded_key, decoded = _percent_decoded(key), _percent_decoded(value)
        if not separator or not decoded_key or decoded is None:
            reader.warn(name, f"has a pair {number} that is not key=value, percent-encoded UTF-8", discarded)
            attributes.clear()
            break
        attributes[decoded_key] = decoded
    service_name = reader.text("OTEL_SERVICE_NAME")
    if service_name is not None:
        attributes["service.name"] = service_name
    return attributes


def _percent_decoded(text: str) -> str | None:
    """Decode percent-encoded UTF-8; None where it is malformed."""
    text = text.strip()
    rest = text.split("%")[1:]
    if not all(len(each) > 1 and all(digit in "0123456789abcdefABCDEF" for digit in each[:2]) for each in rest):
        return None
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return None


def _batch(reader: EnvironReader, prefix: str) -> BatchConfig:
    """Read the batch variables of spans (`OTEL_BSP`) or log records (`OTEL_BLRP`)."""
    default = BatchConfig()
    queue_name, batch_name = f"{prefix}_MAX_QUEUE_SIZE", f"{prefix}_MAX_EXPORT_BATCH_SIZE"
    queue_size = (
        reader.whole_number(queue_name, lowest=1, highest=_MAX_COUNT, used=f"using {default.max_queue_size}")
        or default.max_queue_size
    )
    batch_default = min(default.max_export_batch_size, queue_size)
    batch_size = (
        reader.whole_number(batch_name, lowest=1, highest=queue_size, used=f"using {batch_default}") or batch_default
    )
    return BatchConfig(
        schedule_delay_seconds=reader.milliseconds(f"{prefix}_SCHEDULE_DELAY", 500) / 1000,
        max_export_batch_size=batch_size,
        max_queue_size=queue_size,
    )


def _sampler(reader: EnvironReader) -> tuple[str, float]:
    """Return the sampler's name and ratio.

    The ratio counts only for the `traceidratio` samplers.
    """
    default = "parentbased_always_on"
    name = reader.choice("OTEL_TRACES_SAMPLER", _SAMPLERS, used=f"using {default}") or default
    argument = reader.text("OTEL_TRACES_SAMPLER_ARG", used="using 1.0") if name.endswith("traceidratio") else None
    if argument is None:
        return name, 1.0
    try:
        ratio = float(argument) if argument.isascii() and "_" not in argument else -1.0
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        reader.warn("OTEL_TRACES_SAMPLER_ARG", f"is {shown(argument)}, not a number from 0 to 1", "using 1.0")
        return name, 1.0
    return name, ratio


def _exemplar_filter(reader: EnvironReader) -> str:
    default = "trace_based"
    allowed = ("always_on", "always_off", default)
    return reader.choice("OTEL_METRICS_EXEMPLAR_FILTER", allowed, used=f"using {default}") or default


def _log_level(reader: EnvironReader) -> str:
    return _LOG_LEVELS[reader.choice("OTEL_LOG_LEVEL", tuple(_LOG_LEVELS), used="using info") or "info"]


def _warn_of_delta(reader: EnvironReader) -> None:
    """Warn of delta temporality: it loses the counts of a lost push, which the next cumulative push repairs."""
    name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    reader.choice(name, ("cumulative",), used="using cumulative: a push that is lost then costs no count")
