"""The examples of the B3 specification, in one header and in several, and malformed headers."""

import pytest
from opentelemetry.context import Context
from opentelemetry.trace import get_current_span

from otel.config.environ import telemetry_config_from_environ
from otel.events import AttemptStarted, RequestReceived
from otel.recording.noop import DisabledRecorder
from otel.traces.b3 import B3Propagator, decided_by_caller
from otel.traces.propagation import build_propagator

TRACE_ID, SPAN_ID, PARENT = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1", "05e3ac9a4f6e3b90"
SEVERAL = {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID}


def extract(headers, *, decide=False):
    context = B3Propagator(lambda _: decide).extract(headers)
    span = get_current_span(context).get_span_context()
    return (f"{span.trace_id:032x}", f"{span.span_id:016x}", span.trace_flags.sampled) if span.is_valid else None


def injected(headers, *, multi=False):
    propagator = B3Propagator(lambda _: False, multi=multi)
    sent: dict[str, str] = {}
    propagator.inject(sent, propagator.extract(headers))
    return sent


@pytest.mark.parametrize(
    ("headers", "sampled"),
    [
        ({"b3": f"{TRACE_ID}-{SPAN_ID}-1-{PARENT}"}, True),
        ({"b3": f"{TRACE_ID}-{SPAN_ID}-1"}, True),
        ({"b3": f"{TRACE_ID}-{SPAN_ID}-0"}, False),
        ({"b3": f"{TRACE_ID}-{SPAN_ID}-d"}, True),
        ({"b3": f"{TRACE_ID.upper()}-{SPAN_ID}-1"}, True),
        ({**SEVERAL, "x-b3-sampled": "1", "x-b3-parentspanid": PARENT}, True),
        ({**SEVERAL, "x-b3-sampled": "0"}, False),
        ({**SEVERAL, "x-b3-sampled": "true"}, True),
        ({**SEVERAL, "x-b3-sampled": "False"}, False),
        ({**SEVERAL, "x-b3-flags": "1"}, True),
        ({"b3": f"{TRACE_ID}-{SPAN_ID}-0", "x-b3-traceid": "1" * 32, "x-b3-spanid": "2" * 16}, False),
        ({"b3": "nonsense", **SEVERAL, "x-b3-sampled": "1"}, True),
    ],
)
def test_both_forms_are_read_the_single_header_first(headers, sampled):
    assert extract(headers) == (TRACE_ID, SPAN_ID, sampled)


def test_a_short_trace_id_is_padded():
    assert extract({"b3": f"64fe8b2a57d3eff7-{SPAN_ID}-1"}) == ("0" * 16 + "64fe8b2a57d3eff7", SPAN_ID, True)


@pytest.mark.parametrize("headers", [{"b3": f"{TRACE_ID}-{SPAN_ID}"}, SEVERAL])
@pytest.mark.parametrize("decide", [True, False])
def test_a_deferred_decision_is_made_by_the_receiver(headers, decide):
    assert extract(headers, decide=decide) == (TRACE_ID, SPAN_ID, decide)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"b3": "0"},
        {"b3": ""},
        {"b3": TRACE_ID},
        {"b3": f"{TRACE_ID}-{SPAN_ID}-2"},
        {"b3": f"{TRACE_ID}-{SPAN_ID}-1-"},
        {"b3": f"{TRACE_ID}-{SPAN_ID}-1,{TRACE_ID}-{SPAN_ID}-1"},
        {"b3": f"{'0' * 32}-{SPAN_ID}-1"},
        {"b3": f"{TRACE_ID}-{'0' * 16}-1"},
        {"b3": f"{TRACE_ID[1:]}-{SPAN_ID}-1"},
        {"b3": f"{TRACE_ID}-{SPAN_ID}-1\n"[:-1] + "-" + "x" * 16},
        {**SEVERAL, "x-b3-sampled": "maybe"},
        {"x-b3-traceid": TRACE_ID},
        {"x-b3-spanid": SPAN_ID},
    ],
)
def test_malformed_headers_start_a_new_trace(headers):
    assert extract(headers, decide=True) is None


def test_the_headers_that_are_injected():
    one = f"{TRACE_ID}-{SPAN_ID}"
    assert injected({"b3": f"{one}-1-{PARENT}"}) == {"b3": f"{one}-1"}
    assert injected({"b3": f"{one}-0"}) == {"b3": f"{one}-0"}
    assert injected({"b3": f"{one}-d"}) == {"b3": f"{one}-d"}
    assert injected({"b3": f"{one}-1"}, multi=True) == {**SEVERAL, "x-b3-sampled": "1"}
    assert injected({"b3": f"{one}-0"}, multi=True) == {**SEVERAL, "x-b3-sampled": "0"}
    assert injected({**SEVERAL, "x-b3-flags": "1"}, multi=True) == {**SEVERAL, "x-b3-flags": "1"}
    assert injected({}) == {}


@pytest.mark.parametrize(
    ("names", "headers", "trace_id", "sent"),
    [
        (None, {"b3": f"{TRACE_ID}-{SPAN_ID}-1"}, None, set()),
        ("b3", {"b3": f"{TRACE_ID}-{SPAN_ID}-1"}, TRACE_ID, {"b3"}),
        ("tracecontext,b3multi", {**SEVERAL, "x-b3-sampled": "1"}, TRACE_ID, {"traceparent", *SEVERAL, "x-b3-sampled"}),
        ("tracecontext", {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}, TRACE_ID, {"traceparent"}),
        ("none", {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "b3": f"{TRACE_ID}-{SPAN_ID}-1"}, None, set()),
        (
            "tracecontext,baggage",
            {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "baggage": "tenant=blue"},
            TRACE_ID,
            {"traceparent", "baggage"},
        ),
        (None, {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "baggage": "tenant=blue"}, TRACE_ID, {"traceparent"}),
    ],
)
def test_the_configured_propagators_read_and_send(names, headers, trace_id, sent):
    config = telemetry_config_from_environ({} if names is None else {"OTEL_PROPAGATORS": names})
    propagator = build_propagator(config.propagators, config.build_sampler())
    context = propagator.extract(headers, context=Context())
    span = get_current_span(context).get_span_context()
    assert (f"{span.trace_id:032x}" if span.is_valid else None) == trace_id
    carried: dict[str, str] = {}
    propagator.inject(carried, context)
    assert set(carried) == sent


@pytest.mark.parametrize(("ratio", "sampled"), [("0", False), ("1", True)])
def test_the_sampler_decides_for_a_caller_that_defers(ratio, sampled):
    config = telemetry_config_from_environ(
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio, "OTEL_PROPAGATORS": "b3"}
    )
    context = build_propagator(config.propagators, config.build_sampler()).extract(SEVERAL)
    assert get_current_span(context).get_span_context().trace_flags.sampled is sampled


@pytest.mark.parametrize(
    ("headers", "sampled"),
    [
        ({"b3": "0"}, False),
        ({"b3": "1"}, True),
        ({"b3": "d"}, True),
        ({"x-b3-sampled": "0"}, False),
        ({"x-b3-sampled": "false"}, False),
        ({"x-b3-flags": "1"}, True),
    ],
)
@pytest.mark.parametrize("sampler", ["parentbased_always_on", "parentbased_always_off", "always_on", "always_off"])
def test_a_decision_without_ids_counts_as_a_parents(headers, sampled, sampler):
    config = telemetry_config_from_environ({"OTEL_PROPAGATORS": "b3", "OTEL_TRACES_SAMPLER": sampler})
    context = build_propagator(config.propagators, config.build_sampler()).extract(headers, context=Context())
    assert not get_current_span(context).get_span_context().is_valid
    decided = config.build_sampler().should_sample(decided_by_caller(context, 7), 7, "work").decision
    expected = sampled if sampler.startswith("parentbased") else sampler == "always_on"
    assert decided.is_sampled() is expected


@pytest.mark.parametrize(
    "headers", [{}, {"b3": "2"}, {"b3": "nonsense"}, {"x-b3-sampled": "0", "x-b3-traceid": TRACE_ID}]
)
def test_without_a_decision_the_sampler_decides_about_roots(headers):
    context = B3Propagator(lambda _: True).extract(headers, context=Context())
    assert decided_by_caller(context, 7) is context


@pytest.mark.parametrize(
    ("names", "headers", "sent"),
    [
        (None, {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}, {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}),
        ("b3", {"b3": f"{TRACE_ID}-{SPAN_ID}-d"}, {"b3": f"{TRACE_ID}-{SPAN_ID}-d"}),
        ("baggage", {"baggage": "tenant=blue"}, {"baggage": "tenant=blue"}),
        ("none", {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}, {}),
        (None, {"traceparent": "nonsense"}, {}),
        (None, {}, {}),
    ],
)
def test_a_disabled_sdk_passes_the_callers_context_on(names, headers, sent):
    config = telemetry_config_from_environ(
        {"OTEL_SDK_DISABLED": "true", **({} if names is None else {"OTEL_PROPAGATORS": names})}
    )
    recorder = DisabledRecorder(build_propagator(config.propagators, config.build_sampler()))
    request = recorder.start_request(RequestReceived(method="POST", path="/v1/chat/completions", headers=headers))
    attempt = request.start_attempt(
        AttemptStarted(
            provider="p",
            model="m",
            upstream_model="m",
            operation="chat",
            number=1,
            stream=False,
            server_address="h",
            server_port=1,
        )
    )
    assert attempt.headers == sent
    assert not request.trace_id
