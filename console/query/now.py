"""The screen Now: a row per provider and per model, the worst first."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from console.query.by_label import ByLabel
from console.query.gauges import read_latest
from console.query.growth import Growth, read_growth, total
from console.query.histogram_growth import HistogramGrowth, distribution_quantile, read_histogram_growth
from console.query.newest_failures import NewestFailures
from console.query.now_basis import BASIS
from console.query.now_states import State, States, failed_of
from console.query.now_totals import (
    COST_WINDOW_NS,
    HOUR_NS,
    MINUTE_NS,
    P95,
    per,
    read_totals,
    read_totals_before,
)
from console.query.shapes.base import Labels
from console.query.shapes.now import Now, NowRow, Spark
from console.query.times import SECOND, to_seconds
from console.query.view import View
from otel.catalogue import http, inference, money, providers, semconv

MOST_ROWS: Final = 100
"""What a screen can show and a person reads; of all others it is known how bad they are."""
SPARK_STEPS: Final = 60
_FEWEST_SPARK_STEPS: Final = 6
MOST_SPARK_VALUES: Final = 120_000
"""Steps by series: about as many lookups."""

_LABELS: Final = {"provider": semconv.PROVIDER, "model": semconv.MODEL}


class RowReader:
    """Reads what the rows that are shown need once, then makes them. For one response."""

    def __init__(self, view: View, states: States, shown: Collection[State]) -> None:
        self._view = view
        self._states = states
        self._names = {kind: {state.name for state in shown if state.kind == kind} for kind in _LABELS}
        self._steps = self._spark_steps()
        now_ns, window = view.now_ns, states.window
        self._step_ns = HOUR_NS // self._steps
        spark = [now_ns - self._step_ns * step for step in range(self._steps, -1, -1)]
        self._spark_attempts = ByLabel(read_growth(view, inference.REQUESTS, spark, self._is_shown))
        self._cost = ByLabel(read_growth(view, money.COST, (now_ns - COST_WINDOW_NS, now_ns), self._is_shown))
        self._response, self._duration, self._first_token = (
            ByLabel(read_histogram_growth(view, name, *window, self._is_shown))
            for name in (providers.RESPONSE_TIME, inference.DURATION, inference.TIME_TO_FIRST_TOKEN)
        )
        self._newest = NewestFailures(view)

    def row(self, state: State) -> NowRow:
        """Return the row of a state."""
        label, name = _LABELS[state.kind], state.name
        is_provider = state.kind == "provider"
        attempts = self._states.attempts.of(label, name)
        cost = self._cost.of(label, name)
        return NowRow(
            kind=state.kind,
            name=name,
            level=state.level,
            reasons=state.reasons,
            health=state.health,
            uptime_24h=state.uptime,
            breakers=state.breakers,
            errors=state.errors,
            p95_seconds=_p95(self._response if is_provider else self._duration, label, name),
            ttft_p95_seconds=_p95(self._first_token, label, name),
            attempts_per_minute=per(total(attempts), attempts, self._states.window, MINUTE_NS),
            usd_per_hour=per(total(cost), cost, (self._view.now_ns - COST_WINDOW_NS, self._view.now_ns), HOUR_NS),
            spark=self._spark(label, name),
            newest_failure=self._newest.of_provider(name) if is_provider else self._newest.of_model(name),
        )

    def _is_shown(self, labels: Labels) -> bool:
        return any(labels.get(label) in self._names[kind] for kind, label in _LABELS.items())

    def _spark_steps(self) -> int:
        """Return so many steps that the lookups for all series are bounded."""
        series = sum(self._is_shown(growth.labels) for growth in self._states.attempts.all)
        steps = SPARK_STEPS
        while steps * series > MOST_SPARK_VALUES and steps > _FEWEST_SPARK_STEPS:
            # Of each of these an hour is a whole number of seconds.
            steps //= 2 if steps % 2 == 0 else 3
        return max(steps, _FEWEST_SPARK_STEPS)

    def _spark(self, label: str, name: str) -> Spark:
        attempts = self._spark_attempts.of(label, name)
        return Spark(
            start=to_seconds(self._view.now_ns - self._step_ns * self._steps),
            step_seconds=self._step_ns / SECOND,
            attempts=self._by_step(attempts),
            failed=self._by_step(failed_of(attempts)),
        )

    def _by_step(self, growths: Sequence[Growth]) -> list[float | None]:
        """Return the sums by interval; None where none of the series had a sample."""
        if len(growths) == 1:
            return list(growths[0].steps)
        steps = zip(*(growth.steps for growth in growths), strict=True) if growths else ((None,),) * self._steps
        return [
            None if all(value is None for value in values) else sum(value for value in values if value is not None)
            for values in steps
        ]


def _p95(growths: ByLabel[HistogramGrowth], label: str, name: str) -> float | None:
    return distribution_quantile(P95, [growth.distribution for growth in growths.of(label, name)])


def _newest_sample(view: View) -> int | None:
    """Return the time of the newest sample of what every gateway sends with each push."""
    return max((sample.time_ns for sample in read_latest(view, http.APP_INFO)), default=None)


def read_now(view: View, part: str = "") -> Now:
    """Return the screen, of the providers and models whose name contains a text."""
    states = States(view)
    ordered = states.read(part)
    shown = ordered[:MOST_ROWS]
    rows = RowReader(view, states, shown)
    newest_ns = _newest_sample(view)
    return Now(
        at=to_seconds(view.now_ns),
        newest_sample=None if newest_ns is None else to_seconds(newest_ns),
        totals=read_totals(view),
        totals_before=read_totals_before(view),
        rows=[rows.row(state) for state in shown],
        left_out=dict(Counter(state.level for state in ordered[MOST_ROWS:])),
        basis=BASIS,
    )
