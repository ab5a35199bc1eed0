"""The `OTEL_*` variables mean what the specification says, and a wrong one is a line that names it."""

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_OFF, DEFAULT_ON

from otel.config import BatchConfig, TelemetryConfig, TelemetryConfigError, telemetry_config_from_environ

read = telemetry_config_from_environ
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def otlp(environ, signal="traces"):
    config = getattr(read({f"OTEL_{signal.upper()}_EXPORTER": "otlp", **environ}), signal)
    assert config is not None
    return config


def test_an_empty_environment_pushes_nothing():
    assert read({}) == TelemetryConfig()
    assert read({ENDPOINT: " ", "OTEL_TRACES_EXPORTER": "", "OTEL_SDK_DISABLED": ""}) == TelemetryConfig()


def test_an_endpoint_turns_push_on_for_all_signals_and_an_own_one_for_its_signal():
    config = read({ENDPOINT: "http://collector:4318"})
    assert (config.traces is not None, config.metrics is not None, config.logs is not None) == (True, True, True)
    config = read({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://collector:4318/v1/logs"})
    assert (config.traces, config.metrics, config.logs is not None) == (None, None, True)
    config = read({ENDPOINT: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"})
    assert (config.traces, config.logs is not None) == (None, True)


def test_asking_for_otlp_uses_the_specified_default_endpoint():
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
def test_an_own_http_endpoint_is_used_as_it_is(own, url):
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


def test_own_options_win_over_general_ones():
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


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("OTEL_SDK_DISABLED", "yes", "true or false"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
        ("OTEL_METRICS_EXPORTER", "otlp,none", "otlp or prometheus or none"),
        (ENDPOINT, "collector:4318", "http:// or https://"),
        (ENDPOINT, "http://collector:99999", "port"),
        (ENDPOINT, "http://", "host"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf or grpc"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http", "http/protobuf or grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1.5", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "none or gzip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "novalue", "key1=value1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=1", "key1=value1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0D%0Ax", "key1=value1"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", "cumulative"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b", "key1=value1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff", "UTF-8"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-5", "milliseconds"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9000", "OTEL_BSP_MAX_QUEUE_SIZE"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m", "milliseconds"),
        ("OTEL_TRACES_SAMPLER", "xray", "parentbased_traceidratio"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable_and_what_is_allowed(name, value, allowed):
    with pytest.raises(TelemetryConfigError) as caught:
        read({ENDPOINT: "http://c:4318", name: value})
    assert "\n" not in str(caught.value)
    assert allowed in str(caught.value)
    if name != "OTEL_EXPORTER_OTLP_CLIENT_KEY":
        assert caught.value.variable == name
    else:
        assert caught.value.variable == "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"


@pytest.mark.parametrize("value", ["1.5", "x", "nan"])
def test_a_bad_sampling_ratio_is_refused(value):
    with pytest.raises(TelemetryConfigError, match="from 0 to 1"):
        read({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": value})


def test_errors_about_urls_and_headers_do_not_quote_them():
    for environ in ({ENDPOINT: "ftp://user:s3cret@c"}, {ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "s3cret"}):
        with pytest.raises(TelemetryConfigError) as caught:
            read(environ)
        assert "s3cret" not in str(caught.value)


def test_binary_grpc_metadata_has_no_text_form():
    with pytest.raises(TelemetryConfigError, match="-bin"):
        otlp({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_HEADERS": "key-bin=1"})
