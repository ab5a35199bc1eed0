"""Compares what the load driver sent with what the OTLP endpoint received, for each signal.

Metrics are cumulative, so only their last push is compared.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bench.environment import DETOUR_MODEL, DIRECT_MODEL, PRICES_USD
from bench.open_load import COMPLETION_TOKENS, PROMPT_TOKENS, Sent
from bench.otlp_endpoint import Received
from tests.harness.otlp_data import HistogramPoint, Labels

INPUT, OUTPUT = "input", "output"
SIGNALS = ("traces", "metrics", "logs")
_NANO = 1_000_000_000


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of item: how many were expected and arrived, how many of them are missing, and how many came more than once."""

    what: str
    expected: int
    arrived: int
    lost: int
    doubled: int

    @property
    def is_exact(self) -> bool:
        """Whether nothing is missing and nothing came twice."""
        return self.lost == 0 and self.doubled == 0 and self.arrived == self.expected


class MetricLine(msgspec.Struct, frozen=True, kw_only=True):
    """One series of the last push: what the driver says, and what the push says (None: not there)."""

    what: str
    counters: int
    pushed: int | None

    @property
    def is_exact(self) -> bool:
        """Whether both say the same."""
        return self.counters == self.pushed


def tallies(sent: Sequence[Sent], received: Received, output: str) -> list[Tally]:
    """Compare spans and request logs by trace id; and all spans and log records by their number and identity."""
    attempts = Counter({each.trace_id: each.attempts for each in sent})
    requests = Counter(each.trace_id for each in sent)
    all_spans, all_records = requests.total() + attempts.total(), len(written_lines(output))
    return [
        _tally("server spans", requests, received.server_spans),
        _tally("client spans", attempts, received.client_spans),
        _tally("request logs", requests, received.request_logs),
        Tally(
            what="all spans",
            expected=all_spans,
            arrived=received.spans,
            lost=max(0, all_spans - received.spans),
            doubled=received.doubled_span_ids,
        ),
        Tally(
            what="all log records",
            expected=all_records,
            arrived=received.log_records,
            lost=max(0, all_records - received.log_records),
            doubled=received.doubled_log_records,
        ),
    ]


def _tally(what: str, expected: Counter[str], arrived: Mapping[str, int]) -> Tally:
    return Tally(
        what=what,
        expected=expected.total(),
        arrived=sum(arrived.values()),
        lost=(expected - Counter(arrived)).total(),
        doubled=(Counter(arrived) - expected).total(),
    )


def metric_lines(sent: Sequence[Sent], received: Received) -> list[MetricLine]:
    """Compare the last push with the counters, series by series."""
    route = {"app_name": "gatewayz", "method": "POST", "path": "/v1/chat/completions"}
    counters: Counter[tuple[str, Labels]] = Counter()

    def add(name: str, amount: int, **labels: str) -> None:
        counters[name, tuple(sorted(labels.items()))] += amount

    for each in sent:
        model = DETOUR_MODEL if each.kind == "detour" else DIRECT_MODEL
        add("fastapi_requests_total", 1, **route, status_code=str(each.status))
        add("fastapi_responses_total", 1, **route, status_code=str(each.status))
        add("fastapi_requests_duration_seconds", 1, **route)
        add("gatewayz_attempts_per_request", 1, model=model)
        add("model_inference_requests_total", 1, provider="healthy", model=model, status="success")
        add("model_inference_duration_seconds", 1, provider="healthy", model=model)
        add("tokens_used_total", PROMPT_TOKENS, provider="healthy", model=model, token_type=INPUT)
        add("tokens_used_total", COMPLETION_TOKENS, provider="healthy", model=model, token_type=OUTPUT)
        add("gatewayz_cost_by_provider", _cost_nanousd("healthy"), provider="healthy")
        if each.kind == "detour":
            add("model_inference_requests_total", 1, provider="flaky", model=model, status="error")
    return [
        MetricLine(what=_label(name, labels), counters=amount, pushed=_pushed(received, name, labels))
        for (name, labels), amount in sorted(counters.items())
    ]


def _cost_nanousd(provider: str) -> int:
    """US dollars per million tokens are 1000 nano-US-dollars per token."""
    input_usd, output_usd = PRICES_USD[provider]
    return round(1000 * (PROMPT_TOKENS * input_usd + COMPLETION_TOKENS * output_usd))


def _pushed(received: Received, name: str, labels: Labels) -> int | None:
    point = received.metrics.get(name, {}).get(labels)
    if point is None:
        return None
    if isinstance(point, HistogramPoint):
        return point.count
    return round(point * _NANO) if name == "gatewayz_cost_by_provider" else round(point)


def _label(name: str, labels: Labels) -> str:
    shown = ", ".join(value for key, value in labels if key not in {"app_name", "method", "path"})
    return f"{name}{{{shown}}}"


def self_reported(received: Received, family: str) -> dict[str, int]:
    """Return a family of the delivery's own counters as last pushed, summed by signal."""
    totals = dict.fromkeys(SIGNALS, 0)
    for labels, value in received.metrics.get(family, {}).items():
        if isinstance(value, float):
            totals[dict(labels)["signal"]] += round(value)
    return totals


def written_lines(output: str) -> list[str]:
    """Return the log lines that the gateway wrote to stdout: each of them is also a log record to deliver."""
    return [line for line in output.splitlines() if line.startswith("{")]


def reported_lost(output: str) -> dict[str, int]:
    """Return what the gateway said at its end that it could not deliver, by signal."""
    lost = dict.fromkeys(SIGNALS, 0)
    for line in output.splitlines():
        if line.startswith("gateway: telemetry not delivered"):
            for part in line.partition(" s: ")[2].split(", "):
                count, signal = part.split()
                lost[signal] += int(count)
    return lost


def out_of_order(sent: Sequence[Sent], arrived: Iterable[str]) -> int:
    """Return how many requests arrived although a younger one is missing.

    With the oldest dropped first, that is at most the batch that was being sent, and what a batch has out of order.
    """
    known = set(arrived)
    ordered = sorted(sent, key=lambda each: each.due_seconds + each.seconds)
    missing = [position for position, each in enumerate(ordered) if each.trace_id not in known]
    if not missing:
        return 0
    return sum(each.trace_id in known for each in ordered[: missing[-1]])
