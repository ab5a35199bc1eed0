"""What senders put into telemetry comes back as data, in JSON and in CSV, and breaks no response."""

import csv
import io
import json

import pytest

from console.csv_text import inert
from console.http.csv_export import csv_line
from tests.harness.console import log_record, logs, metrics, resource, span, traces
from tests.harness.console_metrics import at, counter, gauge
from tests.harness.gateway_lines import request_line

TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "'; DROP TABLE spans; --",
    "\u202e\u0000\u0007\x7f",
    "\u2028\u2029",
    "a" * 2_000,
    '=HYPERLINK("http://evil")',
    "line\r\nbreak: x\n\ndata: {}",
    "😀\u0301 ﷽ 𒐫",
    "%s{}%00..//..%2f",
    "NaN",
    "null",
    '{"a": [1, {"b": "c"}]}',
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
)


@pytest.mark.parametrize("text", TEXTS)
async def test_a_span_with_a_hostile_text_everywhere_comes_back_as_it_came(site, text):
    made = span(
        text, {text: text, "list": [text, {text: [text]}]}, trace_id=b"5" * 16, status={"code": 2, "message": text}
    )
    made.events.add(name=text, time_unix_nano=at(0)).attributes.add(key=text).value.string_value = text
    await site.console.send(traces(made, origin=resource(service__name=text, service__version=text)))
    await site.console.send(
        logs(log_record(text, {text: text}, trace_id=b"5" * 16), origin=resource(service__name=text))
    )
    response = await site.get(f"/api/traces/{(b'5' * 16).hex()}")
    assert response.headers["content-type"] == "application/json"
    trace = response.json()
    (shown,) = trace["spans"]
    assert (shown["name"], shown["service"], shown["status_message"]) == (text, text, text)
    assert shown["attributes"] == {text: text, "list": [text, {text: [text]}]}
    assert (shown["events"][0]["name"], shown["events"][0]["attributes"]) == (text, {text: text})
    assert trace["logs"][0]["attributes"] == {text: text}
    assert text in (await site.json("/api/meta"))["services"]
    assert (await site.json("/api/traces", {"name": text}))["rows"][0]["name"] == text
    assert (await site.json("/api/annotations"))["truncated"] is False


@pytest.mark.parametrize("text", TEXTS)
async def test_a_request_line_and_a_label_do_too(site, text):
    fields = dict.fromkeys(("model", "provider", "key_id", "plan", "error_kind", "outcome", "method", "path"), text)
    await site.console.send(logs(request_line(-5, 5, **fields, tags={text: text})))
    await site.console.send(
        metrics(
            gauge(text, (-5, 1.0, {text: text})),
            counter("model_inference_requests_total", (-9, 1, fields), (-5, 2, fields)),
        )
    )
    (row,) = (await site.json("/api/requests", {"provider": text}))["rows"]
    assert {name: row[name] for name in fields} == fields
    assert row["tags"] == {text: text}
    chart = await site.json("/api/metrics/range", {"name": text, "by": text})
    assert (chart["name"], chart["series"][0]["labels"]) == (text, {text: text})
    assert text in [each["name"] for each in (await site.json("/api/now"))["rows"]]
    assert (await site.json("/api/requests", {"q": text}))["rows"] is not None
    exported = (await site.get("/api/requests.csv")).text
    (line,) = csv.DictReader(io.StringIO(exported, newline=""))
    assert line["model"] == inert(text)


@pytest.mark.parametrize(
    "body", ["{", "[" * 50_000, '{"a":' * 5_000, "{}", '{"message": 5, "logger": []}', '{"a": 1e999}']
)
async def test_a_body_that_is_nearly_json_is_a_text(site, body):
    await site.console.send(logs(log_record(body)))
    (row,) = (await site.json("/api/logs"))["rows"]
    assert isinstance(row["fields"], dict)


async def test_numbers_that_json_lacks_are_unknown(site):
    await site.console.send(metrics(gauge("g", (-10, float("nan"), {"n": "1"}), (-10, float("inf"), {"n": "2"}))))
    response = await site.get("/api/metrics/range", {"name": "g", "by": "*"})
    assert response.status_code == 200
    assert json.loads(response.content)["series"] == []


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text):
    assert csv_line([text]).decode().lstrip('"').startswith("'")


def test_numbers_and_unknown_values_stay_what_they_are():
    assert csv_line([-1.5, None, True, 0, {"a": "b"}]) == b"-1.5,,true,0,a=b\r\n"
