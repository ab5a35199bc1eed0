"""A real Collector with the files of `collector-config/`, fed by OTLP over HTTP.

An overlay replaces parts of the configuration. The harness reads what the file exporters wrote, and the Collector's own
counters.
"""

import io
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from compose.native.ports import LOOPBACK, Ports, free_ports, variables
from compose.native.process import ServerProcess
from compose.native.servers import Server, collector_arguments
from otel.config.otlp import Signal
from tests.harness.otlp_data import ReceivedTelemetry
from tests.harness.polling import read_until

T = TypeVar("T")
ExportRequest = ExportTraceServiceRequest | ExportLogsServiceRequest | ExportMetricsServiceRequest

_SIGNALS: Final[Mapping[type[Any], Signal]] = {
    ExportTraceServiceRequest: "traces",
    ExportLogsServiceRequest: "logs",
    ExportMetricsServiceRequest: "metrics",
}
_SAMPLE: Final = re.compile(r"^(?P<name>otelcol_\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_LENGTH_BYTES: Final = 4
"""The file exporter writes each message behind its length, most significant byte first."""


class CollectorHarness:
    """A Collector that runs. For one event loop."""

    def __init__(self, process: ServerProcess, ports: Ports, folder: Path, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.ports = ports
        self.folder = folder
        self._session = session

    async def export(self, request: ExportRequest, headers: Mapping[str, str] | None = None) -> int:
        """Send one export request; return the HTTP status. Raises `aiohttp.ClientError` where nothing responds."""
        url = f"http://{LOOPBACK}:{self.ports.collector_otlp_http}/v1/{_SIGNALS[type(request)]}"
        async with self._session.post(
            url,
            data=io.BytesIO(request.SerializeToString()),
            headers={"content-type": "application/x-protobuf", **(headers or {})},
        ) as response:
            await response.read()
            return response.status

    async def health(self) -> int:
        """Return the status of its health check."""
        async with self._session.get(f"http://{LOOPBACK}:{self.ports.collector_health}/") as response:
            return response.status

    async def counter(self, name: str, **labels: str) -> float:
        """Return the sum of its own metric over the series with these labels; 0 where there is none yet."""
        return await read_counter(self._session, self.ports, name, **labels)

    async def wait_counter(self, name: str, value: float, timeout_seconds: float = 15.0, **labels: str) -> float:
        """Wait until its own metric has reached a value; return what it is then, or at the end of the time."""
        return await read_until(
            lambda: self.counter(name, **labels), lambda now: now >= value, timeout_seconds=timeout_seconds
        )

    def written(self) -> ReceivedTelemetry:
        """Return what its file exporters have written so far."""
        telemetry = ReceivedTelemetry()
        for signal in _SIGNALS.values():
            path = self.folder / f"{signal}.out"
            for message in _messages(path.read_bytes() if path.exists() else b""):
                telemetry.take(signal, {}, message, accept=True)
        return telemetry

    async def wait_written(
        self, spans: int = 0, log_records: int = 0, metrics: int = 0, timeout_seconds: float = 10.0
    ) -> ReceivedTelemetry:
        """Wait until that many have been written; raises AssertionError."""

        async def read() -> ReceivedTelemetry:
            return self.written()

        def is_there(telemetry: ReceivedTelemetry) -> bool:
            found = (len(telemetry.spans), len(telemetry.log_records), len(telemetry.metrics))
            return all(have >= wanted for have, wanted in zip(found, (spans, log_records, metrics), strict=True))

        telemetry = await read_until(read, is_there, timeout_seconds=timeout_seconds)
        assert is_there(telemetry), (
            f"written: {len(telemetry.spans)} spans, {len(telemetry.log_records)} log records, "
            f"{len(telemetry.metrics)} metrics\n{self.process.last_lines()}"
        )
        return telemetry


async def read_counter(session: aiohttp.ClientSession, ports: Ports, name: str, **labels: str) -> float:
    """Return the sum of a Collector's own metric over the series with these labels; 0 where there is none yet."""
    async with session.get(f"http://{LOOPBACK}:{ports.collector_metrics}/metrics") as response:
        text = await response.text()
    return sum(
        float(sample["value"])
        for sample in _SAMPLE.finditer(text)
        if sample["name"] == name and labels.items() <= dict(_LABEL.findall(sample["labels"] or "")).items()
    )


def _messages(data: bytes) -> Iterator[bytes]:
    """Split what the file exporter wrote; a message that is not whole yet is left for later."""
    at = 0
    while at + _LENGTH_BYTES <= len(data):
        length = int.from_bytes(data[at : at + _LENGTH_BYTES])
        if at + _LENGTH_BYTES + length > len(data):
            return
        yield data[at + _LENGTH_BYTES : at + _LENGTH_BYTES + length]
        at += _LENGTH_BYTES + length


def to_files(folder: Path, *signals: Signal) -> dict[str, Any]:
    """Return an overlay whose exporters write to files that `written` reads."""
    return {
        "exporters": {
            f"file/{signal}": {"path": str(folder / f"{signal}.out"), "format": "proto", "flush_interval": "50ms"}
            for signal in signals
        },
        "service": {"pipelines": {signal: {"exporters": [f"file/{signal}"]} for signal in signals}},
    }


def make_collector_server(
    binary: Path,
    folder: Path,
    ports: Ports,
    files: Sequence[str | Path],
    overlay: Mapping[str, Any],
    *,
    arguments: Sequence[str] = (),
) -> Server:
    """Write the overlay below `folder` and return the Collector's server."""
    folder.mkdir(parents=True, exist_ok=True)
    overlay_path = folder / "overlay.yaml"
    overlay_path.write_text(yaml.safe_dump(dict(overlay)))
    return Server(
        name="otelcol",
        command=(str(binary), *collector_arguments([*files, overlay_path]), *arguments),
        folder=folder,
        ready_url=f"http://{LOOPBACK}:{ports.collector_health}/",
        url=f"http://{LOOPBACK}:{ports.collector_otlp_http}",
    )


@asynccontextmanager
async def running_collector(
    binary: Path,
    folder: Path,
    files: Sequence[str | Path],
    overlay: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    *,
    arguments: Sequence[str] = (),
) -> AsyncIterator[CollectorHarness]:
    """Run a Collector on free ports, its queues below `folder`; raises `ServerFailedError`."""
    ports = free_ports()
    server = make_collector_server(binary, folder, ports, files, overlay, arguments=arguments)
    variables_of_server = {**os.environ, **variables(ports, folder), **(environ or {})}
    process = ServerProcess(server, variables_of_server, folder / "otelcol.log")
    timeout = aiohttp.ClientTimeout(total=30.0)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            await process.start()
            await process.wait_ready()
            yield CollectorHarness(process, ports, folder, session)
        finally:
            await process.stop()
