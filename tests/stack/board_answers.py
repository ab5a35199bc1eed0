"""Sends the queries of boards to Prometheus, Loki and Tempo as Grafana's server does, and says which have data."""

import asyncio
import math
import time
from typing import Any, Final

import aiohttp

from dashboards.grafana.board_queries import BoardQuery, QueryKind
from dashboards.pictures.answers import STEP_SECONDS, RefusedQueryError
from tests.stack.stores import Stores

RANGE_SECONDS: Final = 600
_AT_ONCE: Final = 4


async def with_data(stores: Stores, queries: list[BoardQuery]) -> list[bool]:
    """Return for each query whether its answer has data; raises `RefusedQueryError`."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def ask(query: BoardQuery) -> bool:
        async with places:
            try:
                return await _has_data(stores, query)
            except aiohttp.ClientResponseError as error:
                raise RefusedQueryError(f"{query.place}: {query.text}: {error}") from None

    return list(await asyncio.gather(*(ask(query) for query in queries)))


async def _has_data(stores: Stores, query: BoardQuery) -> bool:
    end = int(time.time())
    start = end - RANGE_SECONDS
    match query.kind:
        case QueryKind.PROMQL | QueryKind.SERVICE_MAP:
            if query.is_instant or query.kind is QueryKind.SERVICE_MAP:
                return any(_is_number(each["value"]) for each in await stores.prometheus(query.text))
            found = await stores.get(
                "prometheus", "/api/v1/query_range", query=query.text, start=start, end=end, step=STEP_SECONDS
            )
            return any(_is_number(point) for each in found["data"]["result"] for point in each["values"])
        case QueryKind.LOGQL:
            found = await stores.get(
                "loki",
                "/loki/api/v1/query_range",
                query=query.text,
                start=start * 1_000_000_000,
                end=(end + 1) * 1_000_000_000,
                step=STEP_SECONDS,
                limit=20,
            )
            return bool(found["data"]["result"])
        case QueryKind.TRACEQL:
            found = await stores.get("tempo", "/api/search", q=query.text, start=start, end=end + 5, limit=20)
            return bool(found.get("traces"))


def _is_number(point: Any) -> bool:
    """Whether a sample is drawn: NaN, of a quantile without measurements, is a gap."""
    return not math.isnan(float(point[1]))
