"""The traffic program's own counts in the form of query results: sums, increases as Prometheus extrapolates them, gauges, quantiles.

Input: what was played, and the times (never the values) of the samples that Prometheus stored. Exceptions, each with its check: the
buckets that a duration falls into are the gateway's own, and every quantile of them must lie between what the scripts demand and what the
client's clock saw; how often a key was found in the cache is the gateway's own, and the sum of hits and misses is the traffic program's;
the statements of the database are Prometheus' own, because only the gateway knows them.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from demo.traffic.counters import KEY_LOOKUPS, MONEY, Series
from tests.reference.durations import spans_of
from tests.reference.extrapolation import increase, quantile
from tests.reference.played import Played
from tests.reference.quantities import Expected, Labels, Number

WINDOWS: Final = {"5m": 300, "10m": 600, "1h": 3_600, "24h": 86_400}
"""In seconds."""
Samples: TypeAlias = Mapping[Series, list[tuple[int, float]]]
"""The stored samples of each series: time in milliseconds, and value."""

_KEY_CACHE: Final = (("cache", "api_key"),)
_NANO: Final = 1e9
_STATEMENTS: Final = "database_query_duration_seconds_bucket"
_TRANSITIONS: Final = "gatewayz_circuit_breaker_transitions_total"


class Truth:
    """What every query of the reference must return, in parts that `expected.py` puts together."""

    def __init__(self, played: Played, samples: Samples) -> None:
        self.played = played
        self.problems: list[str] = []
        self._samples = samples
        self._before = _with_buckets(played.before, played.shown_before)
        self._after = _with_buckets(played.after, played.shown_after)
        lookups = sum(self._after.get((name, _KEY_CACHE), 0.0) for name in ("cache_hits_total", "cache_misses_total"))
        self._after |= {
            key: float(dict(key[1])["state"] == "open" and dict(key[1])["provider"] in played.open_breakers)
            for key in samples
            if key[0] == _TRANSITIONS
        }
        if lookups != played.after[KEY_LOOKUPS, _KEY_CACHE]:
            self.problems.append(f"{lookups} lookups of keys instead of {played.after[KEY_LOOKUPS, _KEY_CACHE]}")

    def total(self, name: str, *by: str, **where: str) -> Expected:
        """Return a counter at the end, summed by labels; of each series where `by` is `each`."""
        return self._sums({key: self._after[key] for key in self._series(name, where)}, by)

    def increase(self, window: str, name: str, *by: str, **where: str) -> Expected:
        """Return a counter's increase in a window that begins at the quiet moment."""
        found = {}
        start_ms = self.played.quiet_ms
        for key in self._series(name, where):
            samples = self._samples.get(key, [])
            stamps = [stamp for stamp, _ in samples]
            first, last = self._ends(key, samples)
            value = increase(first, last, stamps, start_ms, start_ms + 1_000 * WINDOWS[window])
            if value is not None:
                found[key] = value
        return self._sums(found, by)

    def rate(self, window: str, name: str, *by: str, **where: str) -> Expected:
        """Return a counter's increase per second."""
        return self.increase(window, name, *by, **where).times(1.0 / WINDOWS[window])

    def changes_of_state(self, name: str, values: Mapping[Labels, tuple[float, float]]) -> Expected:
        """Return the rate, over 5 minutes, of a gauge by its values before and after; a fall counts as a restart at 0."""
        found = {}
        start_ms = self.played.quiet_ms
        for labels, (first, last) in values.items():
            stamps = [stamp for stamp, _ in self._samples[name, labels]]
            last_counted = last if last >= first else last + first
            value = increase(first, last_counted, stamps, start_ms, start_ms + 300_000)
            found[labels] = Number.exact((value or 0.0) / 300.0)
        return Expected(found)

    def quantile(self, share: float, name: str, *by: str) -> Expected:
        """Return a quantile of the last 5 minutes of a histogram by labels, and check it against the traffic's own clock."""
        buckets = self.rate("5m", f"{name}_bucket", *(by if by == ("each",) else (*by, "le")))
        groups: dict[Labels, dict[float, float]] = {}
        for labels, count in buckets.values.items():
            rest = tuple(pair for pair in labels if pair[0] != "le")
            groups.setdefault(rest, {})[float(dict(labels)["le"])] = count.high
        found = {labels: quantile(share, _rising(counts)) for labels, counts in groups.items()}
        for labels, value in found.items():
            self._check_clock(share, name, labels, value, sorted(groups[labels]))
        return Expected({labels: Number.exact(value) for labels, value in found.items()})

    def _check_clock(self, share: float, name: str, labels: Labels, value: float, bounds: list[float]) -> None:
        spans = spans_of(name, labels, self.played.measured)
        if spans is None or not spans:
            return
        counted = self._after_less_before(name, labels)
        if len(spans) != counted:
            self.problems.append(f"{name} {dict(labels)}: {counted} durations instead of {len(spans)}")
        least, most = (quantile(share, _cumulative(side, bounds)) for side in zip(*spans, strict=True))
        if not least - 1e-9 <= value <= most + 1e-9:
            self.problems.append(f"{name} {dict(labels)}: the quantile {value:.4g} is not in {least:.4g} to {most:.4g}")

    def _after_less_before(self, name: str, labels: Labels) -> int:
        wanted = set(labels)
        keys = [key for key in self._after if key[0] == f"{name}_count" and wanted <= set(key[1])]
        return round(sum(self._after[key] - self._before.get(key, 0.0) for key in keys))

    def _series(self, name: str, where: Mapping[str, str]) -> list[Series]:
        known = self._samples if name == _STATEMENTS else self._after
        return [
            key
            for key in known
            if key[0] == name
            and (key in self._samples or self._after[key])
            and all(re.fullmatch(pattern, dict(key[1])[label]) for label, pattern in where.items())
        ]

    def _ends(self, key: Series, samples: list[tuple[int, float]]) -> tuple[float, float]:
        """Return the count at the first and the last sample: the traffic program's, where the series existed at the quiet moment."""
        if key[0] == _STATEMENTS:
            return samples[0][1], samples[-1][1]
        existed = not samples or samples[0][0] < self.played.quiet_ms + 2_000
        return (self._before.get(key, 0.0) if existed else samples[0][1]), self._after[key]

    def _sums(self, values: Mapping[Series, float], by: tuple[str, ...]) -> Expected:
        exact = Expected({labels: Number.exact(value) for (_, labels), value in values.items()})
        return exact if by == ("each",) else exact.grouped(by, sum)


def _with_buckets(counts: Mapping[Series, int], shown: Mapping[Series, float]) -> dict[Series, float]:
    """Return counts with money in US dollars, and what only the gateway itself can know; `le` as Prometheus' JSON has it here."""
    known = {key: count / _NANO if key[0] in MONEY else float(count) for key, count in counts.items()}
    for (name, labels), value in shown.items():
        if name.endswith("_bucket"):
            bounds = tuple(sorted((key, str(float(text)) if key == "le" else text) for key, text in labels))
            known[name, bounds] = value
        elif labels == _KEY_CACHE or (name, labels) not in known:
            # Families that start at 0 have series that no request has moved.
            known[name, labels] = value
    return known


def _rising(counts: Mapping[float, float]) -> dict[float, float]:
    """Return cumulative counts that do not fall: each bucket's increase is extrapolated for itself."""
    rising: dict[float, float] = {}
    highest = 0.0
    for bound in sorted(counts):
        highest = max(highest, counts[bound])
        rising[bound] = highest
    return rising


def _cumulative(durations: tuple[float, ...], bounds: list[float]) -> dict[float, float]:
    return {bound: float(sum(duration <= bound for duration in durations)) for bound in bounds}
