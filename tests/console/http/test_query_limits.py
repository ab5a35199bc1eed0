"""A query that takes too long ends with a response that says what to do; many at once are refused, not queued."""

import asyncio
import sqlite3
import threading

import pytest

from console.http import query_threads
from console.http.json_routes import ROUTES
from tests.harness.console import logs
from tests.harness.gateway_lines import request_line
from tests.harness.polling import until

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"


async def test_a_query_beyond_its_time_is_a_503_and_the_next_one_is_served(site, monkeypatch):
    monkeypatch.setattr(query_threads, "QUERY_SECONDS", 0.05)
    monkeypatch.setattr(
        "console.http.json_routes.read_now", lambda view, _: view.connection.execute(ENDLESS).fetchall()
    )
    response = await site.get("/api/now")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert "narrow the time range" in response.json()["detail"]
    monkeypatch.setattr(query_threads, "QUERY_SECONDS", 5.0)
    await site.console.send(logs(request_line(-5)))
    assert len((await site.json("/api/requests"))["rows"]) == 1


async def test_queries_beyond_those_that_may_wait_are_refused(site, monkeypatch):
    monkeypatch.setattr(query_threads, "MAX_WAITING", 1)
    entered, release = threading.Event(), threading.Event()

    def wait(*_):
        entered.set()
        release.wait(20)
        raise ValueError("released")

    monkeypatch.setattr("console.http.json_routes.read_now", wait)
    first = asyncio.create_task(site.get("/api/now"))
    await asyncio.to_thread(entered.wait, 20)
    refused = await site.get("/api/meta")
    release.set()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (await first).json()["detail"] == "released"


@pytest.mark.parametrize("content", [None, b"", b"a text", "another database"])
async def test_a_file_that_is_not_in_its_place_is_a_503_everywhere(site, content):
    path = site.console.store.path
    path.rename(path.with_name("aside"))
    if content == "another database":
        # Made elsewhere: what is opened there would take the write-ahead log for its own.
        made = path.with_name("made")
        with sqlite3.connect(made) as other:
            other.execute("CREATE TABLE spans(id)")
        other.close()
        made.rename(path)
    elif content is not None:
        path.write_bytes(content)
    # More at once than connections are open.
    urls = [url for url in ROUTES if url != "/api/metrics/range"] + ["/api/requests.csv", "/api/cost.csv", "/api/tail"]
    responses = await asyncio.gather(*(site.get(url) for url in urls))
    assert {each.status_code for each in responses} == {503}
    assert {each.headers["retry-after"] for each in responses} == {"5"}
    assert "file was deleted or replaced: put it back" in responses[0].json()["detail"]
    path.with_name("aside").rename(path)
    assert (await site.get("/api/meta")).status_code == 200


async def test_a_defect_of_a_route_is_a_500_without_its_reason_and_one_line_for_the_operator(site, monkeypatch):
    def fail(*_):
        raise RuntimeError("a secret")

    monkeypatch.setattr("console.http.json_routes.read_now", fail)
    response = await site.get("/api/now")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert site.lines == ["failed on '/api/now', please report it: RuntimeError: a secret"]
    site.lines.clear()


async def test_a_console_that_stops_refuses_queries_and_those_that_wait_too(site, monkeypatch):
    entered, release = threading.Semaphore(0), threading.Event()

    def wait(*_):
        entered.release()
        release.wait(20)
        raise ValueError("released")

    monkeypatch.setattr("console.http.json_routes.read_now", wait)
    running = [asyncio.create_task(site.get("/api/now")) for _ in range(query_threads.THREADS)]
    for _ in running:
        await asyncio.to_thread(entered.acquire, timeout=20)
    waiting = asyncio.create_task(site.get("/api/meta"))
    await until(lambda: site.app._queries._waiting > query_threads.THREADS)
    site.app.close()
    assert (await waiting).json()["detail"] == "The console is stopping."
    assert (await site.get("/api/meta")).status_code == 503
    release.set()
    assert {(await each).json()["detail"] for each in running} == {"released"}
