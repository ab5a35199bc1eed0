"""Checks that the target is up, and that samples arrive under their documented names, once and bounded."""

from typing import Final

from app.doctor.check_gateway import sample_names, shown
from app.doctor.check_stores import reachable
from app.doctor.facts import Facts
from app.doctor.findings import Check, Verdict, broken, ok, unknown, unused
from app.doctor.scrape import Scrape
from otel.catalogue import CATALOGUE, http

SCRAPE_JOB: Final = "gatewayz-backend"
STRATEGY: Final = "UnderscoreEscapingWithoutSuffixes"
MAX_HEAD_SERIES: Final = 2_000_000
MAX_SERIES_OF_A_NAME: Final = 100_000
_KNOWN: Final = frozenset({"target_info", *(name for spec in CATALOGUE for name in sample_names(spec))})
_NOT_REPORTED: Final = "Prometheus did not report it"


def _otlp_receiver(facts: Facts) -> Verdict:
    on = facts.prometheus.otlp_receiver
    if on is None:
        return unknown(_NOT_REPORTED)
    if on or facts.arrived("metrics"):
        return ok("on" if on else "off, and not needed: samples arrive another way")
    return broken("the OTLP receiver is off", "start Prometheus with --web.enable-otlp-receiver")


def _target(facts: Facts) -> Verdict:
    if facts.prometheus.targets is None:
        return unknown(_NOT_REPORTED)
    targets = [target for target in facts.prometheus.targets if target.job == SCRAPE_JOB]
    if not targets:
        return broken(
            f"no target of the job {SCRAPE_JOB}",
            "add the scrape job (compose/prometheus/prometheus.yml) and its targets file",
        )
    down = [target for target in targets if target.health == "down"]
    if down:
        return broken(
            f"{down[0].url} is DOWN: {down[0].error}",
            f"Prometheus must reach the gateway from where it runs: correct targets/{SCRAPE_JOB}.yml; a monitoring token goes into the job",
        )
    if any(target.health != "up" for target in targets):
        return unknown(f"{targets[0].url} was not scraped yet")
    return ok(f"{targets[0].url} is UP")


def documented_on(scrape: Scrape) -> frozenset[str]:
    """Return the documented sample names that a gateway's `/metrics` has."""
    return _KNOWN & set(scrape.samples)


def _names(facts: Facts) -> Verdict:
    stored, scrape = facts.stored, facts.gateway_after
    if scrape is None or stored is None or not stored.fresh_names:
        return unknown("nothing fresh of this gateway to look at")
    missing = sorted((documented_on(facts.gateway_before or scrape) & documented_on(scrape)) - stored.fresh_names)
    if not missing:
        return ok(f"{len(stored.fresh_names & set(scrape.samples))} sample names, as documented")
    return _renamed(facts, missing, sorted(stored.fresh_names - set(scrape.samples) - _KNOWN))


def _renamed(facts: Facts, missing: list[str], unexpected: list[str]) -> Verdict:
    suffixed = [f"{name} -> {other}" for name in missing for other in unexpected if other.startswith(f"{name}_")]
    strategy = facts.prometheus.translation_strategy
    if suffixed and strategy != STRATEGY:
        return broken(
            f"names got suffixes: {shown(suffixed)} (otlp.translation_strategy: {strategy or 'not set'})",
            f"set otlp.translation_strategy: {STRATEGY} in prometheus.yml; a remote-write exporter has the same setting",
        )
    found = f"on /metrics, but not in Prometheus: {shown(missing)}"
    if unexpected:
        found += f"; instead: {shown(unexpected)}"
    return broken(
        found,
        "a processor of the Collector renames or drops them (collector-config/metrics.yaml), or a relabelling rule of Prometheus does",
    )


def _sample(facts: Facts) -> Verdict:
    marked, stored = facts.marked, facts.stored
    if not facts.servers["prometheus"].url:
        return unused()
    if marked is None:
        return unknown("no request was sent")
    if stored is None or not stored.fresh_names:
        return broken(
            "no sample of this gateway since the request",
            "see the Collector's log for Prometheus' responses to metrics; Prometheus refuses samples that are too old or too far ahead",
        )
    if stored.marked_value is None:
        return broken(f"{http.REQUESTS} of the request is missing", "see prometheus.names")
    if facts.expected_value is not None and stored.marked_value < facts.expected_value:
        return broken(
            f"{http.REQUESTS} is {stored.marked_value:.0f} in Prometheus, {facts.expected_value:.0f} on /metrics",
            "metrics arrive late: is OTEL_METRIC_EXPORT_INTERVAL longer than --timeout, or the Collector's queue long?",
        )
    return ok(f"{http.REQUESTS} of the request is {stored.marked_value:.0f}")


def _counted_once(facts: Facts) -> Verdict:
    jobs = facts.prometheus.jobs_by_name
    if jobs is None or facts.prometheus.targets is None:
        return unknown(_NOT_REPORTED)
    scraped = {target.job for target in facts.prometheus.targets}
    twice = sorted(name for name, found in jobs.items() if scraped & set(found) and set(found) - scraped)
    if twice:
        return broken(
            f"{shown(twice)}: stored by a scrape and by the push, so that every sum doubles (jobs {shown(list(jobs[twice[0]]))})",
            f"drop the samples of the scrape job: metric_relabel_configs of {SCRAPE_JOB} in compose/prometheus/prometheus.yml;"
            " the colliding series fade out within 5 minutes",
        )
    return ok(f"{len(jobs)} names, none both scraped and pushed") if jobs else unknown("no sample of a gateway yet")


def _cardinality(facts: Facts) -> Verdict:
    series = facts.prometheus.head_series
    if series is None:
        return unknown(_NOT_REPORTED)
    large = [f"{name} ({count})" for name, count in facts.prometheus.largest_names if count > MAX_SERIES_OF_A_NAME]
    if large or series > MAX_HEAD_SERIES:
        return broken(
            f"{series} series in memory; most: {shown(large or [name for name, _ in facts.prometheus.largest_names])}",
            "find the unbounded label on /tsdb-status, drop it in the Collector or by metric_relabel_configs, shorten the retention",
        )
    return ok(f"{series} series in memory")


PROMETHEUS_CHECKS: Final[tuple[Check[Facts], ...]] = (
    Check(name="prometheus.reachable", judge=reachable("prometheus", "Prometheus")),
    Check(name="prometheus.otlp_receiver", judge=_otlp_receiver, needs=("prometheus.reachable",)),
    Check(name="prometheus.target", judge=_target, needs=("prometheus.reachable", "gateway.metrics")),
    Check(name="prometheus.names", judge=_names, needs=("prometheus.reachable", "gateway.families")),
    Check(
        name="prometheus.sample",
        judge=_sample,
        needs=(
            "prometheus.reachable",
            "prometheus.otlp_receiver",
            "gateway.request",
            "export.metrics_on",
            "export.metrics_taken",
            "collector.metrics_received",
            "collector.metrics_sent",
            "prometheus.names",
            "clock.gateway",
        ),
    ),
    Check(name="prometheus.counted_once", judge=_counted_once, needs=("prometheus.reachable",)),
    Check(name="prometheus.cardinality", judge=_cardinality, needs=("prometheus.reachable",)),
)
