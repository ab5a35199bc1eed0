"""Checks that the Collector listens, has a pipeline for each signal, receives, and exports what it received."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from app.doctor.check_export import refuses_for_now
from app.doctor.facts import COLLECTED_AS, STORES, Facts
from app.doctor.findings import Check, Verdict, broken, ok, unknown, unused
from app.doctor.settings import SIGNALS
from otel.catalogue import self_telemetry
from otel.config.otlp import Signal

_FULL_SHARE: Final = 0.9
_HALF: Final = 0.5
_NO_METRICS: Final = "the Collector's own metrics are not served (--collector-metrics)"


def _reachable(facts: Facts) -> Verdict:
    server = facts.servers["collector_health"]
    responses = [response for response in facts.otlp.values() if not response.is_silent]
    if not facts.otlp and not server.url and facts.collector_after is None:
        return unused()
    if server.responds or facts.collector_after is not None or responses:
        return ok("it responds")
    tried = [f"health {server.url}: {server.trouble}"] if server.url else []
    if facts.otlp:
        tried.append(f"OTLP {facts.otlp['traces'].address}: {facts.otlp['traces'].reason}")
    return broken(
        "; ".join(tried),
        "start the Collector (`make stack` or `make stack-native`), or give its addresses with --otlp and --collector-health"
        " (`--otlp off` where there is no pipeline, as beside `gatewayz serve --console`)",
    )


def _otlp(facts: Facts) -> Verdict:
    if not facts.otlp:
        return unused()
    silent = [signal for signal in SIGNALS if facts.otlp[signal].is_silent]
    if silent:
        response = facts.otlp[silent[0]]
        return broken(
            f"no OTLP at {response.address}: {response.reason}",
            "the address or protocol is wrong: the Collector takes OTLP over HTTP on 4318 and over gRPC on 4317;"
            " correct --otlp or OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL",
        )
    if all(facts.otlp[signal].has_no_pipeline for signal in SIGNALS):
        return broken(
            f"{facts.otlp['traces'].address} is not an OTLP endpoint: {facts.otlp['traces'].reason}",
            "something else listens there: give the Collector's address with --otlp or OTEL_EXPORTER_OTLP_ENDPOINT",
        )
    token = ", which requires a token" if facts.otlp_needs_token else ""
    return ok(f"OTLP at {facts.otlp['traces'].address}{token}")


def _pipeline(signal: Signal) -> Callable[[Facts], Verdict]:
    def judge(facts: Facts) -> Verdict:
        response = facts.otlp.get(signal)
        if response is None:
            return unused()
        if response.accepted:
            return ok("an export is accepted")
        if response.has_no_pipeline:
            return broken(
                f"the Collector accepts no {signal}: {response.reason}",
                f"its configuration has no pipeline for {signal}: start it with --config=collector-config/{signal}.yaml as well",
            )
        return unknown(f"an export failed: {response.reason}")

    return judge


def _receives(signal: Signal) -> Callable[[Facts], Verdict]:
    def judge(facts: Facts) -> Verdict:
        accepted = facts.collector_growth("receiver_accepted", signal)
        if accepted > 0 or facts.arrived(signal):
            return ok(f"{accepted:.0f} {COLLECTED_AS[signal]} meanwhile")
        if facts.collector_after is None:
            return unknown(_NO_METRICS)
        if refuses_for_now(facts, signal):
            return broken(
                f"the Collector refuses {signal} for now",
                "it is short of memory: raise COLLECTOR_MEMORY_MIB, or see its log",
            )
        if facts.gateway_growth(self_telemetry.EXPORTED, signal=signal) > 0:
            return broken(
                f"the gateway's {signal} are accepted, but not by this Collector",
                "the gateway sends to another one: compare its OTEL_EXPORTER_OTLP_ENDPOINT with --otlp and --collector-metrics",
            )
        return unknown("nothing came meanwhile")

    return judge


def _sends(signal: Signal) -> Callable[[Facts], Verdict]:
    def judge(facts: Facts) -> Verdict:
        after = facts.collector_after
        if after is None:
            return ok("they arrive") if facts.arrived(signal) else unknown(_NO_METRICS)
        failed = facts.collector_growth("exporter_send_failed", signal)
        queue_failed = facts.collector_growth("exporter_enqueue_failed", signal)
        waiting, capacity = _queue(facts, signal)
        items = COLLECTED_AS[signal]
        if queue_failed > 0 or (capacity and waiting >= capacity * _FULL_SHARE):
            return _full(signal, waiting, capacity, queue_failed)
        if failed > 0:
            return broken(
                f"{STORES[signal]} refused {failed:.0f} {items} permanently: the Collector dropped them",
                f"the Collector's log quotes the response of {STORES[signal]}; check the exporter's endpoint in"
                f" collector-config/{signal}.yaml and the limits of {STORES[signal]}",
            )
        sent = facts.collector_growth("exporter_sent", signal)
        if sent > 0 or facts.arrived(signal):
            return ok(f"{sent:.0f} {items} meanwhile; {waiting:.0f} of {capacity:.0f} of the queue is used")
        if facts.collector_growth("receiver_accepted", signal) > 0:
            return broken(
                f"{signal} come into the Collector and do not leave it; {waiting:.0f} of {capacity:.0f} of the queue is used",
                f"{STORES[signal]} does not accept them, or the pipeline drops them: see the Collector's log, the exporter's endpoint and"
                f" the processors in collector-config/{signal}.yaml",
            )
        return unknown("nothing came in meanwhile")

    return judge


def _full(signal: Signal, waiting: float, capacity: float, refused: float) -> Verdict:
    if waiting < capacity * _HALF:
        return broken(
            f"the queue to {STORES[signal]} refused {refused:.0f} {COLLECTED_AS[signal]} with {waiting:.0f} of {capacity:.0f} used",
            f"a request larger than what is left of it, or a full disk: raise sending_queue.queue_size in collector-config/{signal}.yaml,"
            " and see the Collector's log",
        )
    return broken(
        f"the queue to {STORES[signal]} is full: {waiting:.0f} of {capacity:.0f} used, {refused:.0f} {COLLECTED_AS[signal]} refused",
        f"{STORES[signal]} accepts too little: the Collector's log quotes its responses; a longer outage needs a larger"
        f" sending_queue.queue_size in collector-config/{signal}.yaml",
    )


def _queue(facts: Facts, signal: Signal) -> tuple[float, float]:
    """Return how much waits in the signal's queues, and their capacity, each of the fullest."""
    after = facts.collector_after
    if after is None:
        return 0.0, 0.0
    by_exporter = {
        each.labels.get("exporter"): each.value
        for each in after.matching("otelcol_exporter_queue_size")
        if each.labels.get("data_type", signal) == signal
    }
    if not by_exporter:
        return 0.0, 0.0
    fullest = max(by_exporter, key=lambda name: by_exporter[name])
    capacity = [
        each.value
        for each in after.matching("otelcol_exporter_queue_capacity")
        if each.labels.get("exporter") == fullest and each.labels.get("data_type", signal) == signal
    ]
    return by_exporter[fullest], capacity[0] if capacity else 0.0


def _healthy(facts: Facts) -> Verdict:
    server = facts.servers["collector_health"]
    if not server.url:
        return unused()
    if server.status == HTTPStatus.OK:
        return ok(f"{server.url} reports it")
    found = f"HTTP {server.status}" if server.responds else server.trouble
    return broken(
        f"{server.url}: {found}",
        "the Collector's log names the unhealthy part; --collector-health gives the address of its health check",
    )


COLLECTOR_CHECKS: Final[tuple[Check[Facts], ...]] = (
    Check(name="collector.reachable", judge=_reachable),
    Check(name="collector.otlp", judge=_otlp, needs=("collector.reachable",)),
    *(
        Check(
            name=f"collector.{signal}_pipeline",
            judge=_pipeline(signal),
            needs=("collector.otlp", "collector.reachable"),
        )
        for signal in SIGNALS
    ),
    *(
        Check(
            name=f"collector.{signal}_received",
            judge=_receives(signal),
            needs=(f"export.{signal}_taken", f"collector.{signal}_sent"),
        )
        for signal in SIGNALS
    ),
    *(
        Check(
            name=f"collector.{signal}_sent",
            judge=_sends(signal),
            needs=(
                "collector.reachable",
                f"{STORES[signal]}.reachable",
                *(("prometheus.otlp_receiver",) if signal == "metrics" else ()),
            ),
        )
        for signal in SIGNALS
    ),
    Check(
        name="collector.healthy",
        judge=_healthy,
        needs=(
            "collector.reachable",
            *(f"{STORES[signal]}.reachable" for signal in SIGNALS),
            *(f"collector.{signal}_sent" for signal in SIGNALS),
        ),
    ),
)
"""Receiving needs sending: a full queue is refused at the receiver."""
