"""What decides the place of a provider or a model on the screen Now: its breakers, its health, its failures."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from console.query.by_label import ByLabel
from console.query.faults import fault_of
from console.query.gauges import latest_by, read_latest
from console.query.growth import Growth, read_growth, total, total_by
from console.query.health import breakers_of, health_of, level_of, own_failure_share
from console.query.last_samples import with_points
from console.query.now_totals import HOUR_NS, WINDOW_NS
from console.query.shapes.now import Breaker, Cause, Errors, Health, Kind, Level
from console.query.view import View
from console.store.read_metrics import read_families, read_series
from otel.catalogue import causes, inference, providers, semconv

ORDER: Final[dict[Level, int]] = {"red": 0, "amber": 1, "unknown": 2, "green": 3}


class State(NamedTuple):
    """One provider or model."""

    kind: Kind
    name: str
    level: Level
    reasons: list[str]
    health: Health | None
    uptime: float | None
    breakers: list[Breaker]
    errors: Errors

    @property
    def place(self) -> tuple[int, bool, int, str]:
        """The level, providers before models, an open breaker and then the most own failures first.

        The share of failures counts in tenths, so that rows do not change places with each refresh.
        """
        is_open = any(breaker.state == "open" for breaker in self.breakers)
        share = 1.0 if is_open else own_failure_share(self.errors) or 0.0
        return ORDER[self.level], self.kind != "provider", -int(share * 10), self.name


class States:
    """Reads what all of them need once. For one response."""

    def __init__(self, view: View) -> None:
        self.window = (view.now_ns - WINDOW_NS, view.now_ns)
        self.attempts = ByLabel(read_growth(view, inference.REQUESTS, self.window))
        self._failures = ByLabel(read_growth(view, causes.ATTEMPT_FAILURES, self.window))
        self._breakers = ByLabel(read_latest(view, providers.BREAKER_STATE))
        self._model_breakers = ByLabel(read_latest(view, providers.MODEL_BREAKER_STATE))
        self._uptime = latest_by(read_latest(view, inference.UPTIME), semconv.MODEL)
        self._health = health_of(view)
        self._attempted = _attempted(view)

    def read(self, part: str) -> list[State]:
        """Return those whose name contains a text in any case, in the order of the screen."""
        part = part.casefold()
        found = [self._provider(name) for name in self._names("provider") if part in name.casefold()]
        found += [self._model(name) for name in self._names("model") if part in name.casefold()]
        return sorted(found, key=lambda state: state.place)

    def _names(self, kind: Kind) -> Iterable[str]:
        if kind == "provider":
            others = {*self._health, *self._breakers.names(semconv.PROVIDER)}
        else:
            others = {*self._uptime, *self._model_breakers.names(semconv.MODEL)}
        return (others | self._attempted[kind]) - {""}

    def _provider(self, name: str) -> State:
        health = self._health.get(name)
        breakers = breakers_of(
            self._breakers.of(semconv.PROVIDER, name), self._model_breakers.of(semconv.PROVIDER, name), provider=name
        )
        errors = self._errors(semconv.PROVIDER, name)
        level, reasons = level_of(errors, breakers, health, uptime=None)
        return State("provider", name, level, reasons, health, None, breakers, errors)

    def _model(self, name: str) -> State:
        uptime = min((sample.value for sample in self._uptime.get(name, ())), default=None)
        breakers = breakers_of((), self._model_breakers.of(semconv.MODEL, name), model=name)
        errors = self._errors(semconv.MODEL, name)
        level, reasons = level_of(errors, breakers, None, uptime=uptime)
        return State("model", name, level, reasons, None, uptime, breakers, errors)

    def _errors(self, label: str, name: str) -> Errors:
        growths = self.attempts.of(label, name)
        attempts, failed = total(growths), total(failed_of(growths))
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


def failed_of(growths: Sequence[Growth]) -> list[Growth]:
    """Return the series of failed attempts."""
    return [growth for growth in growths if growth.labels.get(semconv.STATUS) == "error"]


def _attempted(view: View) -> dict[Kind, set[str]]:
    """Return the names that a gateway reported attempts of in the last hour."""
    found: dict[Kind, set[str]] = {"provider": set(), "model": set()}
    for family in read_families(view.connection, inference.REQUESTS):
        series = {each.id: each for each in read_series(view.connection, family.id)}
        for series_id in with_points(view.connection, series, view.now_ns - HOUR_NS, view.now_ns):
            labels = view.labels(series[series_id].attributes, series[series_id].resource_id)
            found["provider"].add(labels.get(semconv.PROVIDER, ""))
            found["model"].add(labels.get(semconv.MODEL, ""))
    return found
