"""What is beyond the caps is deleted, the oldest first, whatever time it claims; reading goes on meanwhile."""

import asyncio

import pytest

from console.store import pruning
from console.store.limits import MIB, Limits
from console.store.read_logs import search_log_ids
from console.store.schema import GENERATION
from console.store.values import encode
from tests.console.receive.test_metrics import counter, point
from tests.harness.console import (
    NOW_NS,
    NOW_S,
    SECOND_NS,
    ConsoleClock,
    log_record,
    logs,
    metrics,
    open_console,
    resource,
    span,
    traces,
)
from tests.harness.polling import until

HOUR = 3_600
DAY = 24 * HOUR


def count(console, table):
    return console.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608  a name of ours


@pytest.fixture
def clock():
    return ConsoleClock()


async def idle(console, is_done):
    """Wait until the writer's thread, which looks once a second, has deleted."""
    await until(is_done, console.store.state)


async def test_what_is_too_old_goes_with_all_that_belongs_to_it(tmp_path, clock):
    from opentelemetry.proto.trace.v1.trace_pb2 import Span  # noqa: PLC0415  only here

    with open_console(tmp_path, Limits(retention_seconds=HOUR), clock) as console:
        old = span(events=[Span.Event(name="e")], links=[Span.Link(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)])
        await console.send(traces(old, origin=resource(service__name="old")))
        await console.send(logs(log_record("old"), origin=resource(service__name="old")))
        await console.send(metrics(counter(point(as_int=1)), origin=resource(service__name="old")))
        clock.now_s += HOUR + 120
        # Times that a client invents keep nothing and drop nothing.
        await console.send(traces(span(start_time_unix_nano=5, end_time_unix_nano=6)))
        await console.send(logs(log_record("new", time_unix_nano=5)))
        await idle(console, lambda: count(console, "resources") == 1)
        assert {table: count(console, table) for table in ("spans", "log_records", "series", "number_points")} == {
            "spans": 1,
            "log_records": 1,
            "series": 0,
            "number_points": 0,
        }
        assert [count(console, table) for table in ("span_events", "span_links", "metrics", "scopes")] == [0, 0, 0, 2]
        assert console.store.state().deleted == {"traces": 1, "metrics": 1, "logs": 1}
        assert console.rows("SELECT message FROM log_records") == [("new",)]
        # Ids that were remembered are found or made again.
        await console.send(traces(span(), origin=resource(service__name="old")))
        assert console.rows(
            "SELECT service_name FROM spans JOIN resources r ON r.id = resource_id ORDER BY spans.id"
        ) == [
            ("shop",),
            ("old",),
        ]


async def test_a_span_from_the_future_goes_with_its_neighbours(tmp_path, clock):
    with open_console(tmp_path, Limits(retention_seconds=HOUR), clock) as console:
        await console.send(traces(span(start_time_unix_nano=2**63 - 1, end_time_unix_nano=2**63 - 1)))
        clock.now_s += HOUR + 1
        await idle(console, lambda: count(console, "spans") == 0)


async def test_a_series_that_goes_on_keeps_its_new_points(tmp_path, clock):
    with open_console(tmp_path, Limits(retention_seconds=HOUR), clock) as console:
        for _ in range(3):
            sent = point(as_int=1, time_unix_nano=clock.now_s * SECOND_NS)
            sent.exemplars.add(time_unix_nano=clock.now_s * SECOND_NS, as_int=1)
            await console.send(metrics(counter(sent)))
            clock.now_s += HOUR - 60
        await idle(console, lambda: count(console, "number_points") == 1)
        assert console.rows("SELECT time_ns FROM number_points") == [((NOW_S + 2 * (HOUR - 60)) * SECOND_NS,)]
        assert console.store.state().points == 1
        await idle(console, lambda: count(console, "exemplars") == 1)


async def test_rows_are_capped_for_each_signal(tmp_path, clock):
    limits = Limits(max_spans=10, max_log_records=5, max_points=3)
    with open_console(tmp_path, limits, clock) as console:
        await console.send(traces(*(span(str(number)) for number in range(25))))
        await console.send(logs(*(log_record(str(number)) for number in range(25))))
        for number in range(6):
            later = NOW_NS + number * 120 * SECOND_NS
            await console.send(metrics(counter(point(as_int=number, time_unix_nano=later))))
        await idle(console, lambda: count(console, "spans") == 10)
        assert console.rows("SELECT name FROM spans ORDER BY id LIMIT 1") == [("15",)]
        await idle(console, lambda: count(console, "log_records") == 5)
        clock.now_s += 61
        await idle(console, lambda: count(console, "number_points") <= 3)
        assert console.rows("SELECT max(value) FROM number_points") == [(5,)]


async def test_the_file_stays_under_its_cap_and_keeps_the_newest(tmp_path, clock):
    limits = Limits(max_bytes=64 * MIB)
    text = "x" * 60_000
    sizes = []
    with open_console(tmp_path, limits, clock) as console:
        for number in range(60):
            clock.now_s += 60
            await console.send(logs(*(log_record(f"{number} {text}") for _ in range(30))))
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
        assert console.rows("SELECT max(id) FROM log_records") == [(1_800,)]
        state = console.store.state()
        assert state.log_records < 1_000
        assert state.log_records > 300
        assert state.bytes_used < limits.max_bytes
    assert max(sizes) <= limits.max_bytes
    assert max(sizes) > limits.max_bytes // 2


async def test_points_make_room_too(tmp_path, clock):
    limits = Limits(max_bytes=64 * MIB)
    with open_console(tmp_path, limits, clock) as console:
        for number in range(30):
            clock.now_s += 600
            sent = [
                point(attributes={"n": n}, as_int=number, time_unix_nano=clock.now_s * SECOND_NS) for n in range(400)
            ]
            for each in sent:
                each.exemplars.add(time_unix_nano=clock.now_s * SECOND_NS, as_int=1)
                each.exemplars[-1].filtered_attributes.add(key="x").value.string_value = "y" * 8_000
            await console.send(metrics(counter(*sent)))
        await until(lambda: console.rows("SELECT min(value) > 0, max(value) FROM number_points") == [(1, 29)])
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limits.max_bytes


async def test_reading_goes_on_while_rows_are_deleted(tmp_path, clock):
    with open_console(tmp_path, Limits(retention_seconds=HOUR), clock) as console:
        await console.send(traces(*(span() for _ in range(5_000))))
        with console.store.readers.connection() as connection:
            assert connection.execute("SELECT count(*) FROM spans").fetchone() == (5_000,)
            clock.now_s += HOUR + 1
            await console.send(traces(span()))
            await asyncio.to_thread(lambda: None)
            # The transaction goes on to see what it saw, and the writer deletes beside it.
            assert connection.execute("SELECT count(*) FROM spans").fetchone() == (5_000,)
        await idle(console, lambda: count(console, "spans") == 1)


async def test_words_of_deleted_records_go_with_their_table(tmp_path, clock, monkeypatch):
    for module in ("console.store.pruning", "console.store.inserts", "console.store.read_logs"):
        monkeypatch.setattr(f"{module}.GENERATION", 10)
    assert GENERATION > pruning.GENERATION
    with open_console(tmp_path, Limits(max_log_records=15), clock) as console:
        await console.send(logs(*(log_record(f"word{number}") for number in range(35))))
        tables = "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL%' ORDER BY name"
        await idle(console, lambda: console.rows(tables) == [("log_text_2",), ("log_text_3",)])
        with console.store.readers.connection() as connection:
            assert search_log_ids(connection, "word", limit=100) == list(range(35, 20, -1))
            assert search_log_ids(connection, "word19") == []


async def test_ids_are_not_used_again_after_all_rows_went(tmp_path, clock):
    with open_console(tmp_path, Limits(retention_seconds=HOUR), clock) as console:
        await console.send(logs(log_record("first")))
        clock.now_s += HOUR + 1
        await idle(console, lambda: count(console, "log_records") == 0)
    with open_console(tmp_path, Limits(retention_seconds=HOUR), clock) as console:
        await console.send(logs(log_record("second")))
        assert console.rows("SELECT id FROM log_records") == [(2,)]
        with console.store.readers.connection() as connection:
            assert search_log_ids(connection, "first") == []


async def test_digests_of_requests_are_bounded(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(pruning, "_KEPT_UPLOADS", 3)
    with open_console(tmp_path, clock=clock) as console:
        for number in range(10):
            await console.send(logs(log_record(encode(number))))
        clock.now_s += 61
        await idle(console, lambda: count(console, "uploads") == 3)


async def test_a_clock_that_was_set_forth_and_back_does_not_stop_the_deleting(tmp_path, clock):
    with open_console(tmp_path, Limits(retention_seconds=3 * DAY, max_points=10), clock) as console:
        clock.now_s += DAY
        await idle(console, lambda: console.store._writer._pruning._next_round_s > clock.now_s)
        clock.now_s -= DAY
        await console.send(
            metrics(counter(*(point(as_int=n, time_unix_nano=NOW_NS - n * 60 * SECOND_NS) for n in range(50))))
        )
        await idle(console, lambda: console.store.state().points < 50)
