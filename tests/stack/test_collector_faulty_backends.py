"""A backend that refuses, throttles, fails, hangs or breaks off, behind the real Collector: lost is exactly what its counters say is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from tests.harness.polling import read_until
from tests.stack.collector_harness import CollectorHarness, running_collector
from tests.stack.otlp_requests import log_request, metric_request, trace_request
from tests.stack.scripted_backend import Backend, running_backend

FILES: Final = ("base.yaml", "metrics.yaml", "traces.yaml", "logs.yaml")
PER_REQUEST: Final = 10
Signal = Literal["logs", "traces"]
ITEMS: Final = {"logs": "log_records", "traces": "spans"}
EXPORTERS: Final = {"logs": "otlp_http/loki", "traces": "otlp_grpc/tempo"}


def leading_to(backend: Backend) -> dict[str, Any]:
    """An overlay: the exporters lead to the scripted backend, and lose patience sooner."""
    http = f"http://127.0.0.1:{backend.http_port}"
    impatient = {"timeout": "1s"}
    retry = {"initial_interval": "100ms", "max_interval": "500ms"}
    return {
        "exporters": {
            "otlp_http/prometheus": {"endpoint": http, "retry_on_failure": retry, **impatient},
            "otlp_http/loki": {"endpoint": http, "retry_on_failure": retry, **impatient},
            "otlp_grpc/tempo": {"endpoint": f"127.0.0.1:{backend.grpc_port}", "retry_on_failure": retry, **impatient},
        }
    }


class Pair:
    """A Collector and the backend behind it, for one signal: numbered items in, numbers out."""

    def __init__(self, harness: CollectorHarness, backend: Backend, signal: Signal) -> None:
        self.harness = harness
        self.backend = backend
        self.signal = signal
        self.acknowledged: list[int] = []

    async def send(self, requests: int = 1) -> None:
        """Export the next numbers; every request must be acknowledged."""
        for _ in range(requests):
            first = len(self.acknowledged) + 1
            numbers = list(range(first, first + PER_REQUEST))
            request = (
                log_request([str(number) for number in numbers])
                if self.signal == "logs"
                else trace_request(PER_REQUEST, first=first)
            )
            assert await self.harness.export(request) == 200
            self.acknowledged += numbers

    async def script(self, http: tuple[Any, ...], grpc: tuple[Any, ...], **keywords: Any) -> None:
        """Throw the switch of the signal's receiver."""
        if self.signal == "logs":
            await self.backend.http(*http, **keywords)
        else:
            await self.backend.grpc(*grpc, **keywords)

    async def accept(self) -> None:
        """Let the backend be well."""
        await self.script(("accept",), ("accept",))

    async def delivered(self) -> list[int]:
        """The numbers that the backend has, in ascending order."""
        if self.signal == "logs":
            return sorted(int(body) for body in await self.backend.log_bodies())
        return sorted(await self.backend.span_numbers())

    async def attempts(self) -> int:
        """How many requests the backend has seen."""
        return await self.backend.requests("http" if self.signal == "logs" else "grpc")

    async def counted(self, what: str) -> int:
        """One of the Collector's own counters of items."""
        return int(
            await self.harness.counter(f"otelcol_exporter_{what}_{ITEMS[self.signal]}", exporter=EXPORTERS[self.signal])
        )

    async def drained(self) -> None:
        """Wait until nothing waits any more; raises AssertionError."""
        size = await read_until(
            lambda: self.harness.counter("otelcol_exporter_queue_size", exporter=EXPORTERS[self.signal]),
            lambda size: size == 0,
        )
        assert size == 0, self.harness.process.last_lines()


@asynccontextmanager
async def running_pair(binary: Path, folder: Path, signal: Signal) -> AsyncIterator[Pair]:
    async with running_backend() as backend, running_collector(binary, folder, FILES, leading_to(backend)) as harness:
        yield Pair(harness, backend, signal)


SIGNALS = pytest.mark.parametrize("signal", ["logs", "traces"])


@SIGNALS
@pytest.mark.parametrize(
    ("http_status", "grpc_status"),
    [(400, "INVALID_ARGUMENT"), (500, "INTERNAL"), (413, "FAILED_PRECONDITION"), (401, "UNAUTHENTICATED")],
)
async def test_what_is_refused_for_good_is_lost_and_counted(
    binaries: dict[str, Path], tmp_path: Path, signal: Signal, http_status: int, grpc_status: str
) -> None:
    async with running_pair(binaries["otelcol"], tmp_path, signal) as pair:
        await pair.send()
        await pair.drained()
        await pair.script(("respond_status", http_status), ("respond_status", grpc_status))
        await pair.send(5)
        await pair.drained()
        await pair.accept()
        await pair.send()
        await pair.drained()
        assert await pair.delivered() == [*range(1, 11), *range(61, 71)]
        assert await pair.counted("send_failed") == 50
        assert await pair.counted("sent") == 20
        assert await pair.counted("enqueue_failed") == 0


@SIGNALS
@pytest.mark.parametrize("fault", ["throttled", "throttled for a second", "unavailable", "hanging", "down"])
async def test_what_is_refused_for_now_is_delivered_later_once(
    binaries: dict[str, Path], tmp_path: Path, signal: Signal, fault: str
) -> None:
    async with running_pair(binaries["otelcol"], tmp_path, signal) as pair:
        await pair.send()
        await pair.drained()
        before = await pair.attempts()
        match fault:
            case "throttled":
                # gRPC's RESOURCE_EXHAUSTED is for now only where it says when to come again.
                if signal == "logs":
                    await pair.backend.http("respond_status", 429)
                else:
                    await pair.backend.grpc("respond_status", "RESOURCE_EXHAUSTED", retry_after_seconds=0.1)
            case "throttled for a second":
                if signal == "logs":
                    await pair.backend.http("respond_status", 429, retry_after="1")
                else:
                    await pair.backend.grpc("respond_status", "RESOURCE_EXHAUSTED", retry_after_seconds=1.0)
            case "unavailable":
                await pair.script(("respond_status", 503), ("respond_status", "UNAVAILABLE"))
            case "hanging":
                await pair.script(("black_hole",), ("black_hole",))
            case _:
                await pair.script(("stop",), ("stop",))
        await pair.send(5)
        if fault == "down":
            await asyncio.sleep(1.0)  # there is nothing to be seen from outside
            await pair.script(("start",), ("start",))
        else:
            attempts = await read_until(pair.attempts, lambda seen: seen >= before + 3)
            assert attempts >= before + 3
        assert await pair.counted("send_failed") == 0
        await pair.accept()
        await pair.drained()
        assert await pair.delivered() == pair.acknowledged
        assert await pair.counted("send_failed") == 0
        assert await pair.counted("sent") == len(pair.acknowledged)


async def test_a_grpc_backend_that_does_not_say_when_to_come_again_loses_what_it_throttles(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    """Tempo 2.9 says it only where `distributor.retry_after_on_resource_exhausted` is set."""
    async with running_pair(binaries["otelcol"], tmp_path, "traces") as pair:
        await pair.backend.grpc("respond_status", "RESOURCE_EXHAUSTED")
        await pair.send()
        await pair.drained()
        assert await pair.counted("send_failed") == 10


async def test_a_response_that_breaks_off_is_asked_for_again(binaries: dict[str, Path], tmp_path: Path) -> None:
    async with running_pair(binaries["otelcol"], tmp_path, "logs") as pair:
        await pair.backend.http("close_mid_response", kept=True)
        await pair.send()
        await read_until(pair.attempts, lambda seen: seen >= 2)
        await pair.accept()
        await pair.drained()
        found = Counter(await pair.delivered())
        assert sorted(found) == pair.acknowledged
        assert (
            min(found.values()) >= 2
        )  # the backend kept what it did not acknowledge: its own business to know it again
        assert await pair.counted("send_failed") == 0


async def test_what_a_backend_takes_in_part_is_only_in_the_collectors_log(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    async with running_pair(binaries["otelcol"], tmp_path, "logs") as pair:
        await pair.backend.http("partial_success", 3, "three are too old")
        await pair.send()
        await pair.drained()
        assert await pair.counted("sent") == 10
        assert "three are too old" in pair.harness.process.last_lines()


@SIGNALS
async def test_through_every_fault_in_turn_the_counters_balance(
    binaries: dict[str, Path], tmp_path: Path, signal: Signal
) -> None:
    faults: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [
        (("respond_status", 400), ("respond_status", "INVALID_ARGUMENT")),
        (("respond_status", 429), ("respond_status", "UNAVAILABLE")),
        (("respond_status", 500), ("respond_status", "INTERNAL")),
        (("black_hole",), ("black_hole",)),
        (("respond_status", 400), ("respond_status", "INVALID_ARGUMENT")),
        (("respond_status", 503), ("respond_status", "UNAVAILABLE")),
    ]
    async with running_pair(binaries["otelcol"], tmp_path, signal) as pair:
        for http, grpc in faults:
            await pair.send(10)
            await pair.script(http, grpc)
            await pair.send(20)
            await asyncio.sleep(0.7)
            await pair.send(10)
            await pair.accept()
        await pair.send(10)
        await pair.drained()
        delivered = await pair.delivered()
        lost = len(pair.acknowledged) - len(delivered)
        assert len(set(delivered)) == len(delivered)
        assert await pair.counted("send_failed") == lost > 0
        assert await pair.counted("sent") == len(delivered)


async def test_metrics_are_refused_and_counted_alike(binaries: dict[str, Path], tmp_path: Path) -> None:
    async with (
        running_backend() as backend,
        running_collector(binaries["otelcol"], tmp_path, FILES, leading_to(backend)) as harness,
    ):
        await backend.http("respond_status", 400)
        assert await harness.export(metric_request([1, 2, 3])) == 200
        assert await harness.wait_counter("otelcol_exporter_send_failed_metric_points", 3) == 3
        await backend.http("respond_status", 429)
        assert await harness.export(metric_request([4, 5, 6])) == 200
        await read_until(lambda: backend.requests("http"), lambda seen: seen >= 3)
        await backend.http("accept")
        assert await harness.wait_counter("otelcol_exporter_sent_metric_points", 3) == 3
        assert await backend.metric_values() == [4, 5, 6]


@pytest.mark.parametrize("gate", [(), ("--feature-gates=extension.healthcheck.useComponentStatus",)])
async def test_the_health_check_does_not_know_of_backends_but_the_counters_do(
    binaries: dict[str, Path], tmp_path: Path, gate: tuple[str, ...]
) -> None:
    """The exporters of this version report no component status: neither health check can see a refused backend."""
    async with (
        running_backend() as backend,
        running_collector(binaries["otelcol"], tmp_path, FILES, leading_to(backend), arguments=gate) as harness,
    ):
        await backend.http("stop")
        assert await harness.export(log_request(["waits"])) == 200
        assert await harness.wait_counter("otelcol_exporter_queue_size", 1, exporter="otlp_http/loki") >= 1
        assert await harness.wait_counter("otelcol_exporter_in_flight_requests", 1, exporter="otlp_http/loki") == 1
        assert await harness.counter("otelcol_exporter_sent_log_records", exporter="otlp_http/loki") == 0
        assert await harness.health() == 200
