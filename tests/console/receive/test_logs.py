"""Log records are stored whole; the gateway's request lines become rows of requests; words find records."""

import json

import pytest

from console.store.read_logs import read_log_records, read_requests, read_trace_logs, search_log_ids
from tests.harness.console import NOW_NS, log_record, logs, open_console

LINE = {
    "timestamp": "2030-03-17T17:46:40Z",
    "level": "error",
    "logger": "gatewayz.request",
    "message": "POST /v1/chat/completions 502",
    "method": "POST",
    "path": "/v1/chat/completions",
    "status": 502,
    "outcome": "error",
    "duration_ms": 12.5,
    "key_id": "key_1",
    "plan": "free",
    "model": "small",
    "provider": "openai",
    "error_kind": "rate_limited",
    "stream": False,
    "attempts": 2,
    "input_tokens": 7,
    "output_tokens": 0,
    "cost_usd": 0.000_000_123,
    "tags": {"team": "a"},
}


@pytest.fixture
def console(tmp_path):
    with open_console(tmp_path) as opened:
        yield opened


def records(console, *ids):
    with console.store.readers.connection() as connection:
        return read_log_records(connection, ids)


def search(console, words, **options):
    with console.store.readers.connection() as connection:
        return search_log_ids(connection, words, **options)


async def test_a_record_comes_back_as_it_was_sent(console):
    text = log_record("plain", {"a": [1, {"b": True}]}, trace_id=b"\x01" * 16, span_id=b"\x02" * 8, event_name="paid")
    nested = log_record({"a": {"b": [1, None]}})
    empty = log_record(None)
    await console.send(logs(text, nested, empty))
    first, second, third = records(console, 1, 2, 3)
    assert (first.body, first.body_is_json, first.message) == ("plain", False, "plain")
    assert first.attributes == {"a": [1, {"b": True}]}
    assert (first.trace_id, first.span_id, first.event_name) == ("01" * 16, "02" * 8, "paid")
    assert (first.severity_number, first.severity_text, first.time_ns) == (9, "info", NOW_NS)
    assert (first.logger, first.scope_name) == ("shop.logger", "shop.logger")
    assert (second.body, second.body_is_json) == ({"a": {"b": [1, None]}}, True)
    assert (third.body, third.message) == (None, "")
    with console.store.readers.connection() as connection:
        assert [each.id for each in read_trace_logs(connection, "01" * 16)] == [1]
        assert read_trace_logs(connection, "nonsense") == []


async def test_the_line_of_a_request_becomes_a_row_of_requests(console):
    await console.send(logs(log_record(json.dumps(LINE), trace_id=b"\x01" * 16), log_record("other")))
    [record] = records(console, 1)
    assert (record.logger, record.message) == ("gatewayz.request", "POST /v1/chat/completions 502")
    with console.store.readers.connection() as connection:
        [request] = read_requests(connection, [1, 2])
    assert (request.log, request.time_ns, request.trace_id) == (1, NOW_NS, "01" * 16)
    assert (request.provider, request.model, request.error_kind, request.status) == (
        "openai",
        "small",
        "rate_limited",
        502,
    )
    assert (request.duration_ms, request.cost_nanousd, request.attempts) == (12.5, 123, 2)
    assert (request.stream, request.cached, request.tags) == (False, None, {"team": "a"})


async def test_a_line_with_values_of_other_types_is_stored_without_them(console):
    strange = {
        **LINE,
        "provider": 5,
        "duration_ms": "long",
        "stream": 1,
        "cost_usd": 1e300,
        "tags": [1],
        "status": 2**70,
    }
    await console.send(logs(log_record(json.dumps(strange))))
    sql = "SELECT provider, duration_ms, stream, cost_nanousd, tags, status, model FROM requests"
    assert console.rows(sql) == [(None, None, None, None, None, None, "small")]


@pytest.mark.parametrize("field", ["duration_ms", "overhead_ms", "cost_usd", "exposure_usd", "attempts", "status"])
@pytest.mark.parametrize("digits", [20, 309, 400])
async def test_an_integer_of_any_length_costs_its_column_alone(console, field, digits):
    line = json.dumps({**LINE, field: 0}).replace(f'"{field}": 0', f'"{field}": -1{"0" * digits}')
    await console.send(logs(log_record("before"), log_record(line), log_record("after")))
    assert console.rows("SELECT body FROM log_records ORDER BY id") == [("before",), (line,), ("after",)]
    column = field.replace("_usd", "_nanousd")
    [(found,)] = console.rows(f"SELECT {column} FROM requests")  # noqa: S608  a column's name
    assert found is None or (field.endswith("_ms") and found == -(10.0**digits) and digits == 20)


async def test_words_find_records_newest_first(console):
    await console.send(logs(log_record("the red fox"), log_record("a fox", {"colour": "red"}), log_record("blue")))
    assert search(console, "fox red") == [2, 1]
    assert search(console, "FO re") == [2, 1]
    assert search(console, "fox", before_id=2) == [1]
    assert search(console, "fox", limit=1) == [2]
    assert search(console, "green") == []


@pytest.mark.parametrize(
    "words", ["", '"', "fox OR", "NEAR(", "a:b", "*", "-fox", "x" * 10_000, "\x00", "fo\x00x", "(((", "^fox", "'"]
)
async def test_any_text_is_a_valid_search(console, words):
    await console.send(logs(log_record("the red fox")))
    assert search(console, words) in ([], [1])


async def test_a_body_that_only_looks_like_json_is_text(console):
    deep = '{"a":' * 5_000
    await console.send(logs(log_record('{"a": '), log_record(deep), log_record("{}"), log_record('{"message": 5}')))
    assert [each.body for each in records(console, 1, 2, 3, 4)] == ['{"a": ', deep, "{}", '{"message": 5}']


async def test_a_record_without_a_time_has_that_of_its_receipt(console):
    await console.send(logs(log_record(time_unix_nano=0), log_record(time_unix_nano=0, observed_time_unix_nano=5)))
    assert console.rows("SELECT time_ns, observed_ns FROM log_records ORDER BY id") == [(NOW_NS, 0), (5, 5)]


async def test_records_without_times_are_not_taken_for_a_request_sent_again(console):
    for _ in range(2):
        await console.send(logs(log_record(time_unix_nano=0)))
        await console.send(logs(log_record()))
    assert console.rows("SELECT count(*) FROM log_records") == [(3,)]
