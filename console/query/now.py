"""The screen Now: a row per provider and per model, the worst first."""

from collections.abc import Sequence
from typing import Final

from console.query.by_label import ByLabel
from console.query.faults import fault_of
from console.query.gauges import latest_by, read_latest
from console.query.growth import Growth, read_growth, total, total_by
from console.query.health import breakers_of, health_of, level_of, own_failure_share
from console.query.histogram_growth import HistogramGrowth, distribution_quantile, read_histogram_growth
from console.query.newest_failures import NewestFailures
from console.query.now_basis import BASIS
from console.query.now_totals import (
    COST_WINDOW_NS,
    HOUR_NS,
    MINUTE_NS,
    P95,
    WINDOW_NS,
    per,
    read_totals,
    read_totals_before,
)
from console.query.shapes.now import Cause, Errors, Level, Now, NowRow, Spark
from console.query.times import SECOND, to_seconds
from console.query.view import View
from otel.catalogue import causes, http, inference, money, providers, semconv

SPARK_STEP_NS: Final = 60 * SECOND
SPARK_STEPS: Final = 60

_ORDER: Final[dict[Level, int]] = {"red": 0, "amber": 1, "unknown": 2, "green": 3}
_RECENT_STEPS: Final = WINDOW_NS // SPARK_STEP_NS


class NowReader:
    """Reads what all rows need once, then makes the rows. For one response."""

    def __init__(self, view: View) -> None:
        self._view = view
        now_ns, begin_ns = view.now_ns, view.now_ns - WINDOW_NS
        self._window = (begin_ns, now_ns)
        spark = [now_ns - SPARK_STEP_NS * step for step in range(SPARK_STEPS, -1, -1)]
        self._attempts = ByLabel(read_growth(view, inference.REQUESTS, spark))
        self._failures = ByLabel(read_growth(view, causes.ATTEMPT_FAILURES, self._window))
        self._cost = ByLabel(read_growth(view, money.COST, (now_ns - COST_WINDOW_NS, now_ns)))
        self._response = ByLabel(read_histogram_growth(view, providers.RESPONSE_TIME, *self._window))
        self._duration = ByLabel(read_histogram_growth(view, inference.DURATION, *self._window))
        self._first_token = ByLabel(read_histogram_growth(view, inference.TIME_TO_FIRST_TOKEN, *self._window))
        self._breakers = ByLabel(read_latest(view, providers.BREAKER_STATE))
        self._model_breakers = ByLabel(read_latest(view, providers.MODEL_BREAKER_STATE))
        self._uptime = latest_by(read_latest(view, inference.UPTIME), semconv.MODEL)
        self._health = health_of(view)
        self._newest = NewestFailures(view)

    def read(self) -> Now:
        """Return the screen."""
        rows = [self._provider(name) for name in self._names(semconv.PROVIDER)]
        rows += [self._model(name) for name in self._names(semconv.MODEL)]
        rows.sort(key=_place)
        newest_ns = _newest_sample(self._view)
        return Now(
            at=to_seconds(self._view.now_ns),
            newest_sample=None if newest_ns is None else to_seconds(newest_ns),
            totals=read_totals(self._view),
            totals_before=read_totals_before(self._view),
            rows=rows,
            basis=BASIS,
        )

    def _names(self, label: str) -> list[str]:
        known = set(self._attempts.names(label))
        if label == semconv.PROVIDER:
            known |= set(self._health)
            known |= set(self._breakers.names(label))
        else:
            known |= set(self._uptime) | set(self._model_breakers.names(label))
        return sorted(known - {""})

    def _provider(self, name: str) -> NowRow:
        health = self._health.get(name)
        breakers = breakers_of(
            self._breakers.of(semconv.PROVIDER, name), self._model_breakers.of(semconv.PROVIDER, name), provider=name
        )
        errors, spark = self._errors(semconv.PROVIDER, name), self._spark(semconv.PROVIDER, name)
        level, reasons = level_of(errors, breakers, health, uptime=None)
        return NowRow(
            kind="provider",
            name=name,
            level=level,
            reasons=reasons,
            health=health,
            uptime_24h=None,
            breakers=breakers,
            errors=errors,
            p95_seconds=_p95(self._response, semconv.PROVIDER, name),
            ttft_p95_seconds=_p95(self._first_token, semconv.PROVIDER, name),
            attempts_per_minute=self._per_minute(semconv.PROVIDER, name),
            usd_per_hour=self._usd_per_hour(semconv.PROVIDER, name),
            spark=spark,
            newest_failure=self._newest.of_provider(name),
        )

    def _model(self, name: str) -> NowRow:
        uptime = min((sample.value for sample in self._uptime.get(name, ())), default=None)
        breakers = breakers_of((), self._model_breakers.of(semconv.MODEL, name), model=name)
        errors, spark = self._errors(semconv.MODEL, name), self._spark(semconv.MODEL, name)
        level, reasons = level_of(errors, breakers, None, uptime=uptime)
        return NowRow(
            kind="model",
            name=name,
            level=level,
            reasons=reasons,
            health=None,
            uptime_24h=uptime,
            breakers=breakers,
            errors=errors,
            p95_seconds=_p95(self._duration, semconv.MODEL, name),
            ttft_p95_seconds=_p95(self._first_token, semconv.MODEL, name),
            attempts_per_minute=self._per_minute(semconv.MODEL, name),
            usd_per_hour=self._usd_per_hour(semconv.MODEL, name),
            spark=spark,
            newest_failure=self._newest.of_model(name),
        )

    def _errors(self, label: str, name: str) -> Errors:
        growths = self._attempts.of(label, name)
        attempts, failed = _recent(growths), _recent(_with(growths, semconv.STATUS, "error"))
        if attempts is not None and failed is None:
            failed = 0.0
        by_kind = total_by(self._failures.of(label, name), semconv.ERROR_KIND)
        found = [
            Cause(error_kind=kind, fault=fault_of(kind), count=count, share=count / attempts if attempts else None)
            for kind, count in by_kind.items()
            if count > 0
        ]
        found.sort(key=lambda cause: (-cause.count, cause.error_kind))
        rate = failed / attempts if attempts and failed is not None else None
        return Errors(attempts=attempts, failed=failed, rate=rate, by_cause=found)

    def _spark(self, label: str, name: str) -> Spark:
        attempts = self._attempts.of(label, name)
        return Spark(
            start=to_seconds(self._view.now_ns - SPARK_STEP_NS * SPARK_STEPS),
            step_seconds=SPARK_STEP_NS / SECOND,
            attempts=_by_step(attempts),
            failed=_by_step(_with(attempts, semconv.STATUS, "error")),
        )

    def _per_minute(self, label: str, name: str) -> float | None:
        attempts = self._attempts.of(label, name)
        return per(_recent(attempts), attempts, self._window, MINUTE_NS)

    def _usd_per_hour(self, label: str, name: str) -> float | None:
        cost = self._cost.of(label, name)
        return per(total(cost), cost, (self._view.now_ns - COST_WINDOW_NS, self._view.now_ns), HOUR_NS)


def _place(row: NowRow) -> tuple[int, bool, int, str]:
    """Return the place of a row: the level, providers before models, an open breaker and then the most own failures first.

    The share of failures counts in tenths, so that rows do not change places with each refresh.
    """
    is_open = any(breaker.state == "open" for breaker in row.breakers)
    share = 1.0 if is_open else own_failure_share(row.errors) or 0.0
    return _ORDER[row.level], row.kind != "provider", -int(share * 10), row.name


def _with(growths: Sequence[Growth], label: str, value: str) -> list[Growth]:
    return [growth for growth in growths if growth.labels.get(label) == value]


def _by_step(growths: Sequence[Growth]) -> list[float | None]:
    """Return the sums by interval; None where none of the series had a sample."""
    if len(growths) == 1:
        return list(growths[0].steps)
    return [
        None if all(value is None for value in values) else sum(value for value in values if value is not None)
        for values in (zip(*(growth.steps for growth in growths), strict=True) if growths else ((None,),) * SPARK_STEPS)
    ]


def _recent(growths: Sequence[Growth]) -> float | None:
    """Return what was counted in the last intervals, which are the window of the other numbers."""
    steps = [step for growth in growths for step in growth.steps[-_RECENT_STEPS:] if step is not None]
    return sum(steps) if steps else None


def _p95(growths: ByLabel[HistogramGrowth], label: str, name: str) -> float | None:
    return distribution_quantile(P95, [growth.distribution for growth in growths.of(label, name)])


def _newest_sample(view: View) -> int | None:
    """Return the time of the newest sample of what every gateway sends with each push."""
    return max((sample.time_ns for sample in read_latest(view, http.APP_INFO)), default=None)


def read_now(view: View) -> Now:
    """Return the screen."""
    return NowReader(view).read()
