"""The figures of a run of `bench.gateway`: every round, medians with their spread, ratios; as JSON."""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.gateway_variants import BARE, CONSOLE, LITELLM, OFF, ON, PORTKEY

KINDS = ("whole", "streamed")
PAIRS = ((ON, OFF), (CONSOLE, ON), (ON, BARE), (ON, PORTKEY), (ON, LITELLM))
"""The ratios that are of interest, as numerator and denominator."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One variant at one number of connections in one round. CPU and context switches are those of all its processes."""

    variant: str
    kind: str
    connections: int
    round: int
    per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    cpu_microseconds: float
    context_switches: float


FIGURES = ("per_second", "p50_milliseconds", "p99_milliseconds", "cpu_microseconds", "context_switches")


class Spread(msgspec.Struct, frozen=True):
    """The median over the rounds, and the lowest and the highest; all NaN where nothing can be told."""

    median: float
    lowest: float
    highest: float


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How and where it was measured. `skipped` holds a reason by variant, or by variant and point."""

    rounds: int
    seconds: int
    load: str
    upstream: str
    cores: str
    core_count: int
    load_average_before: float
    python: str
    system: str
    skipped: dict[str, str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run. All other figures follow from `measured`."""

    setting: Setting
    measured: list[Measured]

    def points(self) -> Iterator[tuple[str, int]]:
        """Return each kind of response with each number of connections, in the order of the tables."""
        found = {(each.kind, each.connections) for each in self.measured}
        yield from sorted(found, key=lambda point: (KINDS.index(point[0]), point[1]))

    def variants(self) -> list[str]:
        """Return the names of what was measured, in the order of the tables."""
        found = {each.variant for each in self.measured}
        return [name for name in (BARE, OFF, ON, CONSOLE, PORTKEY, LITELLM) if name in found]

    def spread(self, variant: str, kind: str, connections: int, figure: str) -> Spread:
        """Return one figure of one variant over the rounds."""
        return spread_of(list(self._by_round(variant, kind, connections, figure).values()))

    def ratio(self, pair: tuple[str, str], kind: str, connections: int, figure: str) -> Spread:
        """Return the ratio of two variants: of each round first, so that a slow moment of the machine meets both."""
        over = self._by_round(pair[0], kind, connections, figure)
        under = self._by_round(pair[1], kind, connections, figure)
        return spread_of([over[each] / under[each] for each in over.keys() & under.keys() if under[each]])

    def _by_round(self, variant: str, kind: str, connections: int, figure: str) -> dict[int, float]:
        wanted = (variant, kind, connections)
        return {
            each.round: getattr(each, figure)
            for each in self.measured
            if (each.variant, each.kind, each.connections) == wanted
        }


def spread_of(values: list[float]) -> Spread:
    """Return median, lowest and highest."""
    if not values:
        return Spread(math.nan, math.nan, math.nan)
    return Spread(statistics.median(values), min(values), max(values))


def to_json(report: Report) -> bytes:
    """Return the report with its medians and ratios, for machines; a figure that is missing is null."""
    medians = [
        {"variant": variant, "kind": kind, "connections": connections}
        | {figure: report.spread(variant, kind, connections, figure) for figure in FIGURES}
        for kind, connections in report.points()
        for variant in report.variants()
    ]
    ratios = [
        {"ratio": "/".join(pair), "kind": kind, "connections": connections}
        | {figure: report.ratio(pair, kind, connections, figure) for figure in FIGURES}
        for kind, connections in report.points()
        for pair in measured_pairs(report)
    ]
    whole = msgspec.to_builtins(report) | {"medians": medians, "ratios": ratios}
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def from_json(path: Path) -> Report:
    """Read a report; raises `msgspec.ValidationError` where the file is none. Medians and ratios are made again."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def measured_pairs(report: Report) -> list[tuple[str, str]]:
    """Return the ratios whose two variants were measured."""
    names = report.variants()
    return [pair for pair in PAIRS if pair[0] in names and pair[1] in names]
