"""What a soak run has shown, held against its criteria."""

from collections.abc import Sequence

import msgspec

from bench.servers import MIB
from bench.watched_gateway import Pauses
from otel.catalogue.business import LEDGER_ROWS_DROPPED
from otel.catalogue.self_telemetry import DROPPED, LOG_LINES_DROPPED

SETTLED_SHARE = 0.2
"""Of ten minutes two: by then pools, caches and buffers are full."""

MAX_GROWTH = 0.05
LOST = (DROPPED, LOG_LINES_DROPPED, LEDGER_ROWS_DROPPED)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway after a piece of the load."""

    seconds: float
    memory_bytes: int


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold, and the figures that show it."""

    name: str
    is_met: bool
    figures: str

    def line(self) -> str:
        """Return it as it is printed."""
        return f"{'PASS' if self.is_met else 'FAIL'} {self.name}: {self.figures}"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the run showed.

    `responses` counts by kind of request those that were as expected, `unexpected` all others.
    `dropped` are spans, log records, pushes, log lines and rows of the ledger.
    """

    samples: Sequence[Sample]
    responses: dict[str, int]
    unexpected: int
    dropped: float
    pauses: Pauses
    longest_scrape_seconds: float

    @property
    def settled(self) -> Sample:
        """The first sample after the share of the run in which memory may grow."""
        ends_at = self.samples[-1].seconds * SETTLED_SHARE
        return next(each for each in self.samples if each.seconds >= ends_at)

    def criteria(self) -> list[Criterion]:
        """Return what must hold."""
        settled, last = self.settled, self.samples[-1]
        growth = last.memory_bytes / settled.memory_bytes - 1
        counts = ", ".join(f"{count} {kind}" for kind, count in self.responses.items())
        return [
            Criterion(
                name="memory",
                is_met=growth <= MAX_GROWTH,
                figures=f"{settled.memory_bytes / MIB:.1f} MiB after {settled.seconds:.0f} s, {last.memory_bytes / MIB:.1f} MiB after"
                f" {last.seconds:.0f} s: {growth:+.1%}, at most {MAX_GROWTH:+.0%}",
            ),
            Criterion(
                name="telemetry",
                is_met=not self.dropped,
                figures=f"{self.dropped:g} items and ledger rows were dropped",
            ),
            Criterion(
                name="responses",
                is_met=not self.unexpected and all(self.responses.values()),
                figures=f"{counts}; {self.unexpected} were not as expected",
            ),
        ]

    def lines(self) -> list[str]:
        """Return what is printed at the end."""
        pause_ms, cpu_ms = self.pauses.longest_seconds * 1000, self.pauses.longest_cpu_seconds * 1000
        generation = self.pauses.generation
        return [
            *(each.line() for each in self.criteria()),
            f"longest garbage collection: {pause_ms:.1f} ms (generation {generation}), in processor time {cpu_ms:.1f} ms",
            f"longest scrape: {self.longest_scrape_seconds * 1000:.0f} ms",
        ]


def dropped_items(exposition: str) -> float:
    """Return the sum of the counters of what was dropped."""
    return sum(float(line.rpartition(" ")[2]) for line in exposition.splitlines() if line.startswith(LOST))
