"""Makes the multi-window, multi-burn-rate rules of each objective, as text of a Prometheus rule file.

The method and the factors are those of the SRE workbook (chapter 5, "Alerting on SLOs"): a burn rate
of 1 uses up the budget of 30 days in 30 days. Windows longer than five minutes are averages of the
recorded five-minute rates, weighted by traffic, so that no rule reads raw series over days.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from dashboards.alerting.settings import Settings
from otel.catalogue import business, http, inference

GENERATED: Final = "slo.yml"

_HEADER: Final = """\
# Generated from settings.toml by `python -m dashboards.alerting`; do not edit. What each rule means: docs/alerts.md.
#
# slo:budget_burn:rateW is the burn rate over the window W: 1 uses up the budget of 30 days in 30 days. Without traffic it is NaN
# or absent, and no alert fires.
groups:
"""
_LONGER_WINDOWS: Final = ("30m", "1h", "6h", "3d")
_PERIOD_SECONDS: Final = 30 * 86_400


class _Pair(msgspec.Struct, frozen=True):
    """Two windows that must both burn: the long one proves the loss, the short one that it goes on."""

    short: str
    long: str
    factor: float


_PAIRS: Final = {
    "critical": (_Pair("5m", "1h", 14.4), _Pair("30m", "6h", 6.0)),
    "warning": (_Pair("6h", "3d", 1.0),),
}
"""By severity: 2 % of the budget in an hour or 5 % in six hours; 10 % in three days."""


class _Objective(msgspec.Struct, frozen=True, kw_only=True):
    """One objective: what spends its budget, out of what, and the words of its alert.

    `bad` and `events` are rates; without `events` the budget is an amount. `bad_count` is the number of failures in
    `WINDOW`, where an alert needs some.
    """

    slo: str
    alert: str
    team: str
    bad: str
    events: str | None
    bad_count: str | None
    budget: float
    summary: str
    spent: str


def slo_rules(settings: Settings) -> str:
    """Return the text of the rule file."""
    return _HEADER + "\n".join(_group(objective, settings) for objective in _objectives(settings))


def _objectives(settings: Settings) -> Iterator[_Objective]:
    requests = f"sum(rate({http.REQUESTS}[5m]))"
    yield _Objective(
        slo="availability",
        alert="AvailabilityBudgetBurn",
        team="gateway",
        bad=f'sum(rate({http.REQUESTS}{{status_code=~"5.."}}[5m])) or on () 0 * slo:events:rate5m{{slo="availability"}}',
        events=requests,
        bad_count=f'sum(increase({http.REQUESTS}{{status_code=~"5.."}}[WINDOW]))',
        budget=_rounded(1.0 - settings.availability.objective),
        summary=f"Requests fail too often for {settings.availability.objective:.4g} availability",
        spent="The failures that 30 days may have",
    )
    streams = f"sum(rate({inference.TIME_TO_FIRST_TOKEN}_count[5m]))"
    in_time = f"{inference.TIME_TO_FIRST_TOKEN}_bucket{{{_bound(settings.first_token.within_seconds)}}}"
    yield _Objective(
        slo="first_token",
        alert="FirstTokenBudgetBurn",
        team="gateway",
        bad=f"{streams} - sum(rate({in_time}[5m]))",
        events=streams,
        bad_count=f"sum(increase({inference.TIME_TO_FIRST_TOKEN}_count[WINDOW])) - sum(increase({in_time}[WINDOW]))",
        budget=_rounded(1.0 - settings.first_token.objective),
        summary=f"Too many first tokens take longer than {settings.first_token.within_seconds:g} s",
        spent="The late first tokens that 30 days may have",
    )
    yield _Objective(
        slo="cost",
        alert="CostBudgetBurn",
        team="billing",
        bad=f"sum(rate({business.PROVIDER_COST}[5m]))",
        events=None,
        bad_count=None,
        budget=settings.cost.usd_per_30_days,
        summary=f"Providers charge too much for {settings.cost.usd_per_30_days:g} USD in 30 days",
        spent="The USD of 30 days",
    )


def _bound(seconds: float) -> str:
    """Return the matcher of a bucket: a whole number is `2` where it came by OTLP, and `2.0` in a scrape."""
    return f'le=~"{seconds:g}|{seconds:.1f}"' if seconds.is_integer() else f'le="{seconds:g}"'


def _rounded(share: float) -> float:
    """Return a share without the rounding error of a subtraction."""
    return round(share, 10)


def _group(objective: _Objective, settings: Settings) -> str:
    lines = [f"  - name: slo_{objective.slo}", "    interval: 30s", "    rules:"]
    if objective.events is not None:
        lines += _record("slo:events:rate5m", objective.events, objective.slo)
    lines += _record("slo:bad_events:rate5m", objective.bad, objective.slo)
    for window in ("5m", *_LONGER_WINDOWS):
        lines += _record(f"slo:budget_burn:rate{window}", _burn(objective, window), objective.slo)
    for severity, pairs in _PAIRS.items():
        lines += _alert(objective, severity, pairs, settings)
    lines += [f"  - name: slo_{objective.slo}_budget", "    interval: 5m", "    rules:"]
    lines += _record("slo:budget_remaining:ratio30d", _remaining(objective), objective.slo)
    return "\n".join(lines) + "\n"


def _record(name: str, expression: str, slo: str) -> list[str]:
    return [f"      - record: {name}", f"        expr: {expression}", f"        labels: {{ slo: {slo} }}"]


def _mean(metric: str, slo: str, window: str) -> str:
    selected = f'slo:{metric}:rate5m{{slo="{slo}"}}'
    return selected if window == "5m" else f"avg_over_time({selected}[{window}])"


def _burn(objective: _Objective, window: str) -> str:
    bad = _mean("bad_events", objective.slo, window)
    if objective.events is None:
        return f"{bad} * {_PERIOD_SECONDS} / {objective.budget:.10g}"
    return f"{bad} / {_mean('events', objective.slo, window)} / {objective.budget:.10g}"


def _remaining(objective: _Objective) -> str:
    if objective.events is None:  # a sum: what was not spent yet is not spent
        return f"1 - sum(increase({business.PROVIDER_COST}[30d])) / {objective.budget:.10g}"
    return f"1 - {_burn(objective, '30d')}"


def _alert(objective: _Objective, severity: str, pairs: tuple[_Pair, ...], settings: Settings) -> list[str]:
    conditions = [_condition(objective, pair, settings.guard.least_bad_events) for pair in pairs]
    body = "\n          or\n".join(conditions)
    return [
        f"      - alert: {objective.alert}",
        "        expr: |",
        body,
        f"        labels: {{ severity: {severity}, team: {objective.team} }}",
        "        annotations:",
        f'          summary: "{objective.summary}"',
        f'          description: "{objective.spent} are used up {{{{ $value | printf \\"%.1f\\" }}}} times too fast."',
        f"          runbook_url: {settings.runbook_base_url}{objective.alert}.md",
    ]


def _condition(objective: _Objective, pair: _Pair, least: int) -> str:
    slo = objective.slo
    burning = [f'slo:budget_burn:rate{window}{{slo="{slo}"}} > {pair.factor:g}' for window in (pair.long, pair.short)]
    inner = "\n            and\n".join(f"            {each}" for each in burning)
    if objective.bad_count is not None:
        inner += f"\n            and on ()\n            {objective.bad_count.replace('WINDOW', pair.long)} > {least}"
    return f"          (\n{inner}\n          )"
