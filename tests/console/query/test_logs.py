"""The page of log records, filter by filter."""

import pytest

from console.query.logs import LogFilter, read_logs_page
from console.query.paging import parse_cursor
from console.store.read_budget import ReadBudget
from console.store.values import encode
from tests.harness.console import log_record, logs, resource
from tests.harness.console_metrics import at


@pytest.fixture
async def records(console):
    await console.send(
        logs(
            log_record("quiet words", time_unix_nano=at(-40), severity_number=9),
            log_record(
                '{"logger": "a.b", "message": "json words", "n": 1}', time_unix_nano=at(-30), severity_number=13
            ),
            log_record({"map": ["nested"]}, {"k": "v"}, time_unix_nano=at(-20), severity_number=17, trace_id=b"7" * 16),
        )
    )
    await console.send(logs(log_record("other", time_unix_nano=at(-10)), origin=resource(service__name="jobs")))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [-10, -20, -30, -40]),
        ({"severity_from": 13}, [-20, -30]),
        ({"severity_from": 17}, [-20]),
        ({"severity_from": 10}, [-20, -30]),
        ({"loggers": ("a.b",)}, [-30]),
        ({"loggers": ("shop.logger", "a.b")}, [-10, -20, -30, -40]),
        ({"services": ("jobs",)}, [-10]),
        ({"trace_ids": (b"7" * 16,)}, [-20]),
        ({"words": "words"}, [-30, -40]),
        ({"words": "words", "severity_from": 13}, [-30]),
        ({"words": "nested"}, [-20]),
    ],
)
async def test_each_filter_finds_the_known_records(records, look, wanted, expected):
    with look() as view:
        page = read_logs_page(view, LogFilter(**wanted), begin_ns=at(-60), end_ns=at(0), after=None, limit=10)
    assert [round(row.at * 1e9 - at(0)) // 10**9 for row in page.rows] == expected


async def test_a_backlog_that_arrives_later_hides_no_newer_record_from_a_search(console, look):
    await console.send(logs(log_record("word", time_unix_nano=at(-30))))
    await console.send(logs(*(log_record("word", time_unix_nano=at(-9_000)) for _ in range(600))))
    with look() as view:
        found = read_logs_page(view, LogFilter(words="word"), begin_ns=at(-60), end_ns=at(0), after=None, limit=10)
    assert ([row.at for row in found.rows], found.next_cursor) == ([at(-30) / 1e9], None)


@pytest.mark.parametrize("words", [None, "word"])
async def test_long_records_make_short_pages_and_none_is_lost(console, look, monkeypatch, words):
    sizes = (10, 3_000, 10, 10, 900, 900, 900, 5_000, 10)
    records = [
        log_record(f"{index} word" + " x" * size, time_unix_nano=at(-50 + index)) for index, size in enumerate(sizes)
    ]
    await console.send(logs(*records))
    monkeypatch.setattr("console.store.read_logs.ReadBudget", lambda: ReadBudget(4_000))
    seen, pages, after = [], 0, None
    with look() as view:
        while True:
            wanted = LogFilter(words=words)
            page = read_logs_page(view, wanted, begin_ns=at(-60), end_ns=at(0), after=after, limit=10)
            seen += [row.message.partition(" ")[0] for row in page.rows]
            pages += 1
            if page.next_cursor is None:
                break
            after = parse_cursor(page.next_cursor)
    assert seen == [str(number) for number in range(8, -1, -1)]
    assert pages > 2


async def test_a_line_that_is_nested_too_deeply_hides_no_other(console, look):
    deep = '{"a":' * 600 + "1" + "}" * 600
    await console.send(logs(log_record(deep, time_unix_nano=at(-20)), log_record("plain", time_unix_nano=at(-30))))
    with look() as view:
        page = read_logs_page(view, LogFilter(), begin_ns=at(-60), end_ns=at(0), after=None, limit=10)
    assert page.rows[1].message == "plain"
    assert encode(page.rows[0].fields).count('{"a":') == 51
    assert encode(page.rows[0].fields).count("a") == 600


async def test_a_json_body_is_taken_apart_and_any_other_is_shown_whole(console, records, look):
    with look() as view:
        page = read_logs_page(view, LogFilter(), begin_ns=at(-60), end_ns=at(0), after=None, limit=10)
    other, nested, line, quiet = page.rows
    long = "word " * 200
    await console.send(logs(log_record(long, time_unix_nano=at(-5)), log_record([long], time_unix_nano=at(-4))))
    with look() as view:
        listed, text, *_ = read_logs_page(view, LogFilter(), begin_ns=at(-6), end_ns=at(0), after=None, limit=10).rows
    assert (text.message, text.fields, listed.fields) == (long[:500], {"body": long}, {"body": [long]})
    assert (line.logger, line.message, line.fields, line.severity) == ("a.b", "json words", {"n": 1}, "WARN")
    assert (quiet.logger, quiet.message, quiet.fields) == ("shop.logger", "quiet words", {})
    assert (nested.fields, nested.attributes, nested.trace_id) == ({"map": ["nested"]}, {"k": "v"}, (b"7" * 16).hex())
    assert other.service == "jobs"
