"""Checks that Loki has the marked request's line, that Tempo has its trace, and that all clocks agree."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from app.counted import counted
from app.doctor.facts import Facts, Server
from app.doctor.findings import Check, Verdict, broken, ok, unknown, unused
from app.doctor.query_stores import DOCUMENTED_SELECTOR

CLOCKS: Final = ("gateway", "collector", "prometheus", "loki", "tempo", "alertmanager")


def reachable(name: str, what: str) -> Callable[[Facts], Verdict]:
    """Return a check of whether a server responds."""

    def judge(facts: Facts) -> Verdict:
        server = facts.servers[name]
        if not server.url:
            return unused()
        if not server.responds:
            return broken(
                f"{server.url}: {server.trouble}",
                f"start {what} (`make stack` or `make stack-native`), or give its address with --{name}"
                f" (`--{name} off` where it is not part of your pipeline)",
            )
        if server.status != HTTPStatus.OK:
            return broken(f"{server.url} is not ready: HTTP {server.status}", f"{what} starts, or cannot: see its log")
        return ok(f"{server.url} is ready")

    return judge


def _line(facts: Facts) -> Verdict:
    if not facts.servers["loki"].url:
        return unused()
    if facts.marked is None:
        return unknown("no request was sent")
    if facts.line is not None:
        return ok(f"found by {facts.line.selector} | json | trace_id")
    return broken(
        f"no log line of trace {facts.marked.trace_id}",
        "see the Collector's log for Loki's responses to logs; Loki refuses lines that are too old or over its limits",
    )


def _job_label(facts: Facts) -> Verdict:
    if facts.line is None:
        return unknown("no line to look at")
    if facts.line.has_job:
        return ok(f"{DOCUMENTED_SELECTOR} finds it")
    return broken(
        f'the line is in Loki, but not under job="gatewayz": found by {facts.line.selector}',
        "the resource attribute `job` of collector-config/logs.yaml (processor resource/job) or its index label in"
        " compose/loki/loki.yaml (otlp_config) is missing",
    )


def _trace(facts: Facts) -> Verdict:
    if not facts.servers["tempo"].url:
        return unused()
    if facts.marked is None:
        return unknown("no request was sent")
    if facts.trace_spans:
        return ok(f"{counted(facts.trace_spans or 0, 'span')} of trace {facts.marked.trace_id}")
    return broken(
        f"no trace {facts.marked.trace_id}",
        "see the Collector's log for Tempo's responses to traces, and whether a sampling processor drops them",
    )


def _clock(name: str) -> Callable[[Facts], Verdict]:
    def judge(facts: Facts) -> Verdict:
        skews = clock_skews(facts)
        skew = skews.get(name)
        if skew is None:
            return unknown("it sent no date") if _clock_server(facts, name).url else unused()
        if abs(skew) <= facts.max_skew_seconds:
            return ok(f"within {facts.max_skew_seconds:g} s of the local clock")
        others = [other for clock, other in skews.items() if clock != name]
        if len(others) > 1 and all(abs(other - skew) <= facts.max_skew_seconds for other in others):
            return unknown(f"{skew:+.0f} s from the local clock, like all other clocks: the local clock is wrong")
        return broken(
            f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the local clock",
            f"synchronise the clock of the {name}'s host (NTP): samples, lines and spans are stored under its time, and queries miss them",
        )

    return judge


def _own_clock(facts: Facts) -> Verdict:
    skews = clock_skews(facts)
    values = sorted(skews.values())
    middle = values[len(values) // 2] if values else 0.0
    if (
        len(values) > 1
        and abs(middle) > facts.max_skew_seconds
        and all(abs(each - middle) <= facts.max_skew_seconds for each in values)
    ):
        return broken(
            f"every other clock is {middle:+.0f} s from the local clock", "synchronise the clock of this machine (NTP)"
        )
    return ok("agrees with the others") if values else unknown("no clock to compare with")


def clock_skews(facts: Facts) -> dict[str, float]:
    """Return each server's clock minus the local one in seconds, by name, where it is known."""
    servers = {name: _clock_server(facts, name) for name in CLOCKS}
    return {name: server.skew_seconds for name, server in servers.items() if server.skew_seconds is not None}


def _clock_server(facts: Facts, name: str) -> Server:
    return facts.servers[f"{name}_health" if name == "collector" else name]


LOKI_CHECKS: Final[tuple[Check[Facts], ...]] = (
    Check(name="loki.reachable", judge=reachable("loki", "Loki")),
    Check(
        name="loki.line",
        judge=_line,
        needs=(
            "loki.reachable",
            "gateway.request",
            "export.logs_taken",
            "collector.logs_received",
            "collector.logs_sent",
            "clock.gateway",
        ),
    ),
    Check(name="loki.job_label", judge=_job_label, needs=("loki.reachable", "loki.line")),
)
TEMPO_CHECKS: Final[tuple[Check[Facts], ...]] = (
    Check(name="tempo.reachable", judge=reachable("tempo", "Tempo")),
    Check(
        name="tempo.trace",
        judge=_trace,
        needs=(
            "tempo.reachable",
            "gateway.request",
            "export.traces_taken",
            "collector.traces_received",
            "collector.traces_sent",
            "clock.gateway",
        ),
    ),
)
CLOCK_CHECKS: Final[tuple[Check[Facts], ...]] = (
    Check(name="clock.own", judge=_own_clock),
    *(Check(name=f"clock.{name}", judge=_clock(name), needs=("clock.own",)) for name in CLOCKS),
)
