"""What the traffic program knows when it has ended: its counts at two quiet moments, and each request of the time between."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from demo.gateway_config import DemoModel
from demo.traffic.counters import Series, TrafficCounters
from demo.traffic.mismatch import as_observed, is_slow_lookup, without_key
from demo.traffic.plan import Observed, Planned

_TOO_MANY: Final = 429


class RecordingCounters(TrafficCounters):
    """The demo's counters, which keep each request, too."""

    def __init__(self, models: Iterable[DemoModel]) -> None:
        super().__init__(models, allows_slow_database=True)
        self.seen: list[tuple[Planned, Observed]] = []

    def add(self, planned: Planned, observed: Observed) -> None:
        """Count one request that has ended, and keep it with its real outcome."""
        super().add(planned, observed)
        if is_slow_lookup(observed):
            planned = without_key(planned)
        planned = as_observed(planned, observed)
        if planned.limited is not None and observed.status_code == _TOO_MANY:
            planned = msgspec.structs.replace(planned, status_code=_TOO_MANY, attempts=(), model=None)
        self.seen.append((planned, observed))


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """A traffic that has ended. Money of `before` and `after` is in nano-US-dollars.

    `quiet_ms`: the moment before the part that is measured, in milliseconds since the Unix epoch; every series existed. `ended_ms`: a
    moment after it at which the gateway still runs; its gauges end with it. `before` and `after` are the traffic program's counts at the
    quiet moment and at the end, `shown_before` and `shown_after` what the gateway itself showed. `seen` are all requests, those of the
    measured part from `measured_from` on. `log_lines`: what the gateway wrote.
    """

    quiet_ms: int
    ended_ms: int
    before: Counter[Series]
    after: Counter[Series]
    shown_before: Mapping[Series, float]
    shown_after: Mapping[Series, float]
    seen: tuple[tuple[Planned, Observed], ...]
    measured_from: int
    keys_by_plan: Mapping[str, int]
    trials: int
    open_breakers: frozenset[str]
    unreachable: frozenset[str]
    log_lines: tuple[Mapping[str, Any], ...]

    @property
    def measured(self) -> tuple[tuple[Planned, Observed], ...]:
        """The requests of the measured part."""
        return self.seen[self.measured_from :]
