"""Each processor of the Collector alone, by its real configuration: telemetry in by OTLP, out to a file, compared."""

import random
import string
from pathlib import Path
from typing import Any

import pytest

from otel.redaction import REDACTED
from tests.collector.redaction_rules import WORDS, collector
from tests.harness.polling import read_until
from tests.stack.collector_harness import CollectorHarness, running_collector, to_files
from tests.stack.otlp_requests import RESOURCE, log_request, metric_request, trace_id, trace_request

FILES = ("base.yaml", "metrics.yaml", "traces.yaml", "logs.yaml")


def only(folder: Path, *processors: str) -> dict[str, Any]:
    """An overlay that leaves these processors and writes to files."""
    overlay = to_files(folder, "traces", "logs", "metrics")
    for signal, pipeline in overlay["service"]["pipelines"].items():
        pipeline["processors"] = [name for name in processors if _knows(name, signal)]
    return overlay


def _knows(processor: str, signal: str) -> bool:
    """A processor that is written for one signal only names it."""
    return not processor.endswith(("_spans", "_logs", "/job")) or processor.endswith(
        {"traces": "_spans", "logs": ("_logs", "/job")}.get(signal, "-")
    )


async def only_log(harness: CollectorHarness, request: Any, count: int = 1) -> list[dict[str, Any]]:
    """Send log records; return them as they left."""
    assert await harness.export(request) == 200
    return (await harness.wait_written(log_records=count)).log_records


async def only_span(harness: CollectorHarness, request: Any) -> dict[str, Any]:
    """Send one span; return it as it left."""
    assert await harness.export(request) == 200
    return (await harness.wait_written(spans=1)).spans[0]


def texts(rng: random.Random, count: int) -> list[str]:
    """Texts of which many carry what looks like a secret."""
    letters = string.ascii_letters + string.digits + "._-"
    words = [*WORDS, *("".join(rng.choices(letters, k=rng.randint(1, 14))) for _ in WORDS)]
    return ["".join(rng.choices(words, k=rng.randint(1, 14))) for _ in range(count)]


async def test_redaction_finds_in_a_body_what_the_gateway_finds(
    binaries: dict[str, Path], tmp_path: Path, seed: int
) -> None:
    sent = texts(random.Random(seed), 3_000)
    async with running_collector(binaries["otelcol"], tmp_path, FILES, only(tmp_path, "transform/redact")) as harness:
        records = await only_log(harness, log_request(sent), len(sent))
    assert [record["body"] for record in records] == [collector(text) for text in sent]
    assert sum(REDACTED in record["body"] for record in records) > 500


async def test_redaction_reaches_every_place_and_leaves_ids_and_numbers(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    secret = "sk-proj-abcdefghijklmnop1234"
    plain = {"n": 1, "ratio": 0.5, "on": True, "id": "4bf92f3577b34da6a3ce929d0e0e4736", "password_tries": 3}
    resource = {**RESOURCE, "process.command_args": f"serve --key {secret}"}
    attributes = {**plain, "url.full": "https://user:hunter22@host/v1"}
    async with running_collector(binaries["otelcol"], tmp_path, FILES, only(tmp_path, "transform/redact")) as harness:
        await harness.export(
            trace_request(
                first=7, attributes=attributes, resource=resource, event_attributes={"exception.message": secret}
            )
        )
        await harness.export(
            log_request([{"text": f"Bearer {secret}", "n": 1}], attributes=attributes, of_trace=b"\1" * 16)
        )
        await harness.export(metric_request([41], resource=resource))
        written = await harness.wait_written(spans=1, log_records=1, metrics=1)
    redacted = {**plain, "url.full": f"https://user:{REDACTED}@host/v1"}
    (span,) = written.spans
    assert span["attributes"] == {**redacted, "n": 7} | {"n": 1}
    assert span["resource"] == {**RESOURCE, "process.command_args": f"serve --key {REDACTED}"}
    assert span["events"][0]["attributes"] == {"exception.message": REDACTED}
    assert (span["trace_id"], span["span_id"]) == (trace_id(7).hex(), f"{7:016x}")
    (record,) = written.log_records
    assert record["body"] == {"text": f"Bearer {REDACTED}", "n": 1}
    assert record["attributes"] == redacted
    assert record["trace_id"] == "01" * 16
    assert written.metric_value("count_total", n="0") == 41
    for signal in ("traces", "logs", "metrics"):
        assert secret.encode() not in (tmp_path / f"{signal}.out").read_bytes()


async def test_values_under_the_name_of_a_secret_are_masked(binaries: dict[str, Path], tmp_path: Path) -> None:
    secret = {
        "http.request.header.authorization": "abc",
        "db.password": "x",
        "api_key": "short",
        "Set-Cookie": "a=b",
        "client_secret": "s",
    }
    plain = {"gen_ai.usage.input_tokens": 12, "token_type": "input", "secretary": "Ada", "authorization.result": "ok"}
    async with running_collector(binaries["otelcol"], tmp_path, FILES, only(tmp_path, "redaction/keys")) as harness:
        span = await only_span(harness, trace_request(attributes={**secret, **plain}))
        (record,) = await only_log(harness, log_request([{"password": "x", "user": "ada"}], attributes=secret))
    assert span["attributes"] == {**dict.fromkeys(secret, "****"), **plain, "n": 1}
    assert record["attributes"] == dict.fromkeys(secret, "****")
    assert record["body"] == {"password": "****", "user": "ada"}


async def test_spans_are_bounded(binaries: dict[str, Path], tmp_path: Path) -> None:
    many = {f"key{number:03}": number for number in range(300)}
    request = trace_request(
        name="GET /" + "é" * 500,
        attributes={**many, "gen_ai.request.model": "m", "text": "ü" * 5_000},
        event_attributes={"exception.stacktrace": "x" * 100_000},
        resource={**many, "service.name": "gatewayz", "long": "y" * 9_000},
    )
    async with running_collector(
        binaries["otelcol"], tmp_path, FILES, only(tmp_path, "transform/bound_spans")
    ) as harness:
        span = await only_span(harness, request)
    assert span["name"] == "GET /" + "é" * 61  # 127 bytes: no character is cut in two
    assert len(span["attributes"]) == 96
    assert span["attributes"]["gen_ai.request.model"] == "m"
    assert span["attributes"].get("text", "ü" * 1_024) == "ü" * 1_024
    assert len(span["events"][0]["attributes"]["exception.stacktrace"]) == 2_048
    assert len(span["resource"]) == 64
    assert span["resource"]["service.name"] == "gatewayz"


async def test_a_span_within_bounds_is_unchanged(binaries: dict[str, Path], tmp_path: Path) -> None:
    attributes = {f"key{number}": "ü" * 1_024 for number in range(90)}
    async with running_collector(
        binaries["otelcol"], tmp_path, FILES, only(tmp_path, "transform/bound_spans")
    ) as harness:
        span = await only_span(harness, trace_request(name="é" * 64, attributes=attributes))
    assert span["name"] == "é" * 64
    assert span["attributes"] == {**attributes, "n": 1}
    assert span["resource"] == RESOURCE


async def test_logs_are_bounded_by_what_loki_takes(binaries: dict[str, Path], tmp_path: Path) -> None:
    many = {f"key{number:03}": "v" * 2_000 for number in range(300)}
    bodies = ["é" * 300_000, "short", {"structured": "x" * 1_000}]
    async with running_collector(
        binaries["otelcol"], tmp_path, FILES, only(tmp_path, "transform/bound_logs")
    ) as harness:
        records = await only_log(harness, log_request(bodies, attributes=many, resource={**many, "job": "j"}), 3)
    assert [record["body"] for record in records] == ["é" * 100_000, *bodies[1:]]
    for record in records:
        assert len(record["attributes"]) == 64
        assert sum(len(key) + len(value) for key, value in record["attributes"].items()) < 48 * 1024
        assert len(record["resource"]) == 32
        assert record["resource"]["job"] == "j"


async def test_job_is_set_on_logs_alone(binaries: dict[str, Path], tmp_path: Path) -> None:
    async with running_collector(binaries["otelcol"], tmp_path, FILES, to_files(tmp_path, "traces", "logs")) as harness:
        span = await only_span(harness, trace_request())
        records = await only_log(harness, log_request(["a"], resource={**RESOURCE, "job": "other"}))
    assert "job" not in span["resource"]
    assert records[0]["resource"] == {**RESOURCE, "job": "gatewayz"}


async def test_over_its_memory_limit_the_collector_sends_the_sender_away(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    overlay = only(tmp_path, "memory_limiter")
    environ = {"COLLECTOR_MEMORY_MIB": "5"}  # less than it needs to start
    async with running_collector(binaries["otelcol"], tmp_path, FILES, overlay, environ) as harness:
        status = await read_until(
            lambda: harness.export(log_request(["a"])),
            lambda status: status != 200,
        )
        assert status == 503
        assert await harness.counter("otelcol_processor_memory_limiter_refused_log_records") == 1


@pytest.mark.parametrize("files", [FILES, (*FILES, "debugging.yaml"), (*FILES, "own-logs.yaml")])
async def test_the_whole_pipeline_delivers_once(
    binaries: dict[str, Path], tmp_path: Path, files: tuple[str, ...]
) -> None:
    overlay = to_files(tmp_path, "traces", "logs", "metrics")
    async with running_collector(binaries["otelcol"], tmp_path, files, overlay) as harness:
        assert await harness.export(trace_request(50)) == 200
        records = await only_log(harness, log_request([str(number) for number in range(50)]), 50)
        written = await harness.wait_written(spans=50)
    assert [record["body"] for record in records] == [str(number) for number in range(50)]
    assert [span["attributes"]["n"] for span in written.spans] == list(range(1, 51))


async def test_metrics_of_conventions_get_their_unit_and_all_others_keep_their_names(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    sent = [
        ("http.server.request.duration", "s", "gatewayz.conventions"),
        ("gen_ai.client.token.usage", "{token}", "gatewayz.conventions"),
        ("fastapi_requests_duration_seconds", "s", "gatewayz"),
        ("http.client.request.duration", "s", "opentelemetry.instrumentation.httpx"),
    ]
    overlay = only(tmp_path, "transform/convention_names")
    async with running_collector(binaries["otelcol"], tmp_path, FILES, overlay) as harness:
        for name, unit, scope in sent:
            assert await harness.export(metric_request([1], name=name, unit=unit, scope=scope)) == 200
        written = await harness.wait_written(metrics=len(sent))
    assert set(written.metrics) == {
        "http.server.request.duration.seconds",
        "gen_ai.client.token.usage",
        "fastapi_requests_duration_seconds",
        "http.client.request.duration",
    }
