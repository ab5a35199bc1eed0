"""Gauges computed from the database; a value that is unknown has no series.

The configured models and plans bound the labels. The sources run in the thread that collects.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from app.gateway.budgets.budgets import PlanReading
from app.jobs.gauges import Observe
from app.jobs.published import Published
from app.store.business import BusinessCounts
from app.store.uptime import ModelUsage
from otel.catalogue import business, inference, money, semconv
from otel.events.usage import NANO
from otel.metrics.instruments import Sample


def observe_keys(observe: Observe, counts: Published[BusinessCounts], plans: Collection[str]) -> None:
    """Register the business gauges. A configured plan without a subscription has the value 0; other plans are summed as `other`."""

    def subscriptions() -> Iterable[Sample]:
        known = counts.read()
        if known is None:
            return []
        by_plan = dict.fromkeys(plans, 0)
        for plan, count in known.subscriptions.items():
            label = plan if plan in plans else semconv.OTHER
            by_plan[label] = by_plan.get(label, 0) + count
        return [(count, {semconv.PLAN: plan}) for plan, count in by_plan.items()]

    def number(value: Callable[[BusinessCounts], int]) -> Callable[[], Iterable[Sample]]:
        return lambda: [] if (known := counts.read()) is None else [(value(known), {})]

    observe(business.ACTIVE_API_KEYS, number(lambda known: known.active_keys))
    observe(business.ACTIVE_TRIALS, number(lambda known: known.active_trials))
    observe(business.SUBSCRIPTIONS, subscriptions)


def observe_budgets(observe: Observe, read: Callable[[], Iterable[PlanReading]]) -> None:
    """Register the gauges of the plans' budgets."""

    def labels(reading: PlanReading) -> dict[str, str]:
        account = reading.budget.account
        return {semconv.PLAN: account.owner_id, semconv.BUDGET_PERIOD: account.period}

    def limits() -> Iterable[Sample]:
        return [(reading.budget.limit_nanousd / NANO, labels(reading)) for reading in read()]

    def remaining() -> Iterable[Sample]:
        return [
            (reading.left_nanousd / NANO, labels(reading)) for reading in read() if reading.left_nanousd is not None
        ]

    observe(money.BUDGET_LIMIT, limits)
    observe(money.BUDGET_REMAINING, remaining)


def observe_models(observe: Observe, records: Published[Mapping[str, ModelUsage]], models: Collection[str]) -> None:
    """Register the gauges per model; models that are no longer configured are left out."""

    def each(value: Callable[[ModelUsage], float | None]) -> Callable[[], Iterable[Sample]]:
        def source() -> Iterable[Sample]:
            return [
                (known, {semconv.MODEL: model})
                for model, record in (records.read() or {}).items()
                if model in models and (known := value(record)) is not None
            ]

        return source

    observe(inference.UPTIME, each(lambda record: record.uptime))
    observe(inference.TOKEN_EFFICIENCY, each(lambda record: record.token_efficiency))
