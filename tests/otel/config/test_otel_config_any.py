"""Any values of the `OTEL_*` variables: telemetry is built, nothing raises, and no warning holds a secret."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel.config.environ import TelemetryConfigError, telemetry_config_from_environ
from otel.labels import LabelBounds
from otel.pipeline import PipelineSettings, build_pipeline

SIGNALS = ("", "TRACES_", "METRICS_", "LOGS_")
OPTIONS = (
    "ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE", "INSECURE",
)  # fmt: skip
NAMES = [
    *(f"OTEL_EXPORTER_OTLP_{signal}{option}" for signal in SIGNALS for option in OPTIONS),
    *(f"OTEL_{prefix}_{name}" for prefix in ("BSP", "BLRP") for name in ("SCHEDULE_DELAY", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE")),
    *(f"OTEL_{signal}_EXPORTER" for signal in ("TRACES", "METRICS", "LOGS")),
    *(f"OTEL_{name}_LIMIT" for name in ("ATTRIBUTE_COUNT", "SPAN_ATTRIBUTE_VALUE_LENGTH", "LOGRECORD_ATTRIBUTE_COUNT", "SPAN_LINK_COUNT")),
    "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME",
    "OTEL_SEMCONV_STABILITY_OPT_IN", "OTEL_LOG_LEVEL", "OTEL_METRICS_EXEMPLAR_FILTER", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_CONFIG_FILE",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "OTEL_PROPAGATORS",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [
            "", " ", "0", "1", "-1", "1e3", "99999999999999999999", "2147483647", "true", "FALSE", "none", "none,otlp", "otlp", "console",
            "grpc", "http/json", "gzip", "https://c", "c:4317", "http://[::1", "http://[::1]:1/x?y#z", "https://u:p@c:70000", "unix:///x",
            "//", "http://c:1%", "a=b", "a=b,c", "a=%ff", "a=%", ",,", "=,=", "traceidratio", "nan", "inf", "b3", "tracecontext,none",
            "/", "/dev/null", "/nowhere", "\udcff", "\x00", "ü", "always_on", "warn", "http/dup,database",
        ]
    ),
    st.text(max_size=20),
)  # fmt: skip
BOUNDS = LabelBounds.from_routes("gw", (("p", "m"),), paths=frozenset({"/v1/models"}))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=10))
def test_telemetry_is_built_whatever_the_variables_hold(environ: dict[str, str]) -> None:
    environ = {**environ, "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "s3cret"}
    names = {name.strip().lower() for name in environ.get("OTEL_PROPAGATORS", "").split(",")}
    if not names <= {"", "tracecontext", "baggage", "b3", "b3multi", "none"} and "\udcff" not in "".join(names):
        with pytest.raises(TelemetryConfigError, match="OTEL_PROPAGATORS names ") as raised:
            telemetry_config_from_environ(environ)
        assert str(raised.value).isprintable()
        return
    config = telemetry_config_from_environ(environ)
    assert all(line.isprintable() and "s3cret" not in line for line in config.warnings)
    telemetry = build_pipeline(
        config,
        PipelineSettings(
            bounds=BOUNDS, version="1", instance_id="i", clock=time.monotonic, unix_ns=time.time_ns, rng=random.Random(1)
        ),
    )  # fmt: skip
    telemetry.shutdown(0.0)
