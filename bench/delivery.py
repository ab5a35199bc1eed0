"""What ending a span costs, and how long shutdown takes, with the endpoint up, down and a black hole: this delivery against the stock one.

    python -m bench.delivery [--seconds 3] [--protocol http/protobuf]

The stock one is the SDK's `BatchSpanProcessor` with the OTLP exporter and its defaults. Both end
spans with 11 attributes at the same pace (100 every 25 ms), in the same run, turn by turn. The
receiver is a process of its own. `lost` counts spans that the receiver does not have after
shutdown.
"""

import argparse
import logging
import multiprocessing
import random
import statistics
import time
from multiprocessing.connection import Connection

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel.config.environ import TelemetryConfig, telemetry_config_from_environ
from otel.delivery import build_delivery
from otel.pipeline.resource import build_resource
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver

BURST = 100
PAUSE_SECONDS = 0.025
ATTRIBUTES = {f"key.{number}": f"value {number}" for number in range(11)}
SHUTDOWN_SECONDS = 4.0


def serve(connection: Connection, protocol: str) -> None:
    """Run a receiver in this process, switched by what comes over the connection."""
    receiver = OtlpReceiver() if protocol == "http/protobuf" else OtlpGrpcReceiver()
    receiver.start()
    connection.send(receiver.endpoint)
    while (command := connection.recv()) != "end":
        match command:
            case "up":
                receiver.clear()
                receiver.accept()
            case "down":
                receiver.stop()
            case "start":
                receiver.start()
            case "black hole":
                receiver.black_hole()
        connection.send(len({span["span_id"] for span in receiver.spans}))
    receiver.stop()


class Endpoint:
    """The receiver's process."""

    def __init__(self, protocol: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, protocol), daemon=True)
        self._process.start()
        self.url: str = self._connection.recv()

    def ask(self, command: str) -> int:
        """Throw a switch; returns how many different spans have arrived."""
        self._connection.send(command)
        return int(self._connection.recv())

    def end(self) -> None:
        """End the process."""
        self._connection.send("end")
        self._process.join(5)


class Ours:
    """This project's delivery, with its defaults."""

    name = "gatewayz"

    def __init__(self, url: str, protocol: str) -> None:
        config = telemetry_config_from_environ(
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url if protocol == "grpc" else f"{url}/v1/traces",
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            }
        )
        self._delivery = build_delivery(config, collect_metrics=lambda: None, rng=random.Random(1))
        self._delivery.start()
        if self._delivery.span_processor is None:
            raise RuntimeError("traces are not pushed")
        self.processor = self._delivery.span_processor

    def shutdown(self) -> None:
        """Flush what can be flushed."""
        self._delivery.shutdown(SHUTDOWN_SECONDS)


class Stock:
    """The SDK's batch processor and exporter, with their defaults."""

    name = "stock"

    def __init__(self, url: str, protocol: str) -> None:
        exporter = GrpcExporter(endpoint=url) if protocol == "grpc" else HttpExporter(endpoint=f"{url}/v1/traces")
        self.processor = BatchSpanProcessor(exporter)

    def shutdown(self) -> None:
        """Flush what can be flushed."""
        self.processor.shutdown()


def stream(variant: Ours | Stock, seconds: float) -> tuple[int, list[float], list[float], float]:
    """End spans at a steady pace; returns how many, the microseconds of each span and of each `on_end`, and CPU microseconds per span."""
    provider = TracerProvider(
        resource=build_resource(TelemetryConfig(), service_version="bench", instance_id="bench"), shutdown_on_exit=False
    )
    tracer = provider.get_tracer("bench")
    whole, handed = [], []
    clock = time.perf_counter
    cpu_began, ends_at = time.process_time(), clock() + seconds
    while clock() < ends_at:
        for _ in range(BURST):
            began = clock()
            span = tracer.start_span("work", attributes=ATTRIBUTES)
            span.end()
            ended = clock()
            variant.processor.on_end(span)
            finished = clock()
            handed.append((finished - ended) * 1e6)
            whole.append((finished - began) * 1e6)
        time.sleep(PAUSE_SECONDS)
    return len(whole), whole, handed, (time.process_time() - cpu_began) / len(whole) * 1e6


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--protocol", choices=["http/protobuf", "grpc"], default="http/protobuf")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the stock exporter's tracebacks are not what is measured
    endpoint = Endpoint(arguments.protocol)
    print(f"{arguments.protocol}, {arguments.seconds:g} s each; microseconds")
    print(
        f"{'endpoint':<11}{'':<9}{'on_end p50':>11}{'p99':>8}{'max':>9}{'span p50':>10}{'p99':>8}{'CPU/span':>10}",
        end="",
    )
    print(f"{'shutdown s':>12}{'lost':>8} of")
    try:
        for state in ("up", "down", "black hole"):
            medians: dict[str, float] = {}
            for variant_class in (Stock, Ours):
                endpoint.ask("up")
                endpoint.ask(state)
                variant = variant_class(endpoint.url, arguments.protocol)
                count, whole, handed, cpu = stream(variant, arguments.seconds)
                began = time.perf_counter()
                variant.shutdown()
                took = time.perf_counter() - began
                arrived = endpoint.ask("start" if state == "down" else "count")
                medians[variant.name] = statistics.median(handed)
                print(
                    f"{state:<11}{variant.name:<9}{medians[variant.name]:>11.2f}{percentile(handed, 0.99):>8.1f}"
                    f"{max(handed):>9.0f}{statistics.median(whole):>10.1f}{percentile(whole, 0.99):>8.1f}{cpu:>10.1f}"
                    f"{took:>12.2f}{count - arrived:>8} {count}",
                    flush=True,
                )
            print(f"{state:<11}{'ratio':<9}{medians['gatewayz'] / medians['stock']:>11.2f}")
    finally:
        endpoint.end()


if __name__ == "__main__":
    main()
