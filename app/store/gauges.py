"""STATE GAUGES: what the database says, as metric families; a state that is not known has no series.

Comes in: published states, and the configured models and plans, which bound the labels. Goes out:
sample sources for the collecting thread.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from app.jobs.gauges import Observe
from app.jobs.published import Published
from otel.catalogue import business, inference, semconv
from otel.metrics.instruments import Sample


class KeyCounts(Protocol):
    """What is counted of the API keys."""

    @property
    def active_keys(self) -> int:
        """Keys that are neither revoked nor expired."""

    @property
    def active_trials(self) -> int:
        """Those of them that end by themselves."""

    @property
    def subscriptions(self) -> Mapping[str, int]:
        """The others, by plan."""


class ModelRecord(Protocol):
    """What is known of one model; None where there is nothing to divide by."""

    @property
    def uptime(self) -> float | None:
        """Successful share of the calls of the last 24 hours."""

    @property
    def token_efficiency(self) -> float | None:
        """Output tokens per input token."""


def observe_keys(observe: Observe, counts: Published[KeyCounts], plans: Collection[str]) -> None:
    """Register the business gauges. A configured plan without a subscription is a true 0; other plans are summed as `other`."""

    def subscriptions() -> Iterable[Sample]:
        known = counts.read()
        if known is None:
            return []
        by_plan = dict.fromkeys(plans, 0)
        for plan, count in known.subscriptions.items():
            label = plan if plan in plans else semconv.OTHER
            by_plan[label] = by_plan.get(label, 0) + count
        return [(count, {semconv.PLAN: plan}) for plan, count in by_plan.items()]

    def number(value: Callable[[KeyCounts], int]) -> Callable[[], Iterable[Sample]]:
        return lambda: [] if (known := counts.read()) is None else [(value(known), {})]

    observe(business.ACTIVE_API_KEYS, number(lambda known: known.active_keys))
    observe(business.ACTIVE_TRIALS, number(lambda known: known.active_trials))
    observe(business.SUBSCRIPTIONS, subscriptions)


def observe_models(observe: Observe, records: Published[Mapping[str, ModelRecord]], models: Collection[str]) -> None:
    """Register the gauges per model; models that are not configured any more are left out."""

    def each(value: Callable[[ModelRecord], float | None]) -> Callable[[], Iterable[Sample]]:
        def source() -> Iterable[Sample]:
            return [
                (known, {semconv.MODEL: model})
                for model, record in (records.read() or {}).items()
                if model in models and (known := value(record)) is not None
            ]

        return source

    observe(inference.UPTIME, each(lambda record: record.uptime))
    observe(inference.TOKEN_EFFICIENCY, each(lambda record: record.token_efficiency))
