"""Checks that the gateway responds, is ready, exposes the catalogue with bounded labels, and served the marked request."""

from collections import Counter
from http import HTTPStatus
from typing import Any, Final

import msgspec

from app.doctor.facts import Facts, Marked
from app.doctor.findings import Check, Verdict, broken, ok, unknown
from app.doctor.scrape import Scrape
from app.doctor.web import read_json
from otel.catalogue import CATALOGUE, http, money, self_telemetry
from otel.catalogue.spec import Kind, MetricSpec

MAX_SERIES: Final = 100_000
MAX_LABEL_VALUES: Final = 500
"""Of one label of one family: more than that is not a bounded set."""

_UNAUTHORIZED: Final = frozenset({401, 403})
_MAX_SHOWN: Final = 5
_AFTER_A_REQUEST: Final = (http.REQUESTS, http.RESPONSES, http.REQUEST_DURATION)


def shown(names: list[str]) -> str:
    """Join the first few names."""
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(names[:_MAX_SHOWN]) + more


def sample_names(spec: MetricSpec) -> tuple[str, ...]:
    """Return the sample names of a family."""
    if spec.kind is Kind.HISTOGRAM:
        return tuple(f"{spec.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
    return (spec.name,)


class _Ready(msgspec.Struct):
    """What is read of `/health/ready`."""

    dependencies: dict[str, Any] = {}


def _reachable(facts: Facts) -> Verdict:
    server = facts.servers["gateway"]
    if server.responds:
        return ok(f"{server.url} responds")
    return broken(
        f"{server.url}: {server.trouble}",
        "start the gateway (`gatewayz serve`), or give its address with --gateway",
    )


def _ready(facts: Facts) -> Verdict:
    server = facts.servers["gateway_ready"]
    if server.status is None:
        return unknown(server.trouble)
    document = read_json(server.body, _Ready) or _Ready()
    down = [
        name for name, each in document.dependencies.items() if isinstance(each, dict) and each.get("status") == "down"
    ]
    if server.status == HTTPStatus.OK and not down:
        return ok("database and cache respond")
    return broken(
        f"/health/ready returned {server.status}; down: {shown(down) or 'not reported'}",
        "check the URL under [database] or [cache] of the configuration, and that the server behind it runs",
    )


def _metrics(facts: Facts) -> Verdict:
    if facts.gateway_after is not None:
        return ok(f"/metrics has {facts.gateway_after.series} series")
    status = facts.metrics.status
    if status == HTTPStatus.FORBIDDEN:
        return broken(
            f"/metrics returned {status}",
            "the gateway listens beyond loopback and has no monitoring token: set monitoring.token_env, or monitoring.open = true",
        )
    if status in _UNAUTHORIZED:
        return broken(
            f"/metrics returned {status}",
            "it requires the monitoring token: put it into GATEWAYZ_DOCTOR_METRICS_TOKEN, and into Prometheus' scrape job",
        )
    return broken(
        f"/metrics: {facts.metrics.trouble or f'HTTP {status}'}",
        "is this the gateway? See its log; try `curl http://…/prometheus/metrics/all | head -20`",
    )


def always_exposed(*, after_a_request: bool) -> list[str]:
    """Return the families that every gateway exposes, whatever its configuration and traffic."""
    return [
        spec.name
        for spec in CATALOGUE
        if spec.name == http.APP_INFO
        or (spec.starts_at_zero and all(label.values for label in spec.labels))
        or (after_a_request and spec.name in _AFTER_A_REQUEST)
    ]


def _families(facts: Facts) -> Verdict:
    scrape = facts.gateway_after
    if scrape is None:
        return unknown("no metrics to look at")
    if not scrape.samples:
        return broken(
            "/metrics is empty",
            "telemetry is off: set telemetry.enabled = true in the configuration and remove OTEL_SDK_DISABLED",
        )
    served = facts.marked is not None and facts.marked.status is not None
    wanted = {spec.name: spec for spec in CATALOGUE}
    missing = [name for name in always_exposed(after_a_request=served) if name not in scrape.types]
    if missing and set(missing) <= set(_AFTER_A_REQUEST) and not facts.is_newer_than_the_request:
        return unknown("/metrics still shows a collection from before the request: monitoring.share_seconds is long")
    if missing:
        unexpected = sorted(set(scrape.types) - set(wanted))
        return broken(
            f"not on /metrics: {shown(missing)}" + (f"; instead: {shown(unexpected)}" if unexpected else ""),
            "a view renames or drops them: otel/catalogue/ and otel/metrics/views.py must agree with the documented names",
        )
    wrong = [
        f"{name} is a {scrape.types[name]}, documented as {spec.kind.prometheus_type}"
        for name, spec in wanted.items()
        if scrape.types.get(name, spec.kind.prometheus_type) != spec.kind.prometheus_type
    ]
    wrong += _wrong_labels(scrape, list(wanted.values()))
    if wrong:
        return broken(shown(wrong), "the instrument and its entry in otel/catalogue/ disagree")
    return ok(
        f"{sum(name in scrape.types for name in wanted)} of {len(wanted)} catalogued families have series, as documented"
    )


def _wrong_labels(scrape: Scrape, specs: list[MetricSpec]) -> list[str]:
    found = []
    for spec in specs:
        allowed = {*spec.label_keys, *(("le",) if spec.kind is Kind.HISTOGRAM else ()), "otel_metric_overflow"}
        keys = {key for name in sample_names(spec) for each in scrape.samples.get(name, ()) for key in each.labels}
        if strange := sorted(keys - allowed):
            found.append(f"{spec.name} has the label {strange[0]}")
    return found


def _cardinality(facts: Facts) -> Verdict:
    scrape = facts.gateway_after
    if scrape is None:
        return unknown("no metrics to look at")
    overflowed = [each.labels.get("metric", "?") for each in scrape.matching(self_telemetry.OVERFLOW) if each.value > 0]
    if overflowed:
        return broken(
            f"the series limit was reached by {shown(overflowed)}: what does not fit goes into one overflow series",
            "a label takes too many values: name fewer models and providers, or raise the family's series_limit in otel/catalogue/",
        )
    many = [
        f"{name} has {count} values of {key}"
        for (name, key), count in _label_values(scrape)
        if count > MAX_LABEL_VALUES
    ]
    if many:
        return broken(
            shown(many),
            "an unbounded label (a user id, a raw path): replace it by a bounded one, or drop it in the Collector",
        )
    if scrape.series > MAX_SERIES:
        return broken(
            f"{scrape.series} series, over {MAX_SERIES}",
            "see which family has most of them on /metrics, and bound its labels",
        )
    return ok(f"{scrape.series} series; no label has over {MAX_LABEL_VALUES} values")


def _prices(facts: Facts) -> Verdict:
    scrape = facts.gateway_after
    if scrape is None:
        return unknown("no metrics to look at")
    unpriced = [
        f"{each.value:,.0f} tokens of {each.labels.get('model', '?')} at {each.labels.get('provider', '?')}"
        for each in scrape.matching(money.UNPRICED_TOKENS)
        if each.value > 0
    ]
    if unpriced:
        return broken(
            f"no price is known for {shown(unpriced)}: their cost counts as 0",
            "set input_usd_per_million and output_usd_per_million of the route (0.0 where it is free), or prices = "
            '"catalogue" of the provider; `gatewayz prices` lists every target',
        )
    return ok("every token that was used has a price")


def _label_values(scrape: Scrape) -> list[tuple[tuple[str, str], int]]:
    values: dict[tuple[str, str], set[str]] = {}
    for name, samples in scrape.samples.items():
        for sample in samples:
            for key, value in sample.labels.items():
                if key != "le":
                    values.setdefault((name, key), set()).add(value)
    return Counter({key: len(found) for key, found in values.items()}).most_common()


def _request(facts: Facts) -> Verdict:
    marked = facts.marked
    if marked is None:
        return unknown("no request was sent")
    what = f"{marked.method} {marked.path}"
    if marked.status is None:
        return broken(f"{what}: {marked.trouble}", "the gateway accepts connections but does not serve: see its log")
    if marked.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return broken(
            f"{what} returned {marked.status}, trace {marked.trace_id}",
            "see the gateway's log line of this trace; docs/gateway.md explains each status",
        )
    refusal = _refusal(marked)
    if refusal is not None:
        return refusal
    if marked.response_trace_id != marked.trace_id:
        return broken(
            f"{what} returned the trace id {marked.response_trace_id or '(none)'}, not the one that was sent",
            "telemetry is off, its OTEL_PROPAGATORS has no tracecontext, or a proxy replaces traceparent: give the gateway's own address",
        )
    without = " without a key, as it must be" if marked.status == HTTPStatus.UNAUTHORIZED else ""
    return ok(f"{what} returned {marked.status}{without}, trace {marked.trace_id}")


def _refusal(marked: Marked) -> Verdict | None:
    """What is wrong where the response is not the expected one."""
    what = f"{marked.method} {marked.path} returned {marked.status}"
    if marked.status == HTTPStatus.OK or (marked.status == HTTPStatus.UNAUTHORIZED and not marked.has_key):
        return None
    if marked.status == HTTPStatus.UNAUTHORIZED:
        return broken(
            f"{what}: the key was refused",
            "GATEWAYZ_DOCTOR_KEY (or --key) has to be a key of this gateway that is not revoked: `gatewayz keys list` shows them",
        )
    if marked.status == HTTPStatus.NOT_FOUND and marked.model is not None:
        return broken(f"{what}: there is no model {marked.model!r}", "--model takes a name that GET /v1/models lists")
    if marked.status == HTTPStatus.NOT_FOUND:
        return broken(what, "is this the gateway? Give its address with --gateway, without a path")
    if marked.status == HTTPStatus.TOO_MANY_REQUESTS:
        return broken(f"{what}: the key's limit is reached", "try again in a minute, or use a key of another plan")
    return broken(what, "see the gateway's log line of this trace; docs/gateway.md explains each status")


GATEWAY_CHECKS: Final[tuple[Check[Facts], ...]] = (
    Check(name="gateway.reachable", judge=_reachable),
    Check(name="gateway.ready", judge=_ready, needs=("gateway.reachable",)),
    Check(name="gateway.request", judge=_request, needs=("gateway.reachable", "gateway.ready", "gateway.families")),
    Check(name="gateway.metrics", judge=_metrics, needs=("gateway.reachable",)),
    Check(name="gateway.families", judge=_families, needs=("gateway.metrics",)),
    Check(name="gateway.cardinality", judge=_cardinality, needs=("gateway.metrics",)),
    Check(name="gateway.prices", judge=_prices, needs=("gateway.metrics",)),
)
