"""Overlays of the Collector before the real stores: span metrics under sampling, its own log lines in Loki, its printing without secrets."""

import json
import time
from pathlib import Path
from typing import Any, Final

import aiohttp

from compose.native.servers import Choices
from compose.native.stack import Stack
from tests.harness.console_process import running_console
from tests.harness.polling import read_until
from tests.stack.collector_harness import running_collector, to_files
from tests.stack.conftest import StackWith
from tests.stack.otlp_requests import log_request, trace_request

FILES: Final = ("base.yaml", "metrics.yaml", "traces.yaml", "logs.yaml")
ENVIRON: Final = {"SAMPLING_DECISION_WAIT": "1s", "SAMPLING_PERCENT": "10", "SPAN_METRICS_INTERVAL": "1s"}
MADE_HERE: Final = 'traces_spanmetrics_calls_total{collector_instance_id!=""}'
MADE_BY_TEMPO: Final = 'traces_spanmetrics_calls_total{collector_instance_id=""}'


async def ask(session: aiohttp.ClientSession, url: str, **parameters: str) -> list[dict[str, Any]]:
    """Return the result of a query of Prometheus or Loki."""
    async with session.get(url, params=parameters) as response:
        assert response.status == 200, await response.text()
        result: list[dict[str, Any]] = (await response.json())["data"]["result"]
        return result


async def test_span_metrics_of_all_spans_have_the_labels_of_tempos(stack_with: StackWith) -> None:
    choices = Choices(collector_files=(*FILES, "tail-sampling.yaml", "own-logs.yaml"))
    async with stack_with(choices, ENVIRON) as stack, aiohttp.ClientSession() as session:
        prometheus = f"{stack.url('prometheus')}/api/v1/query"
        for first in range(1, 1_001, 100):
            await post(session, stack, first)

        async def made_here() -> list[dict[str, Any]]:
            return await ask(session, prometheus, query=MADE_HERE)

        async def made_by_tempo() -> list[dict[str, Any]]:
            return await ask(session, prometheus, query=MADE_BY_TEMPO)

        (series,) = await read_until(
            made_here,
            lambda found: bool(found) and found[0]["value"][1] == "1000",
        )
        assert series["value"][1] == "1000"
        (sampled,) = await read_until(made_by_tempo, bool)
        assert int(sampled["value"][1]) < 300
        added = {"collector_instance_id", "instance", "job"}
        assert {key: value for key, value in series["metric"].items() if key not in added} == {
            key: value for key, value in sampled["metric"].items() if key != "__metrics_gen_instance"
        }

        loki = f"{stack.url('loki')}/loki/api/v1/query_range"
        lines = await read_until(
            lambda: ask(session, loki, query='{service_name="otelcol"}', limit="100"),
            bool,
        )
        assert any("Everything is ready" in line for stream in lines for _, line in stream["values"])


async def post(session: aiohttp.ClientSession, stack: Stack, first: int) -> None:
    """Send 100 spans that ended just now."""
    request = trace_request(100, first=first, seconds=0.2, start_unix_ns=time.time_ns() - 200_000_000)
    headers = {"content-type": "application/x-protobuf"}
    url = f"{stack.url('otelcol')}/v1/traces"
    async with session.post(url, data=request.SerializeToString(), headers=headers) as response:
        assert response.status == 200


async def test_what_debugging_prints_is_redacted(binaries: dict[str, Path], tmp_path: Path) -> None:
    secret = "sk-proj-abcdefghijklmnop1234"
    overlay = to_files(tmp_path, "logs")
    async with running_collector(binaries["otelcol"], tmp_path, (*FILES, "debugging.yaml"), overlay) as harness:
        assert await harness.export(log_request([json.dumps({"message": f"with {secret}"})])) == 200

        async def printed() -> str:
            return harness.process.log_path.read_text()

        text = await read_until(printed, lambda text: "with [redacted]" in text)
    assert "with [redacted]" in text
    assert secret not in text


async def test_the_console_gets_everything_redacted_and_never_holds_up_the_stores(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    secret = "sk-proj-abcdefghijklmnop1234"
    overlay = to_files(tmp_path, "traces", "logs", "metrics")
    with running_console(tmp_path) as console:
        environ = {"CONSOLE_OTLP_URL": console.otlp_url, "CONSOLE_PATIENCE": "2s"}
        files = (*FILES, "console.yaml")
        async with running_collector(binaries["otelcol"], tmp_path, files, overlay, environ) as harness:
            assert await harness.export(log_request([f"with {secret}"])) == 200
            assert await harness.export(trace_request(100)) == 200

            def stored() -> list[tuple[int, int]]:
                found: list[tuple[int, int]] = console.rows(
                    "SELECT (SELECT count(*) FROM spans), (SELECT count(*) FROM log_records)"
                )
                return found

            assert await read_until(stored, lambda found: found == [(100, 1)]) == [(100, 1)]
            assert console.rows("SELECT body FROM log_records") == [("with [redacted]",)]
            console.kill()
            assert await harness.export(trace_request(100, first=101)) == 200
            await harness.wait_written(spans=200, log_records=1)
            failed = await harness.wait_counter("otelcol_exporter_send_failed_spans", 100)
            assert failed == 100
