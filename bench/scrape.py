"""Scrape cost against the stock exporter: cold, from shared bytes, and per category, for 1 000 and 10 000 lines.

Both have a provider of their own and the same series: the stock exporter with the SDK's aggregations,
this project's with its own views. Half of the lines are counters with three labels, half belong to
histograms. "cold" collects and renders; of the series none, a tenth or all changed since the last
collection; "first" has no label text kept yet. Run: python -m bench.scrape
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, generate_latest

from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.exposition import Exposition
from otel.metrics.instruments import Instruments
from otel.metrics.label_set import LabelSet
from otel.metrics.reader import SharedReader
from otel.metrics.views import build_views

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
                    series_limit=100_000,
                )
            )
    return result


class Both(NamedTuple):
    """The two expositions of the same series."""

    reader: SharedReader
    exposition: Exposition
    registry: CollectorRegistry
    providers: tuple[MeterProvider, ...]
    """Held, because the readers do not hold them."""
    record: Callable[[int], None]
    """Changes every n-th series of this project's provider."""


def build(lines: int) -> Both:
    catalogue = specs()
    registry = CollectorRegistry()
    stock = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    stock_views = [
        View(
            instrument_name=spec.instrument,
            aggregation=ExplicitBucketHistogramAggregation(BOUNDS) if spec.kind is Kind.HISTOGRAM else None,
            aggregation_cardinality_limit=spec.series_limit,
        )
        for spec in catalogue
    ]
    stock_provider = MeterProvider([stock], views=stock_views, shutdown_on_exit=False)
    stock_instruments = Instruments(stock_provider.get_meter("bench"), catalogue)
    sizes = {Kind.COUNTER: lines // 2 // FAMILIES, Kind.HISTOGRAM: lines // 2 // LINES_PER_HISTOGRAM_SERIES // FAMILIES}
    reader, provider, record, label_sets = build_ours(catalogue, sizes)
    for spec in catalogue:
        for labels in label_sets[: sizes[spec.kind]]:
            stock_instruments.record(spec.name, 0.3, dict(labels))  # a label set belongs to one `Instruments`
    return Both(reader, Exposition(reader, catalogue), registry, (provider, stock_provider), record)


def build_ours(
    catalogue: list[MetricSpec], sizes: dict[Kind, int]
) -> tuple[SharedReader, MeterProvider, Callable[[int], None], list[LabelSet]]:
    """Return this project's reader with so many series of each family, its provider, what changes every n-th of them, and their labels."""
    reader = SharedReader(clock=time.monotonic, share_seconds=0)
    provider = MeterProvider([reader], views=build_views(catalogue), shutdown_on_exit=False)
    instruments = Instruments(provider.get_meter("bench"), catalogue)
    root = LabelSet()
    label_sets = [
        root.plus("provider", f"p{number % 20}").plus("model", f"model-{number}").plus("status", "success")
        for number in range(max(sizes.values()))
    ]

    def record(every: int) -> None:
        for spec in catalogue:
            for labels in label_sets[: sizes[spec.kind] : every]:
                instruments.record(spec.name, 0.3, labels)

    record(1)
    return reader, provider, record, label_sets


def milliseconds(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """The median of the rounds, each after `before`, in processor time: others on the machine have no part in it."""
    times = []
    for _ in range(ROUNDS):
        before()
        started = time.thread_time()
        work()
        times.append((time.thread_time() - started) * 1000)
    return statistics.median(times)


def scrape(exposition: Exposition, accept: str | None = None, category: Category | None = None) -> bytes:
    return exposition.respond(method="GET", accept=accept, accept_encoding=None, category=category).body


def measure(lines: int) -> None:
    reader, exposition, registry, _providers, record = build(lines)
    started = time.thread_time()
    reader.snapshot()
    collected = time.thread_time()
    body = scrape(exposition)
    first = (time.thread_time() - collected) * 1000 - (collected - started) * 1000
    stock = milliseconds(lambda: generate_latest(registry))
    collect = milliseconds(lambda: reader.snapshot(0))
    cold = milliseconds(lambda: scrape(exposition))
    tenth = milliseconds(lambda: scrape(exposition), lambda: record(10))
    every = milliseconds(lambda: scrape(exposition), lambda: record(1))
    push: list[MetricsData] = []
    pushed = milliseconds(lambda: push.append(reader.collect_for_push()))
    rows = [
        ("stock exporter, collect + text", stock),
        ("gatewayz, collect + text (cold), no series changed", cold),
        ("gatewayz, collect + text (cold), a tenth changed", tenth),
        ("gatewayz, collect + text (cold), every series changed", every),
        ("gatewayz, collection alone, no series changed", collect),
        (
            "gatewayz, collection alone, every series changed",
            milliseconds(lambda: reader.snapshot(0), lambda: record(1)),
        ),
        ("gatewayz, text alone, the very first time", first),
        ("gatewayz, collect + OpenMetrics (cold)", milliseconds(lambda: scrape(exposition, OPENMETRICS))),
        ("gatewayz, collect + one category (cold)", milliseconds(lambda: scrape(exposition, None, Category.PROVIDERS))),
        ("gatewayz, collection for a push", pushed),
    ]
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("bench")

    def record_traced() -> None:
        with tracer.start_as_current_span("bench"):
            record(1)

    record_traced()
    scrape(exposition)
    rows += [
        (
            f"gatewayz, collect + OpenMetrics, exemplars everywhere, {changed}",
            milliseconds(lambda: scrape(exposition, OPENMETRICS), before),
        )
        for changed, before in (
            ("no series changed", lambda: None),
            ("every series changed", lambda: record(1)),
            ("every series and exemplar changed", record_traced),
        )
    ]
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
    print(
        f"\n{body.count(b'{')} lines, {len(body) / 1e6:.2f} MB, median of {ROUNDS} (ms of processor time, ratio to stock)"
    )
    for name, value in rows:
        print(f"  {name:<86}{value:>9.3f}  {value / stock:>7.4f}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for size in (1_000, 10_000):
        measure(size)
