"""A line from a template says what the line's own fields say."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context

from otel.events import CallerIdentified, CallFinished, OverheadMeasured, RequestFinished
from otel.events.usage import Usage
from otel.labels import LabelBounds
from otel.logs.line_template import line_template
from otel.logs.request_line import RequestLines, RequestSummary
from otel.logs.writer import LogWriter

BOUNDS = LabelBounds.from_routes("gw", (("p", "m"), ('%s "cost_usd":1,', '{"duration_ms":1}')))
NAMES = st.sampled_from([*BOUNDS.models, *BOUNDS.providers, "unknown", "100%"])
SECONDS = st.floats(0, 1e6) | st.sampled_from([0, 1, 0.0005, 1.0005, 2.5e-7])
TOKENS = st.integers(0, 1 << 40)
CALLS = st.builds(
    CallFinished,
    operation=st.sampled_from(["chat", "embeddings"]),
    model=NAMES,
    provider=st.none() | NAMES,
    status=st.sampled_from(["success", "error", "cancelled"]),
    stream=st.booleans(),
    attempts=st.integers(0, 3),
    duration_seconds=st.just(1.0),
    cached=st.booleans(),
    error_kind=st.sampled_from([None, "connect_error", 'a "quoted" 5 % kind']),
    usage=st.builds(
        Usage,
        input_tokens=TOKENS,
        output_tokens=TOKENS,
        cost_nanousd=TOKENS,
        cost_source=st.sampled_from([None, "priced"]),
        cached_tokens=st.sampled_from([0, 0, 0, 5]),
    ),
    tags=st.sampled_from([None, None, {"team": "a"}]),
)
SUMMARIES = st.builds(
    RequestSummary,
    exception_type=st.sampled_from([None, "KeyError"]),
    limit_type=st.sampled_from([None, "budget"]),
    caller=st.sampled_from([None, CallerIdentified(key_id="key_1", plan="100 %")]),
    call=st.none() | CALLS,
    overhead=st.none() | st.builds(OverheadMeasured, operation=st.just("chat"), stream=st.just(False), seconds=SECONDS),
)
FINISHED = st.builds(
    RequestFinished,
    status_code=st.sampled_from([200, 404, 499, 502]),
    duration_seconds=SECONDS | st.sampled_from([math.nan, math.inf]),
    outcome=st.sampled_from(["ok", "error", "cancelled"]),
    response_bytes=TOKENS,
)
WRITTEN: list[str] = []
LINES = RequestLines(LogWriter(None, WRITTEN.append, lambda: 1_700_000_000_000_001_000), BOUNDS, "gw.request")
"""One for all examples: the template of one must not show in the line of another."""


@given(SUMMARIES, FINISHED)
def test_a_line_of_a_template_has_the_fields_of_a_line_of_its_own(
    summary: RequestSummary, finished: RequestFinished
) -> None:
    outcome = summary.outcome(finished)
    LINES.write("POST", "/a/{b}%", summary, finished, outcome, Context())
    line = json.loads(msgspec.json.encode(LINES._line("POST", "/a/{b}%", summary, finished, outcome)))
    assert list(json.loads(WRITTEN.pop()).items()) == [
        ("timestamp", "2023-11-14T22:13:20.000001Z"),
        *((name, pytest.approx(value, rel=1e-12) if type(value) is float else value) for name, value in line.items()),
    ]


def test_names_without_end_have_no_template() -> None:
    lines = RequestLines(LogWriter(None, WRITTEN.append, lambda: 0), BOUNDS, "gw.request")
    for number in range(5):
        call = CallFinished(
            operation="chat",
            model=f"unknown-{number}",
            provider="p",
            status="success",
            stream=False,
            attempts=1,
            duration_seconds=1.0,
        )
        summary = RequestSummary(call=call, overhead=OverheadMeasured(operation="chat", stream=False, seconds=0.1))
        finished = RequestFinished(status_code=200, duration_seconds=1.0, outcome="ok")
        lines.write("POST", "/a", summary, finished, "ok", Context())
        assert json.loads(WRITTEN.pop())["model"] == "other"
    assert lines._templates == {}


def test_a_template_needs_a_line_with_all_its_values() -> None:
    line = LINES._line(
        "GET", "/", RequestSummary(), RequestFinished(status_code=200, duration_seconds=1.0, outcome="ok"), "ok"
    )
    with pytest.raises(ValueError, match="cost_usd"):
        line_template(line, {"cost_usd": "%r"})
