"""Scrape cost against the stock exporter: cold, from shared bytes, and per category, for 1 000 and 10 000 lines.

Both readers hang on one provider, so they hold the same series. Half of the lines are counters with
three labels, half belong to histograms. "cold" collects and renders; "render" is its part after the
SDK's own collection; "first" has no label text kept yet. Run: python -m bench.scrape
"""

import statistics
import time
from collections.abc import Callable

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, generate_latest

from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.exposition import Exposition
from otel.metrics.reader import SharedReader

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
LINES_PER_HISTOGRAM_SERIES = len(BOUNDS) + 3
FAMILIES = 10
OPENMETRICS = "application/openmetrics-text"
ROUNDS = 15


def specs() -> list[MetricSpec]:
    """Ten counter and ten histogram families; the category `providers` holds one of each: a tenth of the lines."""
    labels = tuple(Label(key) for key in ("provider", "model", "status"))
    result = []
    for number in range(FAMILIES):
        categories = (Category.PROVIDERS,) if number == 0 else (Category.SYSTEM,)
        for kind, name in ((Kind.COUNTER, f"bench_{number}_total"), (Kind.HISTOGRAM, f"bench_{number}_seconds")):
            result.append(
                MetricSpec(
                    name=name,
                    instrument=name,
                    kind=kind,
                    unit="s" if kind is Kind.HISTOGRAM else "{request}",
                    help=f"Benchmark family {number}.",
                    labels=labels,
                    categories=categories,
                    buckets=BOUNDS,
                )
            )
    return result


def build(lines: int) -> tuple[SharedReader, Exposition, CollectorRegistry, Callable[[], None]]:
    catalogue = specs()
    reader = SharedReader(clock=time.monotonic, share_seconds=0)
    registry = CollectorRegistry()
    stock = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    views = [
        View(
            instrument_name=spec.instrument,
            aggregation=ExplicitBucketHistogramAggregation(BOUNDS) if spec.kind is Kind.HISTOGRAM else None,
            aggregation_cardinality_limit=100_000,
        )
        for spec in catalogue
    ]
    meter = MeterProvider([reader, stock], views=views, shutdown_on_exit=False).get_meter("bench")
    counters = [meter.create_counter(spec.name) for spec in catalogue if spec.kind is Kind.COUNTER]
    histograms = [meter.create_histogram(spec.name, "s") for spec in catalogue if spec.kind is Kind.HISTOGRAM]

    def record() -> None:
        for number in range(lines // 2 // FAMILIES):
            labels = {"provider": f"p{number % 20}", "model": f"model-{number}", "status": "success"}
            for counter in counters:
                counter.add(1, labels)
        for number in range(lines // 2 // LINES_PER_HISTOGRAM_SERIES // FAMILIES):
            labels = {"provider": f"p{number % 20}", "model": f"model-{number}", "status": "success"}
            for histogram in histograms:
                histogram.record(0.3, labels)

    record()
    return reader, Exposition(reader, catalogue), registry, record


def milliseconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median of `rounds` runs."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def scrape(exposition: Exposition, accept: str | None = None, category: Category | None = None) -> bytes:
    return exposition.respond(method="GET", accept=accept, accept_encoding=None, category=category).body


def measure(lines: int) -> None:
    reader, exposition, registry, record = build(lines)
    started = time.perf_counter()
    reader.snapshot()
    collected = time.perf_counter()
    body = scrape(exposition)
    first = (time.perf_counter() - collected) * 1000 - (collected - started) * 1000
    stock = milliseconds(lambda: generate_latest(registry))
    collect = milliseconds(lambda: reader.snapshot(0))
    cold = milliseconds(lambda: scrape(exposition))
    push: list[MetricsData] = []
    pushed = milliseconds(lambda: push.append(reader.collect_for_push()))
    rows = [
        ("stock exporter, collect + text", stock),
        ("gatewayz, collect + text (cold)", cold),
        ("gatewayz, SDK collection alone", collect),
        ("gatewayz, text alone (cold - collection)", cold - collect),
        ("gatewayz, text alone, the very first time", first),
        ("gatewayz, collect + OpenMetrics (cold)", milliseconds(lambda: scrape(exposition, OPENMETRICS))),
        ("gatewayz, collect + one category (cold)", milliseconds(lambda: scrape(exposition, None, Category.PROVIDERS))),
        ("gatewayz, collection for a push", pushed),
    ]
    with TracerProvider(shutdown_on_exit=False).get_tracer("bench").start_as_current_span("bench"):
        record()
    scrape(exposition)
    traced = milliseconds(lambda: scrape(exposition, OPENMETRICS))
    rows.append(("gatewayz, collect + OpenMetrics, an exemplar in every series", traced))
    reader._share_seconds = 3600  # noqa: SLF001  the benchmark's own reader
    scrape(exposition)
    shared = milliseconds(lambda: scrape(exposition))
    scrape(exposition, None, Category.PROVIDERS)
    rows.append(("gatewayz, from shared bytes", shared))
    rows.append(
        (
            "gatewayz, one category, from shared bytes",
            milliseconds(lambda: scrape(exposition, None, Category.PROVIDERS)),
        )
    )
    print(f"\n{body.count(b'{')} lines, {len(body) / 1e6:.2f} MB, median of {ROUNDS} (ms, ratio to stock)")
    for name, value in rows:
        print(f"  {name:<58}{value:>9.3f}  {value / stock:>7.4f}")


if __name__ == "__main__":
    for size in (1_000, 10_000):
        measure(size)
