"""Checks that the gateway pushes each signal and that the endpoint accepts it.

The gateway's own counters show what was exported, retried and dropped. The doctor's empty exports
show how the endpoint treats the signal. Together they distinguish a wrong address, a missing token and
a Collector that refuses.
"""

from collections.abc import Callable
from typing import Final

from app.counted import counted
from app.doctor.facts import Facts
from app.doctor.findings import Check, Verdict, broken, ok, unknown, unused
from app.doctor.settings import SIGNALS
from otel.catalogue import self_telemetry, semconv
from otel.config.otlp import Signal

_PATIENCE_SECONDS: Final = 5.0
"""What a batch may take to become due and be sent, before it counts as stuck."""

_LOSSES: Final = tuple(reason for reason in semconv.DROP_REASONS if reason != "rejected")


def is_pushed(facts: Facts, signal: Signal) -> bool | None:
    """Whether the gateway pushes a signal at all; None where that cannot be seen."""
    if facts.gateway_after is None:
        return None
    return bool(facts.gateway_after.matching(self_telemetry.EXPORTED, signal=signal))


def is_scraped_instead(facts: Facts) -> bool:
    """Whether Prometheus stores what it scrapes, and nothing is pushed."""
    return is_pushed(facts, "metrics") is False and facts.stored is not None and bool(facts.stored.fresh_names)


def _on(signal: Signal) -> Callable[[Facts], Verdict]:
    def judge(facts: Facts) -> Verdict:
        pushed = is_pushed(facts, signal)
        if pushed is None:
            return unknown("the gateway's metrics are missing")
        if pushed:
            return ok("the gateway pushes them")
        if signal == "metrics" and is_scraped_instead(facts):
            return ok("not pushed, but scraped and stored by Prometheus")
        if not facts.otlp:
            return unused(f"the gateway pushes no {signal}")
        ignored = (facts.gateway_after.total(self_telemetry.IGNORED_SETTINGS) if facts.gateway_after else None) or 0.0
        if ignored:
            return broken(
                f"the gateway pushes no {signal}, and warned of {ignored:.0f} OTEL_* settings that it cannot use",
                "its first lines on stderr name them: an endpoint or a certificate that cannot be used turns the push off",
            )
        return broken(
            f"the gateway pushes no {signal}",
            f"start it with OTEL_EXPORTER_OTLP_ENDPOINT=http://COLLECTOR:4318 and without OTEL_{signal.upper()}_EXPORTER=none",
        )

    return judge


def _delivers(signal: Signal) -> Callable[[Facts], Verdict]:
    def judge(facts: Facts) -> Verdict:
        if facts.arrived(signal):
            return ok("they arrive")
        if not is_pushed(facts, signal):
            return unknown("nothing is pushed")
        exported = facts.gateway_growth(self_telemetry.EXPORTED, signal=signal)
        rejected = facts.gateway_growth(self_telemetry.DROPPED, signal=signal, reason="rejected")
        if rejected > 0 and exported <= 0:
            return _rejected(facts, signal, rejected)
        if rejected > 0 and signal != "metrics":  # the next push replaces one that was refused
            return broken(
                f"the endpoint refuses a part of the gateway's {signal}: {rejected:.0f} of {rejected + exported:.0f} meanwhile",
                "the gateway's log names the reason: a proxy or a limit on the way that refuses by size, content or rate",
            )
        if exported > 0:
            return ok(f"the endpoint accepted {exported:.0f} since the doctor began")
        return _stuck(facts, signal)

    return judge


def _rejected(facts: Facts, signal: Signal, count: float) -> Verdict:
    found = f"the endpoint refuses the gateway's {signal} permanently ({count:.0f} dropped meanwhile)"
    if signal not in facts.otlp:
        return broken(
            found,
            "the endpoint is not an OTLP endpoint, or requires a token: the gateway's log quotes its response; correct its"
            " OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS",
        )
    if facts.otlp_needs_token:
        return broken(
            f"{found}; {facts.otlp[signal].address} requires a token",
            'give the gateway OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20TOKEN", with the token of the Collector\'s receiver',
        )
    return broken(
        f"{found}, while {facts.otlp[signal].address} accepts an export",
        "the gateway sends elsewhere: its OTEL_EXPORTER_OTLP_ENDPOINT names a server or path that accepts no OTLP;"
        " the Collector's is http://COLLECTOR:4318 (HTTP) or http://COLLECTOR:4317 (gRPC)",
    )


def _stuck(facts: Facts, signal: Signal) -> Verdict:
    after = facts.gateway_after
    queued = (after.total(self_telemetry.QUEUED_ITEMS, signal=signal) if after else None) or 0.0
    retries = facts.gateway_growth(self_telemetry.RETRIES, signal=signal)
    if refuses_for_now(facts, signal):
        return ok(f"they reach the Collector, which refuses them for now; {queued:.0f} wait in the gateway")
    if retries > 0 or (queued > 0 and facts.waited_seconds >= _PATIENCE_SECONDS):
        accepts = f"; {facts.otlp[signal].address} accepts an export" if signal in facts.otlp else ""
        return broken(
            f"the gateway's {signal} are not accepted: {queued:.0f} wait, {retries:.0f} retries failed{accepts}",
            "the gateway sends to a host or port where no Collector listens, or by the wrong protocol: correct its"
            " OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL; its log names the address and the reason",
        )
    if facts.marked is None:
        return unknown("no request was sent meanwhile")
    if signal == "metrics" or queued > 0 or facts.waited_seconds < _PATIENCE_SECONDS:
        return unknown(_not_yet(facts, signal, queued))
    if signal == "traces":
        return broken(
            "the marked request left no span to export",
            "the sampler drops it: set OTEL_TRACES_SAMPLER=parentbased_always_on or always_on",
        )
    return unknown("no log record was exported, and none waits")


def _not_yet(facts: Facts, signal: Signal, queued: float) -> str:
    if signal != "metrics":
        return f"not yet: {queued:.0f} wait for their batch"
    return (
        f"no push in {facts.waited_seconds:.0f} s: run the doctor with a --timeout above the gateway's"
        " OTEL_METRIC_EXPORT_INTERVAL (15 s unless set)"
    )


def refuses_for_now(facts: Facts, signal: Signal) -> bool:
    """Whether the Collector received the signal meanwhile and did not accept it."""
    return any(
        facts.collector_growth(kind, signal) > 0
        for kind in ("receiver_refused", "receiver_failed", "exporter_enqueue_failed")
    )


def _nothing_lost(facts: Facts) -> Verdict:
    if facts.gateway_after is None:
        return unknown("the gateway's metrics are missing")
    lost = []
    for signal in SIGNALS:
        for reason in _LOSSES:
            count = facts.gateway_growth(self_telemetry.DROPPED, signal=signal, reason=reason)
            if count > 0:
                lost.append(f"{count:.0f} {signal} ({reason})")
    if lost:
        return broken(
            f"the gateway is losing telemetry: {', '.join(lost)}",
            "its buffer overflows: bring the Collector back, or raise telemetry.buffer_bytes and OTEL_BSP_MAX_QUEUE_SIZE",
        )
    before = facts.gateway_after.total(self_telemetry.DROPPED) or 0.0
    return ok(f"nothing meanwhile; {counted(before, 'item')} since the gateway started")


EXPORT_CHECKS: Final[tuple[Check[Facts], ...]] = (
    *(Check(name=f"export.{signal}_on", judge=_on(signal), needs=("gateway.families",)) for signal in SIGNALS),
    *(
        Check(
            name=f"export.{signal}_taken",
            judge=_delivers(signal),
            needs=(
                f"export.{signal}_on",
                "gateway.request",
                "collector.reachable",
                "collector.otlp",
                f"collector.{signal}_pipeline",
            ),
        )
        for signal in SIGNALS
    ),
    Check(name="export.nothing_lost", judge=_nothing_lost, needs=("gateway.metrics", "collector.reachable")),
)
