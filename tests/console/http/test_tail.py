"""The live tail over a real socket: rows as they arrive, filters, resumption, its bounds."""

import json

import httpx
import pytest

from console.http import tail as tail_module
from console.store.read_budget import ReadBudget
from tests.harness.console import log_record, logs
from tests.harness.gateway_lines import request_line
from tests.harness.served_asgi import serve_asgi


class Stream:
    """The events of one tail."""

    def __init__(self, response):
        self._lines = response.aiter_lines()

    async def event(self):
        """Return the next event as (name, id, data)."""
        fields = {}
        async for line in self._lines:
            if not line:
                if "data" in fields:
                    return fields.get("event"), fields.get("id"), json.loads(fields["data"])
                fields = {}
            name, _, value = line.partition(": ")
            fields[name] = value
        raise AssertionError("the stream ended")


@pytest.fixture
async def url(site, monkeypatch):
    monkeypatch.setattr(tail_module, "LOOK_SECONDS", 0.02)
    async with serve_asgi(site.app) as served:
        yield served
        site.app.close()


async def started(response):
    """Return the stream when the tail reads from now on."""
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    return Stream(response)


async def test_rows_come_as_they_arrive_and_only_those_that_are_wanted(site, url):
    await site.console.send(logs(request_line(-50, model="old")))
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}/api/tail?model=a&model=b") as response:
        stream = await started(response)
        await site.console.send(
            logs(request_line(-5, model="a"), request_line(-4, model="c"), request_line(-3, model="b"))
        )
        first, second = await stream.event(), await stream.event()
    assert [first[0], first[2]["model"], second[2]["model"]] == ["request", "a", "b"]
    assert first[1] == first[2]["id"]


async def test_log_records_have_a_tail_too(site, url):
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", f"{url}/api/tail?kind=logs&severity=WARN&q=bad") as response,
    ):
        stream = await started(response)
        await site.console.send(
            logs(
                log_record("bad but quiet"),
                log_record("bad\nand\n\nloud", severity_number=13),
                log_record("x", severity_number=17),
            )
        )
        name, _, row = await stream.event()
    assert (name, row["message"]) == ("log", "bad\nand\n\nloud")


async def test_a_client_that_comes_back_gets_what_it_missed(site, url):
    await site.console.send(logs(request_line(-9, model="1"), request_line(-8, model="2"), request_line(-7, model="3")))
    headers = {"last-event-id": "1"}
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}/api/tail", headers=headers) as response:
        stream = await started(response)
        assert [(await stream.event())[2]["model"] for _ in range(2)] == ["2", "3"]


async def test_rows_that_come_too_fast_are_counted_as_skipped(site, url):
    await site.console.send(logs(*(request_line(-9, model=str(number)) for number in range(300))))
    headers = {"last-event-id": "0"}
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}/api/tail", headers=headers) as response:
        stream = await started(response)
        events = [await stream.event() for _ in range(201)]
    assert [each[2].get("model") for each in events[:200]] == [str(number) for number in range(100, 300)]
    assert (events[200][0], events[200][2]) == ("skipped", {"rows": 100})


async def test_of_long_records_the_newest_are_sent(site, url, monkeypatch):
    monkeypatch.setattr("console.store.read_logs.ReadBudget", lambda: ReadBudget(5_000))
    await site.console.send(logs(*(log_record(f"{number} " + "x" * 900) for number in range(9))))
    headers = {"last-event-id": "0"}
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", f"{url}/api/tail?kind=logs", headers=headers) as response,
    ):
        stream = await started(response)
        events = [await stream.event() for _ in range(4)]
    assert [each[2].get("message", "")[:1] for each in events] == ["6", "7", "8", ""]
    assert (events[3][0], events[3][2]) == ("skipped", {"rows": 6})


async def test_more_tails_than_allowed_are_refused(site, url, monkeypatch):
    monkeypatch.setattr(tail_module, "MAX_TAILS", 1)
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}/api/tail") as response:
        await started(response)
        refused = await client.get(f"{url}/api/tail")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")


async def test_a_quiet_stream_shows_that_it_lives(site, url):
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}/api/tail") as response:
        lines = response.aiter_lines()
        assert (await anext(lines)).startswith("retry:")
        site.clock.advance(tail_module.QUIET_SECONDS)
        async for line in lines:
            if line:
                assert line == ": quiet"
                break


async def test_the_end_of_the_console_ends_its_streams(site, url):
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}/api/tail") as response:
        site.app.close()
        async for _ in response.aiter_lines():
            pass
