"""One trace: order of the spans, attempts with their reasons, log lines; and foreign traces as they came."""

from console.query.trace_list import TraceFilter, read_trace_page
from console.query.traces import LinkTemplates, read_whole_trace
from console.store.read_budget import ReadBudget
from tests.harness.console import key_values, log_record, logs, resource, span, traces
from tests.harness.console_metrics import at
from tests.harness.gateway_lines import CLIENT, SERVER, attempt_line, attempt_span, request_line, server_span

TRACE = 5
ID = f"{TRACE:032x}"


def read(view, trace_id=ID, links=None):
    return read_whole_trace(view, trace_id, links or LinkTemplates())


def child(number, parent=None, start=0.0, name=None, **more):
    return span(
        name or f"span {number}",
        trace_id=TRACE.to_bytes(16, "big"),
        span_id=bytes([number]) * 8,
        parent_span_id=b"" if parent is None else bytes([parent]) * 8,
        start_time_unix_nano=at(start),
        end_time_unix_nano=at(start + 1),
        **{"kind": 1, **more},
    )


async def test_a_failover_shows_both_attempts_with_reason_cost_and_line(console, look):
    usage = {
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 25,
        "gatewayz.cost_usd": 0.005,
        "gatewayz.cost_source": "priced",
        "gen_ai.response.time_to_first_chunk": 0.25,
    }
    await console.send(
        traces(
            server_span(TRACE),
            attempt_span(TRACE, 1, "a", "upstream_5xx", -10.5, **{"gatewayz.fault": "provider"}),
            attempt_span(TRACE, 2, "b", None, -9, **usage),
        )
    )
    line = request_line(-7, TRACE, provider="b", model="small", operation="chat", attempts=2, cost_usd=0.005)
    await console.send(logs(attempt_line(TRACE, "a", "upstream_5xx", "overloaded", -9.5), line))
    with look() as view:
        trace = read(view)
    first, second = trace.attempts
    assert (first.provider, first.status, first.error_kind, first.fault) == ("a", "error", "upstream_5xx", "provider")
    assert (first.reason, first.hint, first.cost_usd) == ("overloaded", "check base_url", None)
    assert (first.offset_seconds, first.duration_seconds) == (0.5, 1.0)
    assert (second.number, second.reason, second.input_tokens, second.output_tokens) == (2, None, 100, 25)
    assert (second.cost_usd, second.cost_source, second.ttft_seconds) == (0.005, "priced", 0.25)
    assert second.usd_per_million_tokens == 40
    assert [each.depth for each in trace.spans] == [0, 1, 1]
    assert (trace.duration_seconds, trace.request.cost_usd, trace.request.has_trace) == (4.0, 0.005, True)
    assert [each.logger for each in trace.logs] == ["gatewayz.attempt", "gatewayz.request"]
    assert trace.logs[0].fields["reason"] == "overloaded"


async def test_spans_come_in_the_order_of_the_waterfall(console, look):
    await console.send(
        traces(child(3, 1, 0.5), child(4, 3, 0.6), child(1, None, 0), child(2, 1, 0.7), child(5, 9, 0.1))
    )
    with look() as view:
        spans = read(view).spans
    assert [(each.name, each.depth, each.parent_missing) for each in spans] == [
        ("span 1", 0, False),
        ("span 3", 1, False),
        ("span 4", 2, False),
        ("span 2", 1, False),
        ("span 5", 0, True),
    ]
    assert [each.offset_seconds for each in spans] == [0.0, 0.5, 0.6, 0.7, 0.1]


async def test_a_loop_of_parents_and_a_span_that_is_its_own_parent_are_shown_once(console, look):
    await console.send(traces(child(1, 2), child(2, 1, 0.5), child(3, 3, 0.7)))
    with look() as view:
        spans = read(view).spans
    assert [(each.name, each.depth) for each in spans] == [("span 3", 0), ("span 1", 0), ("span 2", 1)]


async def test_a_chain_of_a_thousand_spans_is_no_recursion(console, look):
    chain = [
        span(
            str(number),
            trace_id=TRACE.to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            parent_span_id=number.to_bytes(8, "big") if number else b"",
            start_time_unix_nano=at(number / 1_000),
        )
        for number in range(1_500)
    ]
    await console.send(traces(*chain))
    with look() as view:
        spans = read(view).spans
    assert [each.depth for each in spans] == list(range(1_500))


async def test_with_b3_the_server_side_of_a_shared_id_is_below_the_client_side(console, look):
    await console.send(
        traces(
            child(1, None, 0, kind=CLIENT, name="client"),
            child(1, None, 0.1, kind=SERVER, name="server"),
            child(2, 1, 0.2),
        )
    )
    with look() as view:
        spans = read(view).spans
    assert [(each.name, each.depth) for each in spans] == [("client", 0), ("server", 1), ("span 2", 2)]


async def test_events_links_and_nested_attributes_are_shown_as_they_came(console, look):
    attributes = {"list": [1, "two", 3.5, True], "map": {"a": {"b": []}}, "big": 2**60, "flag": False}
    made = span("foreign", attributes, trace_id=TRACE.to_bytes(16, "big"), start_time_unix_nano=at(0))
    made.events.add(name="exception", time_unix_nano=at(0.25)).attributes.add(key="k").value.string_value = "<b>x</b>"
    made.links.add(trace_id=bytes(15) + b"\7", span_id=bytes(7) + b"\7")
    made.dropped_attributes_count = 3
    await console.send(traces(made, origin=resource(service__name="shop", host__name="h")))
    with look() as view:
        (shown,) = read(view).spans
    assert shown.attributes == {
        "list": [1, "two", 3.5, True],
        "map": {"a": {"b": []}},
        "big": {"intValue": str(2**60)},
        "flag": False,
    }
    assert (shown.events[0].name, shown.events[0].offset_seconds) == ("exception", 0.25)
    assert shown.events[0].attributes == {"k": "<b>x</b>"}
    assert (shown.links[0].trace_id, shown.links[0].span_id) == (f"{7:032x}", f"{7:016x}")
    assert (shown.dropped, shown.service, shown.resource["host.name"], shown.scope) == (3, "shop", "h", "shop.tracer")


async def test_a_trace_with_log_lines_alone_is_shown_and_an_unknown_one_is_not(console, look):
    await console.send(logs(request_line(-7, TRACE)))
    with look() as view:
        assert read(view).spans == []
        assert len(read(view).logs) == 1
        assert read(view, "0" * 31 + "9") is None


async def test_other_places_are_linked_where_they_are_configured(console, look):
    await console.send(traces(child(1)))
    links = LinkTemplates(grafana="http://g/explore?trace={trace_id}", tempo=None)
    with look() as view:
        (link,) = read(view, links=links).links
    assert (link.label, link.url) == ("Grafana", f"http://g/explore?trace={ID}")


async def test_a_trace_of_long_texts_is_cut_and_says_so(console, look, monkeypatch):
    long = {"text": "x" * 400}
    events = [{"name": "e", "time_unix_nano": at(-1), "attributes": key_values(long)}]
    spans = [child(number, start=number, attributes=long, events=events) for number in range(1, 5)]
    await console.send(traces(*spans, origin=resource(service__name="shop", more="y" * 300)))
    lines = [log_record("x" * 900, trace_id=TRACE.to_bytes(16, "big")) for _ in range(3)]
    await console.send(logs(*lines))
    with look() as view:
        whole = read(view)
        monkeypatch.setattr("console.query.traces.ReadBudget", lambda: ReadBudget(3_000))
        cut = read(view)
    assert (len(whole.spans), whole.spans_truncated, len(whole.logs), whole.logs_truncated) == (4, False, 3, False)
    # A span has 1 200 characters with its event and its resource, a line 1 400 with its message.
    assert (len(cut.spans), cut.spans_truncated, len(cut.logs), cut.logs_truncated) == (3, True, 2, True)
    assert [len(each.events) for each in cut.spans] == [1, 1, 0]


async def test_the_list_has_where_each_program_began(console, look):
    await console.send(traces(server_span(1, -5, 2), attempt_span(1, 1, "a", None, -4)))
    await console.send(
        traces(child(1, None, -3, name="job", status={"code": 2}), origin=resource(service__name="jobs"))
    )
    with look() as view:

        def names(**wanted):
            page = read_trace_page(view, TraceFilter(**wanted), begin_ns=at(-60), end_ns=at(1), after=None, limit=10)
            return [(row.name, row.service, row.status) for row in page.rows]

        both = [("job", "jobs", "error"), ("POST /v1/chat/completions", "shop", "unset")]
        assert names() == both
        assert names(services=("jobs",)) == both[:1]
        assert names(statuses=("unset",)) == both[1:]
        assert names(names=("job",)) == both[:1]
