"""Spans of any program are stored whole, and what screens filter by becomes columns."""

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from console.store.read_traces import read_trace
from tests.harness.console import NOW_NS, key_values, open_console, resource, span, traces


@pytest.fixture
def console(tmp_path):
    with open_console(tmp_path) as opened:
        yield opened


def trace_of(console, sent):
    with console.store.readers.connection() as connection:
        return read_trace(connection, sent.trace_id.hex())


async def test_a_span_comes_back_as_it_was_sent(console):
    sent = span(
        "GET /cart",
        {
            "text": "ä\x00b",
            "integer": 2**53 + 1,
            "whole float": 1.0,
            "nan": float("nan"),
            "flag": True,
            "bytes": b"\x00\xff",
            "nothing": None,
            "list": [1, "two", [3.5]],
            "object": {"a": {"b": [1]}},
        },
        parent_span_id=b"\x09" * 8,
        trace_state="a=1",
        flags=0x101,
        dropped_attributes_count=1,
        dropped_events_count=2,
        dropped_links_count=3,
        events=[Span.Event(time_unix_nano=NOW_NS + 1, name="exception", attributes=key_values({"n": 1}))],
        links=[
            Span.Link(trace_id=b"\x07" * 16, span_id=b"\x08" * 8, trace_state="b=2", attributes=key_values({"x": "y"}))
        ],
    )
    sent.status.code = 2
    sent.status.message = "broken"
    await console.send(traces(sent, origin=resource(service__name="shop", service__version="1.2", host={"cpus": 4})))
    [found] = trace_of(console, sent)
    assert found.attributes == {
        "text": "ä\x00b",
        "integer": 2**53 + 1,
        "whole float": 1.0,
        "nan": {"doubleValue": "NaN"},
        "flag": True,
        "bytes": {"bytesValue": "AP8="},
        "nothing": None,
        "list": [1, "two", [3.5]],
        "object": {"a": {"b": [1]}},
    }
    assert isinstance(found.attributes["whole float"], float)
    assert (found.name, found.kind, found.start_ns, found.duration_ns) == ("GET /cart", 2, NOW_NS, 5_000_000)
    assert (found.parent_span_id, found.trace_state, found.flags) == ("09" * 8, "a=1", 0x101)
    assert (found.status_code, found.status_message) == (2, "broken")
    assert (found.dropped_attributes, found.dropped_events, found.dropped_links) == (1, 2, 3)
    [event], [link] = found.events, found.links
    assert (event.time_ns, event.name, event.attributes) == (NOW_NS + 1, "exception", {"n": 1})
    assert (link.trace_id, link.span_id, link.trace_state, link.attributes) == ("07" * 16, "08" * 8, "b=2", {"x": "y"})
    assert (found.resource.service_name, found.resource.service_version) == ("shop", "1.2")
    assert found.resource.attributes["host"] == {"cpus": 4}
    assert found.scope_name == "shop.tracer"


async def test_what_screens_filter_by_becomes_columns(console):
    gateway = {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "small",
        "gatewayz.attempt.number": 2,
        "gatewayz.cost_usd": 0.000_000_123,
        "gen_ai.usage.input_tokens": 7,
        "error.type": "rate_limited",
        "gatewayz.fault": "provider",
        "gen_ai.response.time_to_first_chunk": 0.25,
    }
    foreign = {"gen_ai.system": "cohere", "http.method": "POST", "http.status_code": "503"}
    first, second = span("a", gateway), span("b", foreign)
    await console.send(traces(first, second))
    sql = (
        "SELECT provider, model, attempt_number, cost_nanousd, input_tokens, error_type, fault, first_token_ns,"
        " http_method, http_status FROM spans ORDER BY id"
    )
    assert console.rows(sql) == [
        ("openai", "small", 2, 123, 7, "rate_limited", "provider", 250_000_000, None, None),
        ("cohere", None, None, None, None, None, None, None, "POST", 503),
    ]


async def test_columns_and_names_have_a_bound_and_attributes_the_whole_text(console):
    text = "a" * 4_097
    sent = span(text, {"gatewayz.provider": text})
    await console.send(traces(sent, origin=resource(service__name=text)))
    assert console.rows("SELECT length(provider) FROM spans") == [(4_096,)]
    assert console.rows("SELECT length(service_name) FROM resources") == [(4_096,)]
    (found,) = trace_of(console, sent)
    assert found.name == "a" * 4_096 + "…"
    assert found.attributes["gatewayz.provider"] == found.resource.attributes["service.name"] == text


async def test_a_column_takes_no_value_of_another_type(console):
    await console.send(
        traces(span("a", {"gen_ai.provider.name": 5, "gatewayz.cost_usd": float("inf"), "http.route": [1]}))
    )
    assert console.rows("SELECT provider, cost_nanousd, http_route FROM spans") == [(None, None, None)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b"\x01" * 15}, "trace id"),
        ({"trace_id": bytes(16)}, "trace id"),
        ({"span_id": b""}, "span id"),
        ({"start_time_unix_nano": 2**63}, "2262"),
    ],
)
async def test_an_invalid_span_is_refused_and_the_others_are_stored(console, fields, reason):
    response = await console.send(traces(span(**fields), span()))
    assert response.partial_success.rejected_spans == 1
    assert reason in response.partial_success.error_message
    assert console.rows("SELECT count(*) FROM spans") == [(1,)]


async def test_a_span_that_is_sent_again_in_another_batch_is_stored_once(console):
    sent = span(events=[Span.Event(name="e")])
    await console.send(traces(sent))
    await console.send(traces(sent, span()))
    assert console.rows("SELECT count(*) FROM spans") == [(2,)]
    assert console.rows("SELECT count(*) FROM span_events") == [(1,)]


async def test_spans_that_come_again_are_not_counted_toward_the_cap(console):
    sent = [span(events=[Span.Event(name="e")]) if number % 2 else span() for number in range(10)]
    for count in range(10, 5, -1):
        await console.send(traces(*sent[:count]))
    await console.send(traces(span()))
    assert console.rows("SELECT count(*), max(id) FROM spans") == [(11, 11)]
    assert console.store.state().spans == 11


async def test_times_that_are_missing_or_reversed_make_no_negative_duration(console):
    reversed_times = span(start_time_unix_nano=NOW_NS, end_time_unix_nano=NOW_NS - 1)
    await console.send(traces(span(start_time_unix_nano=0, end_time_unix_nano=0), reversed_times))
    assert console.rows("SELECT start_ns, duration_ns FROM spans") == [(NOW_NS, 0), (NOW_NS, 0)]
