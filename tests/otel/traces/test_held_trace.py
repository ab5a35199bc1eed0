"""Spans of requests that are not sampled: exported when the request failed or was slow, dropped otherwise, always bounded."""

import itertools

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, ParentBasedTraceIdRatio
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from otel.traces.fast_tracer import FastTracer
from otel.traces.held_trace import HoldRules, TraceHold, build_hold
from otel.traces.span_parts import SpanOrigin

SECOND = 1_000_000_000
CALLER = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(0))
UNSAMPLED = set_span_in_context(NonRecordingSpan(CALLER), Context())


class Traced:
    """A tracer whose exported spans are in `exported`, on a clock that the test moves."""

    def __init__(self, rules=None, *, sampler=DEFAULT_ON, **bounds):
        self.exported = []
        self.now = 1_000 * SECOND
        self.hold = TraceHold(rules or HoldRules(), **bounds)
        origin = SpanOrigin(
            Resource({}), InstrumentationScope("s"), SpanLimits(), lambda: self.now, self.exported.append
        )
        self.tracer = FastTracer(origin, sampler, RandomIdGenerator(), self.hold)

    def server(self, context=UNSAMPLED):
        return self.tracer.start_span("GET /", context, SpanKind.SERVER)

    def below(self, span, name="work"):
        return self.tracer.start_span(name, set_span_in_context(span, Context()))

    @property
    def names(self):
        return [span.name for span in self.exported]


def test_a_failed_request_is_exported_with_all_its_spans_as_sampled_ones():
    traced = Traced()
    server = traced.server()
    child = traced.below(server)
    grandchild = traced.below(child, "deeper")
    assert not server.get_span_context().trace_flags.sampled  # what goes on to others says what the caller said
    assert not child.get_span_context().trace_flags.sampled
    grandchild.end()
    child.set_attribute("a", 1)
    child.end()
    assert traced.exported == []
    server.set_status(StatusCode.ERROR)
    server.end()
    assert traced.names == ["deeper", "work", "GET /"]
    assert all(span.context.trace_flags.sampled and span.context.trace_id == 7 for span in traced.exported)
    deeper, work, root = traced.exported
    assert (deeper.parent.span_id, work.parent.span_id, root.parent) == (
        work.context.span_id,
        root.context.span_id,
        CALLER,
    )
    assert dict(work.attributes) == {"a": 1}
    assert traced.hold.spans == 0


@pytest.mark.parametrize(
    ("rules", "seconds", "failed", "exported"),
    [
        (HoldRules(), 100, False, False),
        (HoldRules(), 0, True, True),
        (HoldRules(failed=False, slower_than_seconds=2.5), 0, True, False),
        (HoldRules(failed=False, slower_than_seconds=2.5), 2, False, False),
        (HoldRules(failed=False, slower_than_seconds=2.5), 3, False, True),
        (HoldRules(slower_than_seconds=2.5), 3, True, True),
    ],
)
def test_the_rules_decide_at_the_end_of_the_server_span(rules, seconds, failed, exported):
    traced = Traced(rules)
    server = traced.server()
    traced.below(server).end()
    traced.now += seconds * SECOND
    if failed:
        server.set_status(StatusCode.ERROR)
    server.end()
    assert traced.names == (["work", "GET /"] if exported else [])
    assert traced.hold.spans == 0


@pytest.mark.parametrize("failed", [True, False])
def test_spans_that_end_or_begin_later_share_the_decision(failed):
    traced = Traced()
    server = traced.server()
    late = traced.below(server, "late")
    if failed:
        server.set_status(StatusCode.ERROR)
    server.end()
    later = traced.below(server, "later")
    assert later.is_recording() is failed
    late.end()
    later.end()
    assert traced.names == (["GET /", "late", "later"] if failed else [])
    assert traced.hold.spans == 0


def test_one_trace_holds_a_bounded_number_of_spans_and_counts_the_others():
    traced = Traced(max_spans_of_a_trace=3)
    server = traced.server()
    for _ in range(10):
        traced.below(server).end()
    server.set_status(StatusCode.ERROR)
    server.end()
    assert traced.names == ["work"] * 3 + ["GET /"]
    assert traced.hold.dropped == 7


def test_all_traces_together_hold_a_bounded_number_and_none_loses_its_server_span():
    traced = Traced(max_spans=5)
    servers = [traced.server() for _ in range(4)]
    for server in servers:
        for _ in range(2):
            traced.below(server).end()
    assert traced.hold.spans == 5
    for server in servers:
        server.set_status(StatusCode.ERROR)
        server.end()
    assert traced.names.count("GET /") == 4
    assert traced.names.count("work") == 5
    assert (traced.hold.dropped, traced.hold.spans) == (3, 0)


def test_what_a_dropped_trace_lacked_is_no_loss():
    traced = Traced(max_spans_of_a_trace=0)
    server = traced.server()
    traced.below(server).end()
    server.end()
    assert (traced.exported, traced.hold.dropped) == ([], 0)


def test_a_sampled_request_and_spans_without_a_request_are_not_held():
    traced = Traced(sampler=ParentBasedTraceIdRatio(0.0))
    sampled = set_span_in_context(
        NonRecordingSpan(SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(1))), Context()
    )
    span = traced.server(sampled)
    assert span.held is None
    span.end()
    assert traced.names == ["GET /"]
    assert not traced.tracer.start_span("job", Context()).is_recording()
    assert traced.server(Context()).is_recording()  # a ratio left it out: it may fail as well


def test_nothing_is_held_where_nothing_can_come_of_it():
    samplers = ("parentbased_always_on", "parentbased_traceidratio", "traceidratio", "always_on")
    assert all(build_hold(HoldRules(), sampler, 1) is not None for sampler in samplers)
    nothing = HoldRules(failed=False)
    for rules, sampler, sinks in itertools.chain(
        [(nothing, "parentbased_always_on", 1), (HoldRules(), "parentbased_always_on", 0)],
        [(HoldRules(), sampler, 1) for sampler in ("always_off", "parentbased_always_off")],
    ):
        assert build_hold(rules, sampler, sinks) is None
