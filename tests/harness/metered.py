"""A whole metrics pipeline in memory: instruments, views, reader and exposition, on a clock that the test moves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.trace import TracerProvider

from otel.catalogue import CATALOGUE
from otel.catalogue.spec import Category, MetricSpec
from otel.exposition import Exposition, ExpositionResponse
from otel.metrics.instruments import Instruments
from otel.metrics.reader import SharedReader
from otel.metrics.views import build_views
from tests.harness.clock import ManualClock

OPENMETRICS = "application/openmetrics-text"


class Metered:
    """Record into `instruments` (catalogued) or `meter` (anything else), then read `text()` or `openmetrics()`.

    `share_seconds` is 0: every scrape collects, unless a test asks for sharing. `further_readers` see the same measurements.
    """

    def __init__(
        self,
        catalogue: Sequence[MetricSpec] = CATALOGUE,
        *,
        share_seconds: float = 0.0,
        further_readers: Sequence[MetricReader] = (),
        further_views: Sequence[View] = (),
    ) -> None:
        self.clock = ManualClock(0.0)
        self.reader = SharedReader(clock=self.clock, share_seconds=share_seconds)
        self.provider = MeterProvider(
            [self.reader, *further_readers],
            views=[*build_views(catalogue), *further_views],
            shutdown_on_exit=False,
        )
        self.meter = self.provider.get_meter("test")
        self.instruments = Instruments(self.meter, catalogue)
        self.collected_seconds: list[float] = []
        self.exposition = Exposition(self.reader, catalogue, on_collected=self.collected_seconds.append)
        self._tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    @contextmanager
    def span(self) -> Iterator[str]:
        """Make a sampled span current; yields its trace id as hex digits."""
        with self._tracer.start_as_current_span("test") as span:
            yield f"{span.get_span_context().trace_id:032x}"

    def scrape(
        self,
        accept: str | None = None,
        *,
        category: Category | None = None,
        names: Sequence[str] = (),
        method: str = "GET",
        accept_encoding: str | None = None,
    ) -> ExpositionResponse:
        """Respond to one request for metrics."""
        return self.exposition.respond(
            method=method, accept=accept, accept_encoding=accept_encoding, category=category, names=names
        )

    def text(self, category: Category | None = None, names: Sequence[str] = ()) -> str:
        """Return the exposition in text format 0.0.4."""
        return self.scrape(category=category, names=names).body.decode()

    def openmetrics(self, category: Category | None = None, names: Sequence[str] = ()) -> str:
        """Return the exposition in OpenMetrics 1.0.0."""
        return self.scrape(OPENMETRICS, category=category, names=names).body.decode()
