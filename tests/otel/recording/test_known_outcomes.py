"""Requests that end as others did share what follows from that; every signal says of each what is true of it alone."""

import json

import pytest

from otel.events import CallerIdentified, CallFinished, OverheadMeasured, RequestFinished
from otel.events.usage import Usage
from tests.otel.recording.test_recorder import STARTED, SUCCESS, Signals


def serve(signals, number=1, *, path="/v1/chat/completions", **changes):
    """One request of a call; what differs follows from its number."""
    finished = {"status_code": 200, "duration_seconds": number / 8, "outcome": "ok", "response_bytes": 7 * number}
    usage = {"input_tokens": 10 * number, "output_tokens": number, "cost_nanousd": 500 * number}
    usage |= {key: changes.pop(key) for key in list(changes) if key in Usage.__struct_fields__}
    finished |= {key: changes.pop(key) for key in list(changes) if key in RequestFinished.__struct_fields__}
    called = {"operation": "chat", "model": "a/b", "provider": "openrouter", "status": "success", "stream": True}
    called |= {"attempts": 1, "duration_seconds": 1.0, "usage": Usage(**usage), **changes}
    request = signals.request(path=path)
    request.record(CallerIdentified(key_id="key_1", plan="pro"))
    request.start_attempt(STARTED).finish(SUCCESS)
    request.record(CallFinished(**called))
    request.record(OverheadMeasured(operation="chat", stream=True, seconds=number / 1024))
    request.finish(RequestFinished(**finished))
    return request


def signals_of(signals, first):
    """Of the requests from `first` on: fields of the line, attributes of the server span, points."""
    spans = [span for span in signals.spans.get_finished_spans() if span.name.startswith("POST")]
    lines = [json.loads(line) for line in signals.lines]
    for line in lines:
        del line["trace_id"], line["span_id"]
    attributes = [{**span.attributes, "status": span.status.status_code.name} for span in spans]
    return lines[first:], attributes[first:], signals.points()


CHANGES = [
    {},
    {"status_code": 404},
    {"status_code": 502},
    {"outcome": "cancelled"},
    {"outcome": "error"},
    {"status": "error", "error_kind": "idle_timeout"},
    {"status": "cancelled", "cancel_phase": "after_first_byte"},
    {"tags": {"team": "x"}},
    {"cached_tokens": 3},
    {"cost_source": "estimated"},
    {"estimated": True},
    {"model": "unknown"},
    {"provider": None, "cached": True},
    {"path": "/other"},
    {"attempts": 2},
    {"duration_seconds": 0.5},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_request_after_others_says_what_the_first_of_its_kind_says(changes):
    alone, after = Signals(), Signals()
    serve(after)
    serve(after, **changes)
    before = after.points()
    others = len(after.lines)
    serve(alone, 3, **changes)
    serve(after, 3, **changes)
    lines, attributes, points = signals_of(alone, 0)
    lines_after, attributes_after, points_after = signals_of(after, others)
    assert (lines_after, attributes_after) == (lines, attributes)
    for series, value in points.items():
        known = before.get(series, (0, 0) if isinstance(value, tuple) else 0)
        increase = (
            tuple(new - old for new, old in zip(points_after[series], known, strict=True))
            if isinstance(value, tuple)
            else points_after[series] - known
        )
        assert increase == pytest.approx(value), series


def test_the_ids_of_each_are_its_own():
    signals = Signals()
    requests = [serve(signals, number) for number in (1, 2, 3)]
    spans = [span for span in signals.spans.get_finished_spans() if span.name.startswith("POST")]
    lines = [json.loads(line) for line in signals.lines]
    expected = [(f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}") for span in spans]
    assert [(line["trace_id"], line["span_id"]) for line in lines] == expected
    assert [request.trace_id for request in requests] == [trace_id for trace_id, _ in expected]
    assert expected[2][0] in signals.exemplar_traces("fastapi_requests_duration_seconds")


@pytest.mark.parametrize("broken", ["measurements", "line", "span"])
def test_what_one_signal_raises_costs_no_other(monkeypatch, broken):
    signals = Signals()
    serve(signals)

    def fail(*_):
        raise RuntimeError("broken")

    request = serve_until_end(signals)
    part, name = {
        "measurements": (signals.measurements, "add"),
        "line": (signals.recorder.logs, "write_known"),
        "span": (type(request.span), "end_with"),
    }[broken]
    monkeypatch.setattr(part, name, fail)
    request.finish(RequestFinished(status_code=200, duration_seconds=1.0, outcome="ok"))
    labels = "method=POST,path=/v1/chat/completions"
    counted = signals.points()["fastapi_requests_duration_seconds", labels][0]
    spans = sum(span.name.startswith("POST") for span in signals.spans.get_finished_spans())
    assert {"measurements": counted, "line": len(signals.lines), "span": spans} == {
        kind: 1 if kind == broken else 2 for kind in ("measurements", "line", "span")
    }
    assert signals.guard.failures == 1


@pytest.mark.parametrize("broken", ["series", "line", "attributes"])
def test_what_fails_before_it_is_known_is_counted_once(monkeypatch, broken):
    signals = Signals()

    def fail(*_, **__):
        raise RuntimeError("broken")

    request = serve_until_end(signals)
    part, name = {
        "series": (signals.measurements, "_request_series"),
        "line": (signals.recorder.lines, "_template"),
        "attributes": (signals.recorder.spans, "_end_attributes"),
    }[broken]
    assert hasattr(part, name)
    monkeypatch.setattr(part, name, fail)
    request.finish(RequestFinished(status_code=200, duration_seconds=1.0, outcome="ok"))
    assert signals.guard.failures == 1


def serve_until_end(signals):
    request = signals.request()
    request.record(CallerIdentified(key_id="key_1", plan="pro"))
    request.record(
        CallFinished(
            operation="chat", model="a/b", provider="openrouter", status="success", stream=True, attempts=1,
            duration_seconds=1.0,
        )
    )  # fmt: skip
    request.record(OverheadMeasured(operation="chat", stream=True, seconds=0.1))
    return request


def test_what_is_kept_is_bounded():
    signals = Signals()
    for number in range(4_100):
        request = signals.request()
        request.record(CallerIdentified(key_id=f"key_{number}", plan="pro"))
        request.record(
            CallFinished(
                operation="chat",
                model="a/b",
                provider="vllm",
                status="success",
                stream=True,
                attempts=1,
                duration_seconds=1.0,
            )
        )
        request.record(OverheadMeasured(operation="chat", stream=True, seconds=0.1))
        request.finish(RequestFinished(status_code=200, duration_seconds=1.0, outcome="ok"))
    assert len(signals.recorder.outcomes._kept) <= 2_000
    assert len(signals.lines) == 4_100
