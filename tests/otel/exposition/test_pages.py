"""The pages of monitoring: what is made once for all requests of a collection."""

import asyncio
import json

from otel.catalogue.spec import Category
from otel.exposition import pages as pages_module
from otel.exposition.pages import MonitoringPages
from tests.harness.metered import Metered


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
