"""A small JSON body cannot become millions of objects: it is refused before the parser makes a message of each."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.receive.json_count import MAX_CONTAINERS, check_containers, check_json_count
from console.store.work import TooLargeError
from tests.harness.console import open_console

ITEMS, POINTS = 60_001, 600_001
BODIES = {
    "resources": ("traces", '{"resourceSpans":[MANY]}', "{}", ITEMS),
    "scopes": ("logs", '{"resourceLogs":[{"scopeLogs":[MANY]}]}', "{}", ITEMS),
    "spans": ("traces", '{"resource_spans":[{"scope_spans":[{"spans":[MANY]}]}]}', "{}", ITEMS),
    "records": ("logs", '{"resourceLogs":[{"scopeLogs":[{"logRecords":[MANY]}]}]}', "{}", ITEMS),
    "metrics": ("metrics", '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[MANY]}]}]}', "{}", POINTS),
    "points": (
        "metrics",
        '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":[MANY]}}]}]}]}',
        "{}",
        POINTS,
    ),
    "values": (
        "logs",
        '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"arrayValue":{"values":[MANY]}}}]}]}]}',
        "{}",
        MAX_CONTAINERS,
    ),
    "what no message has": ("logs", '{"unknown":[MANY]}', "[]", MAX_CONTAINERS),
}


@pytest.mark.parametrize("name", BODIES)
async def test_empty_objects_without_end_are_a_413(tmp_path, name, monkeypatch):
    signal, around, one, count = BODIES[name]
    body = around.replace("MANY", ",".join([one] * count))
    parsed = []
    monkeypatch.setattr("console.receive.otlp_json.ParseDict", lambda *args, **_: parsed.append(args))
    with open_console(tmp_path) as console:
        response = await console.post(f"/v1/{signal}", body.encode(), media_type="application/json")
    assert response.status_code == 413
    assert "send smaller batches" in response.json()["message"]
    assert parsed == []


async def test_braces_in_texts_are_no_objects(tmp_path):
    text = '{[\\"' * (MAX_CONTAINERS // 2 + 1)
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": text}}]}]}]}
    with open_console(tmp_path) as console:
        response = await console.post("/v1/logs", json.dumps(body).encode(), media_type="application/json")
        assert response.status_code == 200
        assert console.rows("SELECT length(body) FROM log_records") == [(len(text),)]


@pytest.mark.parametrize("end", [b"", b"\\", b'"', b'" {'])
def test_a_text_without_an_end_is_read_once(end):
    check_containers(b'{"' + b'\\"{' * MAX_CONTAINERS + end)


@given(
    st.recursive(
        st.text(alphabet='{}[]"\\\n a', max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_counted_are_the_objects_and_arrays(document):
    def containers(value):
        each = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if each is None else 1 + sum(map(containers, each))

    with pytest.MonkeyPatch.context() as patched:
        count = containers(document)
        patched.setattr("console.receive.json_count.MAX_CONTAINERS", count)
        check_containers(json.dumps(document).encode())
        patched.setattr("console.receive.json_count.MAX_CONTAINERS", count - 1)
        with pytest.raises(TooLargeError):
            check_containers(json.dumps(document).encode())


def test_each_message_counts_once():
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [{}] * 5}]}]}
    check_json_count("traces", spans, 7)  # one resource, one scope
    with pytest.raises(TooLargeError):
        check_json_count("traces", spans, 6)
    for kind in ("gauge", "sum", "histogram", "exponentialHistogram", "exponential_histogram", "summary"):
        for points in ("dataPoints", "data_points"):
            content = {"resource_metrics": [{"scope_metrics": [{"metrics": [{kind: {points: [{}]}}]}]}]}
            check_json_count("metrics", content, 5)
            with pytest.raises(TooLargeError):
                check_json_count("metrics", content, 4)


@pytest.mark.parametrize("strange", [None, 5, "text", [None, 5, [], "text"], {"spans": []}])
def test_what_has_another_type_is_left_to_the_parser(strange):
    check_json_count("traces", {"resourceSpans": strange}, 10)
    check_json_count("traces", {"resourceSpans": [{"scopeSpans": strange}]}, 10)
