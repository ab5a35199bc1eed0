"""The pages of monitoring: what is made once for all requests of a collection."""

import asyncio
import json

import pytest

from otel.catalogue.spec import Category
from otel.exposition import pages as pages_module
from otel.exposition.collect_threads import CollectThreads
from otel.exposition.pages import MonitoringPages
from tests.harness.metered import OPENMETRICS, Metered


def measured():
    metered = Metered(share_seconds=1.0)
    for name in ("made_up", "another"):
        metered.meter.create_counter(name).add(1)
    return metered


class CountedThreads(CollectThreads):
    def __init__(self):
        super().__init__()
        self.started = 0

    async def run(self, work):
        self.started += 1
        return await super().run(work)


def test_a_flood_of_summaries_makes_each_of_them_once_for_a_collection(monkeypatch):
    made = []
    original = pages_module.summarise

    def summarise(snapshot, category, exposed_name):
        made.append((snapshot.number, category))
        return original(snapshot, category, exposed_name)

    monkeypatch.setattr(pages_module, "summarise", summarise)
    metered = Metered(share_seconds=1.0)
    pages = MonitoringPages(metered.exposition)

    async def ask(times):
        responses = [await pages.summary(query) for query in (b"", b"category=system") * times]
        return [json.loads(response.body) for response in responses]

    first = asyncio.run(ask(20))
    assert first[0] == first[38]
    assert "models" in first[0]
    assert "models" not in first[1]
    number = made[0][0]
    assert made == [(number, None), (number, Category("system"))]
    metered.clock.advance(1.0)
    asyncio.run(ask(20))
    assert made[2:] == [(number + 1, None), (number + 1, Category("system"))]


@pytest.mark.parametrize("category", [None, Category("system")])
def test_a_flood_of_scrapes_starts_one_thread_for_a_collection(monkeypatch, category):
    metered = measured()
    threads = CountedThreads()
    pages = MonitoringPages(metered.exposition, threads=threads)

    async def ask(**headers):
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return await pages.families(named, b"", category)

    async def flood():
        return [await ask() for _ in range(20)]

    responses = asyncio.run(flood())
    assert threads.started == 1
    assert all(each == responses[0] for each in responses)
    assert responses[0] == metered.scrape(category=category)
    for headers in ({"accept": OPENMETRICS}, {"accept_encoding": "gzip"}):
        first, second = asyncio.run(ask(**headers)), asyncio.run(ask(**headers))
        assert first == second == metered.scrape(**headers, category=category)
    assert threads.started == 3
    metered.clock.advance(1.0)
    asyncio.run(flood())
    assert threads.started == 4


def test_a_selection_by_name_is_made_each_time():
    threads = CountedThreads()
    pages = MonitoringPages(measured().exposition, threads=threads)

    async def ask():
        return [await pages.families([], query) for query in (b"", b"name[]=made_up")]

    whole, selected = asyncio.run(ask())
    assert threads.started == 2
    assert b"made_up 1\n" in selected.body
    assert len(selected.body) < len(whole.body)
