"""Looks at the gateway's own numbers while it is fuzzed: every scrape must parse in both formats and show nothing but known series."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from demo.traffic.counters import Series
from tests.fuzz.environment import FuzzEnvironment
from tests.fuzz.receiver import BOUNDED
from tests.fuzz.series import OPENMETRICS, TEXT, SeriesBounds, read_openmetrics, read_text
from tests.harness.polling import read_until

CATEGORIES: Final = ("system", "providers", "models", "business", "performance")


class Reading(msgspec.Struct, frozen=True):
    """One scrape."""

    samples: Mapping[Series, float]

    def total(self, name: str) -> float:
        """Return the sum over all series of that name."""
        return sum(value for (each, _), value in self.samples.items() if each == name)

    def requests(self) -> Counter[tuple[str, int]]:
        """Return the counted requests by method and status."""
        counted: Counter[tuple[str, int]] = Counter()
        for (name, labels), value in self.samples.items():
            if name == "fastapi_requests_total":
                values = dict(labels)
                counted[values["method"], int(values["status_code"])] += int(value)
        return counted


class Gauge:
    """Scrapes and checks; `problems` holds what was wrong."""

    def __init__(self, ready: FuzzEnvironment) -> None:
        self._environment = ready
        self._bounds = SeriesBounds(ready.config)
        self.scrapes = 0
        self.most_series = 0
        self.problems: list[str] = []
        self._last: Mapping[Series, float] = {}

    async def read(self) -> Reading:
        """Scrape in both formats and check both; the reading is that of the text format."""
        text = await self._environment.get("/metrics", TEXT)
        openmetrics = await self._environment.get("/metrics", OPENMETRICS)
        samples: dict[Series, float] = {}
        for exposition, read in ((text, read_text), (openmetrics, read_openmetrics)):
            self.scrapes += 1
            self._environment.leaks.search("/metrics", exposition.encode())
            try:
                samples = read(exposition)
            except ValueError as error:
                self._problem(f"an exposition that does not parse: {error}")
                continue
            self._check_bounds("/metrics", samples)
        self._check_values(samples)
        return Reading(samples)

    async def read_categories(self) -> None:
        """Scrape and check each category."""
        for category in CATEGORIES:
            exposition = await self._environment.get(f"/prometheus/metrics/{category}", TEXT)
            self.scrapes += 1
            self._check_bounds(category, read_text(exposition))

    async def settle(self, is_settled: Callable[[Reading], bool], timeout_seconds: float) -> Reading:
        """Read until a condition holds or the time is over; return the last reading."""
        return await read_until(self.read, is_settled, timeout_seconds=timeout_seconds)

    def check_pushed(self) -> None:
        """Check what the receiver got by OTLP: series, span names, and the fields whose values are closed sets."""
        for name, metric in self._environment.receiver.metrics.items():
            suffix = "_count" if metric.kind == "histogram" else ""
            self._check_bounds("OTLP", {(name + suffix, labels): 0.0 for labels in (*metric.points, *metric.ended)})
        for stray in self._bounds.stray_span_names(self._environment.receiver.span_names):
            self._problem(f"a span called {stray!r}")
        for key, values in self._environment.receiver.values.items():
            for stray in self._bounds.stray_values(BOUNDED[key], values):
                self._problem(f"a span or log record with {key} = {stray!r}")

    def _check_bounds(self, where: str, samples: Mapping[Series, float]) -> None:
        self.most_series = max(self.most_series, len(samples))
        for stranger in self._bounds.unexpected(samples):
            self._problem(f"{where}: a series outside the bounded set: {stranger}")

    def _check_values(self, samples: Mapping[Series, float]) -> None:
        """Check that every value is a number of the usual kind, and that nothing that counts goes back."""
        for series, value in samples.items():
            if not math.isfinite(value) or value < 0:
                self._problem(f"{series} is {value}")
            elif self._bounds.counts(series[0]) and value < self._last.get(series, 0.0):
                self._problem(f"{series} went from {self._last[series]} back to {value}")
        for series in self._last.keys() - samples.keys():
            self._problem(f"{series} has vanished")
        self._last = samples

    def _problem(self, problem: str) -> None:
        if len(self.problems) < 10 and problem not in self.problems:
            self.problems.append(problem)
