"""Warns of `OTEL_*` variables that no component reads, so that typing errors are noticed."""

import re
from collections.abc import Mapping
from typing import Final

from otel.config.values import EnvironReader

_USED: Final = re.compile(
    r"""OTEL_(
      SDK_DISABLED | RESOURCE_ATTRIBUTES | SERVICE_NAME | LOG_LEVEL | PROPAGATORS | SEMCONV_STABILITY_OPT_IN
    | TRACES_SAMPLER(_ARG)? | (TRACES|METRICS|LOGS)_EXPORTER
    | (BSP|BLRP)_(SCHEDULE_DELAY|MAX_QUEUE_SIZE|MAX_EXPORT_BATCH_SIZE)
    | METRIC_EXPORT_INTERVAL | METRICS_EXEMPLAR_FILTER
    | ((SPAN_|LOGRECORD_)?ATTRIBUTE_(COUNT|VALUE_LENGTH) | SPAN_(EVENT|LINK)_COUNT | (EVENT|LINK)_ATTRIBUTE_COUNT)_LIMIT
    | EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE
    | EXPORTER_OTLP_((TRACES|METRICS|LOGS)_)?
      (ENDPOINT|PROTOCOL|HEADERS|TIMEOUT|COMPRESSION|CERTIFICATE|CLIENT_KEY|CLIENT_CERTIFICATE|INSECURE)
    )""",
    re.VERBOSE,
)
_NAME: Final = re.compile(r"OTEL_\w{1,100}", re.ASCII)
_MAX_SHOWN: Final = 20


def warn_of_unused(reader: EnvironReader, environ: Mapping[str, str]) -> None:
    """Warn of all of them in one line, without their values."""
    names = sorted(name for name in environ if _NAME.fullmatch(name) and reader.is_set(name))
    unused = [name for name in names if not _USED.fullmatch(name)]
    if unused:
        more = f" and {len(unused) - _MAX_SHOWN} more" if len(unused) > _MAX_SHOWN else ""
        are = "is set and has" if len(unused) == 1 else "are set and have"
        reader.warn(
            f"{', '.join(unused[:_MAX_SHOWN])}{more}", f"{are} no meaning here", "docs/gateway.md lists what is read"
        )
