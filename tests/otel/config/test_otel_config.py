"""The `OTEL_*` variables follow the specification; a value that cannot be used is a warning."""

import os

import msgspec
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_OFF, DEFAULT_ON

from otel.config.environ import (
    AttributeLimits,
    BatchConfig,
    TelemetryConfig,
    TelemetryConfigError,
    telemetry_config_from_environ,
)

read = telemetry_config_from_environ
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def otlp(environ, signal="traces"):
    config = getattr(read({f"OTEL_{signal.upper()}_EXPORTER": "otlp", **environ}), signal)
    assert config is not None
    return config


def test_an_empty_environment_pushes_nothing():
    assert read({}) == TelemetryConfig()
    assert read({ENDPOINT: " ", "OTEL_TRACES_EXPORTER": "", "OTEL_SDK_DISABLED": ""}) == TelemetryConfig()


def test_an_endpoint_turns_push_on_for_all_signals_and_a_per_signal_one_for_its_signal():
    config = read({ENDPOINT: "http://collector:4318"})
    assert (config.traces is not None, config.metrics is not None, config.logs is not None) == (True, True, True)
    config = read({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://collector:4318/v1/logs"})
    assert (config.traces, config.metrics, config.logs is not None) == (None, None, True)
    config = read({ENDPOINT: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"})
    assert (config.traces, config.logs is not None) == (None, True)


def test_naming_otlp_uses_the_specified_default_endpoint():
    assert otlp({}).endpoint == "http://localhost:4318/v1/traces"
    assert otlp({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}).endpoint == "localhost:4317"


def test_prometheus_as_the_metrics_exporter_means_pull_only():
    assert read({ENDPOINT: "http://c:4318", "OTEL_METRICS_EXPORTER": "prometheus"}).metrics is None
    assert read({"OTEL_METRICS_EXPORTER": "otlp,prometheus"}).metrics is not None


@pytest.mark.parametrize(
    ("general", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/metrics"),
        ("http://c:4318/", "http://c:4318/v1/metrics"),
        ("https://c/otlp/", "https://c/otlp/v1/metrics"),
        ("http://c:4318/base?tenant=1", "http://c:4318/base/v1/metrics?tenant=1"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/metrics"),
    ],
)
def test_the_general_http_endpoint_is_a_base(general, url):
    assert otlp({ENDPOINT: general}, "metrics").endpoint == url


@pytest.mark.parametrize(
    ("own", "url"),
    [
        ("http://c:1/custom", "http://c:1/custom"),
        ("http://c:1/v1/traces/", "http://c:1/v1/traces/"),
        ("http://c:1", "http://c:1/"),
    ],
)
def test_a_per_signal_http_endpoint_is_used_unchanged(own, url):
    assert otlp({ENDPOINT: "http://other", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": own}).endpoint == url


@pytest.mark.parametrize(
    ("environ", "endpoint", "tls"),
    [
        ({ENDPOINT: "http://c:4317"}, "c:4317", False),
        ({ENDPOINT: "https://c:4317"}, "c:4317", True),
        ({ENDPOINT: "https://c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"}, "c:4317", True),
        ({ENDPOINT: "c:4317"}, "c:4317", True),
        ({ENDPOINT: "c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "True"}, "c:4317", False),
        (
            {ENDPOINT: "c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true", "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "false"},
            "c:4317",
            True,
        ),
        ({ENDPOINT: "https://c"}, "c:443", True),
        ({ENDPOINT: "http://[::1]:4317"}, "[::1]:4317", False),
    ],
)
def test_for_grpc_the_scheme_decides_about_tls_and_insecure_only_without_one(environ, endpoint, tls):
    config = otlp({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", **environ})
    assert (config.endpoint, config.tls, config.protocol) == (endpoint, tls, "grpc")


def test_per_signal_options_win_over_general_ones():
    config = otlp(
        {
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_HEADERS": "a=1",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "Authorization=Bearer%20x%3Dy, tenant = blue ,",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/key.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/client.pem",
        }
    )
    assert config.timeout_seconds == 1.5
    assert config.compression == "none"
    assert config.headers == (("authorization", "Bearer x=y"), ("tenant", "blue"))
    assert (config.certificate, config.client_key, config.client_certificate) == ("/ca.pem", "/key.pem", "/client.pem")


def test_neither_header_values_nor_a_password_in_the_url_are_shown():
    config = otlp({"OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret", ENDPOINT: "http://user:s3cret@c:4318"})
    assert "s3cret" not in repr(config)
    assert "api-key" in repr(config)
    assert config.address == "c:4318"


def test_resource_attributes_are_percent_decoded_and_the_service_name_wins():
    config = read(
        {
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment.name=prod%20eu, team=%C3%A9quipe ,empty=",
            "OTEL_SERVICE_NAME": "b",
        }
    )
    assert config.resource_attributes == {
        "service.name": "b",
        "deployment.environment.name": "prod eu",
        "team": "équipe",
        "empty": "",
    }


def test_batches_delays_and_intervals():
    config = read(
        {
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "16",
            "OTEL_BLRP_MAX_QUEUE_SIZE": "32",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        }
    )
    assert config.span_batch == BatchConfig(schedule_delay_seconds=0.1, max_export_batch_size=16)
    assert config.log_batch == BatchConfig(max_queue_size=32, max_export_batch_size=32)
    assert config.metric_export_interval_seconds == 5.0


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("always_on", ALWAYS_ON),
        ("always_off", ALWAYS_OFF),
        ("parentbased_always_on", DEFAULT_ON),
        ("parentbased_always_off", DEFAULT_OFF),
    ],
)
def test_samplers_without_an_argument(name, sampler):
    assert read({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "unused"}).build_sampler() is sampler


def test_samplers_with_a_ratio():
    config = read({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    assert "0.25" in config.build_sampler().get_description()
    config = read({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"})
    assert config.build_sampler().get_description().startswith("ParentBased{root:TraceIdRatioBased{1.0}")


def test_the_sdk_can_be_disabled():
    assert read({"OTEL_SDK_DISABLED": "TRUE"}).disabled
    assert not read({"OTEL_SDK_DISABLED": "false"}).disabled


PUSH = {ENDPOINT: "http://c:4318"}


@pytest.mark.parametrize(
    ("name", "value", "allowed", "used"),
    [
        ("OTEL_SDK_DISABLED", "yes", "true nor false", "using false"),
        ("OTEL_SDK_DISABLED", "1", "true nor false", "using false"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or console or none", "using otlp, because an endpoint is set"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf or grpc", "using http/protobuf"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http", "http/protobuf or grpc", "using http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "milliseconds from 1", "using 10000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1.5", "milliseconds from 1", "using 10000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9" * 5_000, "milliseconds from 1", "using 10000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "99999999999", "to 2147483647", "using 10000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "none or gzip", "using none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", "cumulative", "using cumulative"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "LowMemory", "cumulative", "using cumulative"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-5", "milliseconds from 1", "using 500"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "\u0665", "milliseconds from 1", "using 500"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "from 1", "using 8192"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9000", "to 8192", "using 512"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m", "milliseconds from 1", "using 15000"),
        ("OTEL_TRACES_SAMPLER", "xray", "parentbased_traceidratio", "using parentbased_always_on"),
        ("OTEL_LOG_LEVEL", "loud", "warning", "using info"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "some", "trace_based", "using trace_based"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1", "from 0", "using 128"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "x", "from 0", "using no limit"),
        ("OTEL_SERVICE_NAME", "\udcff", "is not UTF-8 text", "it is ignored"),
    ],
)
def test_a_value_that_cannot_be_used_counts_as_unset_with_one_warning(name, value, allowed, used):
    config = read({**PUSH, name: value})
    [line] = config.warnings
    assert line.startswith(f"{name} ")
    assert allowed in line
    assert f"; {used}" in line
    assert line.isprintable()
    assert len(line) < 300
    assert msgspec.structs.replace(config, warnings=()) == read(PUSH)


@pytest.mark.parametrize(
    "environ",
    [
        {ENDPOINT: "collector:4318"},
        {ENDPOINT: "http://collector:99999"},
        {ENDPOINT: "http://"},
        {ENDPOINT: "http://c:0"},
        {ENDPOINT: "http://c d:1"},
        {ENDPOINT: "http://\u00fc:1"},
        {ENDPOINT: "ftp://user:s3cret@c"},
        {ENDPOINT: "http://c:4318/\udcff"},
        {**PUSH, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "s3cret"},
        {ENDPOINT: "http://c:x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {ENDPOINT: "https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem"},
        {ENDPOINT: "https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/dev/zero"},
        {ENDPOINT: "https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": __file__},
        {ENDPOINT: "https://c", "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/key.pem"},
        {
            ENDPOINT: "c:4317",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": __file__,
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": __file__,
        },
    ],
)
def test_a_signal_without_a_clear_destination_or_protection_is_not_pushed(environ):
    config = read(environ)
    assert config.traces is None
    [line] = config.warnings
    assert line.endswith("are not pushed")
    assert "s3cret" not in line


def test_a_certificate_that_is_a_pipe_does_not_block(tmp_path):
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe)
    assert read({ENDPOINT: "https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": str(pipe)}).traces is None


def test_unencrypted_connections_need_no_certificate():
    assert read({**PUSH, "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem"}).warnings == ()


@pytest.mark.parametrize(
    ("pairs", "sent"),
    [
        ("s3cret", ()),
        ("a b=s3cret,tenant=blue", (("tenant", "blue"),)),
        ("a=%0D%0As3cret", ()),
        ("content-length=1,tenant=blue", (("tenant", "blue"),)),
    ],
)
def test_a_pair_that_is_no_header_is_ignored_and_not_shown(pairs, sent):
    config = read({**PUSH, "OTEL_EXPORTER_OTLP_HEADERS": pairs})
    assert config.traces.headers == sent
    [line] = config.warnings
    assert "s3cret" not in line
    assert line.endswith("that header is not sent")


@pytest.mark.parametrize("key", ["key-bin", "grpc-timeout", "a!b"])
def test_metadata_that_grpc_cannot_send_is_ignored(key):
    config = read({**PUSH, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_HEADERS": f"{key}=1,b=2"})
    assert config.traces.headers == (("b", "2"),)
    assert len(config.warnings) == 1


def test_the_general_value_replaces_a_per_signal_one_that_cannot_be_used():
    config = read({**PUSH, "OTEL_EXPORTER_OTLP_TIMEOUT": "1500", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "x"})
    assert config.logs.timeout_seconds == 1.5
    [line] = config.warnings
    assert line.endswith("using OTEL_EXPORTER_OTLP_TIMEOUT")


def test_enum_values_are_case_insensitive():
    config = read(
        {
            **PUSH,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "GRPC",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "GZip",
            "OTEL_TRACES_SAMPLER": "Always_Off",
            "OTEL_LOGS_EXPORTER": "OTLP",
            "OTEL_PROPAGATORS": "B3Multi, TraceContext,b3multi",
            "OTEL_METRICS_EXEMPLAR_FILTER": "ALWAYS_ON",
            "OTEL_LOG_LEVEL": "WARN",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "CUMULATIVE",
        }
    )
    assert config.warnings == ()
    assert (config.traces.protocol, config.traces.compression) == ("grpc", "gzip")
    assert (config.sampler, config.exemplar_filter, config.log_level) == ("always_off", "always_on", "warning")
    assert config.propagators == ("b3multi", "tracecontext")


@pytest.mark.parametrize("value", ["true", "TRUE", " True "])
def test_a_disabled_sdk_reads_no_other_variable(value):
    bad = {ENDPOINT: "nonsense", "OTEL_TRACES_SAMPLER": "x", "OTEL_RESOURCE_ATTRIBUTES": "a", "OTEL_OTHER": "1"}
    assert read({"OTEL_SDK_DISABLED": value, **bad}) == TelemetryConfig(disabled=True)


@pytest.mark.parametrize("pairs", ["a=b,c", "a=1,=2", "a=%ff", "a=%zz", "a=%1"])
def test_resource_attributes_with_a_bad_pair_are_discarded_as_a_whole(pairs):
    config = read({"OTEL_RESOURCE_ATTRIBUTES": pairs, "OTEL_SERVICE_NAME": "shop"})
    assert config.resource_attributes == {"service.name": "shop"}
    [line] = config.warnings
    assert line.startswith("OTEL_RESOURCE_ATTRIBUTES ")
    assert line.endswith("the whole variable is discarded")


@pytest.mark.parametrize("value", ["1.5", "x", "nan", "inf", "-0.1", "0_1", "\u0661"])
def test_a_bad_sampling_ratio_counts_as_unset(value):
    config = read({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": value})
    assert (config.sampler, config.sampler_ratio) == ("traceidratio", 1.0)
    [line] = config.warnings
    assert "from 0 to 1; using 1.0" in line


def test_known_names_of_a_list_stay_where_others_are_unknown():
    config = read(
        {
            "OTEL_TRACES_EXPORTER": "otlp,zipkin",
            "OTEL_METRICS_EXPORTER": "otlp,none",
        }
    )
    assert config.traces is not None
    assert config.metrics is not None
    used = [line.split("; ")[1] for line in config.warnings]
    assert used == ["using otlp", "using otlp"]


@pytest.mark.parametrize("value", ["jaeger", "tracecontext,xray,b3", "ottrace, none", "B3-multi"])
@pytest.mark.parametrize("off", [{}, {"OTEL_SDK_DISABLED": "true"}])
def test_a_propagator_that_is_not_supported_stops_the_start_with_one_line(value, off):
    with pytest.raises(TelemetryConfigError) as raised:
        read({"OTEL_PROPAGATORS": value, **off})
    line = str(raised.value)
    assert line.startswith("OTEL_PROPAGATORS names '")
    assert line.endswith("which is not supported: use some of tracecontext, baggage, b3, b3multi, none")
    assert line.isprintable()


def test_none_beside_other_propagators_is_a_warning():
    config = read({"OTEL_PROPAGATORS": "none,b3"})
    assert config.propagators == ("b3",)
    assert config.warnings == ("OTEL_PROPAGATORS names none beside others; using b3",)


def test_no_propagator_and_the_console_exporters():
    config = read(
        {"OTEL_PROPAGATORS": "none", "OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console,otlp"}
    )
    assert config.propagators == ()
    assert config.console == {"traces", "metrics"}
    assert (config.traces, config.metrics is not None) == (None, True)
    assert config.warnings == ()


def test_limits_fall_back_to_the_general_ones():
    config = read(
        {
            "OTEL_ATTRIBUTE_COUNT_LIMIT": "5",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "9",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "0",
            "OTEL_SPAN_LINK_COUNT_LIMIT": "x",
        }
    )
    assert config.limits == AttributeLimits(
        attribute_count=5, span_attribute_count=9, event_attribute_count=5, link_attribute_count=5,
        log_attribute_count=5, attribute_length=0, span_attribute_length=0, log_attribute_length=0,
    )  # fmt: skip
    assert config.limits.for_spans().max_span_attributes == 9
    assert config.limits.for_log_records().max_log_record_attribute_length == 0
    assert len(config.warnings) == 1


def test_variables_that_mean_nothing_here_are_named_once_without_their_values():
    config = read({"OTEL_EXPORTR_OTLP_ENDPOINT": "s3cret", "OTEL_CONFIG_FILE": "/x", "OTEL_EMPTY": "", "PATH": "/bin"})
    [line] = config.warnings
    assert line.startswith("OTEL_CONFIG_FILE, OTEL_EXPORTR_OTLP_ENDPOINT ")
    assert "s3cret" not in line


def test_a_value_is_shown_without_what_looks_like_a_secret_and_never_whole():
    [line] = read({"OTEL_TRACES_SAMPLER": "Bearer abcdefghijklmnop\n" + "x" * 400}).warnings
    assert "abcdefghijkl" not in line
    assert len(line) < 350
    assert line.isprintable()


@pytest.mark.parametrize("path", ["/no\nwhere", "\x1b[31m", "\U000107bb"])
def test_a_path_that_is_no_file_is_warned_of_in_one_printable_line(path: str) -> None:
    config = telemetry_config_from_environ({ENDPOINT: "https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": path})
    (warning,) = config.warnings
    assert warning.isprintable()
    assert f"({path!r} is no file)" in warning


@pytest.mark.parametrize(
    ("value", "opt_ins", "unknown"),
    [
        ("", set(), []),
        ("http", {"http"}, []),
        ("HTTP/dup, Database", {"http", "database"}, []),
        ("gen_ai_latest_experimental,database/dup", {"gen_ai_latest_experimental", "database"}, []),
        ("messaging,rpc/dup,k8s", set(), []),
        ("http,gen_ai", {"http"}, ["gen_ai"]),
        ("none,everything", set(), ["none", "everything"]),
    ],
)
def test_the_opt_ins_to_conventions(value, opt_ins, unknown):
    config = read({"OTEL_SEMCONV_STABILITY_OPT_IN": value})
    assert config.conventions == opt_ins
    assert len(config.warnings) == len(unknown)
    for name, line in zip(unknown, config.warnings, strict=True):
        assert line.startswith(f"OTEL_SEMCONV_STABILITY_OPT_IN names '{name}', which is not http or ")
        assert line.endswith(" or gen_ai_latest_experimental; it is ignored")
        assert len(line) < 200


def test_opt_ins_of_the_application_are_added_and_must_be_known():
    config = read({"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}, conventions=["database"])
    assert config.conventions == {"http", "database"}
    with pytest.raises(TelemetryConfigError, match=r"^conventions: 'gen_ai' is none of http, database, gen_ai_lat"):
        read({}, conventions=["gen_ai"])
