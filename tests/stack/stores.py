"""Queries Prometheus, Tempo and Loki over their own HTTP interfaces, never through the gateway."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import aiohttp

from compose.native.stack import Stack
from demo.traffic.counters import Series

PAGE_LINES: Final = 2_000
REQUEST_LOGS: Final = '{job="gatewayz"} |= `"logger":"gatewayz.request"`'
MOST_TRACES: Final = 200_000
_AT_ONCE: Final = 16
PUSH_LABELS: Final = frozenset({"job", "instance", "deployment_environment_name"})
"""What the push adds to the labels of a sample."""


class Stores:
    """Prometheus, Tempo and Loki of one stack. For one event loop; as an async context manager."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._session: aiohttp.ClientSession | None = None
        self.start_seconds = int(time.time()) - 5

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=180))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, server: str, path: str, **query: str | int) -> Any:
        """Return a server's JSON response; raises `aiohttp.ClientError` for any other status than 200."""
        if self._session is None:
            raise RuntimeError("used outside its context")
        params = {name: str(value) for name, value in query.items()}
        async with self._session.get(self._stack.url(server) + path, params=params) as response:
            response.raise_for_status()
            return json.loads(await response.read())

    async def prometheus(self, query: str, **more: str | int) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        response = await self.get("prometheus", "/api/v1/query", query=query, **more)
        result: list[dict[str, Any]] = response["data"]["result"]
        return result

    async def number(self, query: str) -> float:
        """Return the value of a query with one result; 0 without one."""
        result = await self.prometheus(query)
        return float(result[0]["value"][1]) if result else 0.0

    async def total(self, name: str, window: str = "2h") -> float:
        """Return a counter's sum over all series, those of processes that have ended included."""
        return await self.number(f'sum(last_over_time({name}{{job="gatewayz"}}[{window}]))')

    async def samples(self) -> Mapping[Series, float]:
        """Return the gateway's current samples without the labels that the push adds."""
        found: dict[Series, float] = {}
        for each in await self.prometheus('{job="gatewayz"}'):
            labels = {name: value for name, value in each["metric"].items() if name not in PUSH_LABELS}
            key = labels.pop("__name__"), tuple(sorted(labels.items()))
            if key in found:
                raise ValueError(f"two series under one name: {key}")
            found[key] = float(each["value"][1])
        return found

    async def traces(self) -> dict[str, int]:
        """Return the number of spans by trace id of everything that the gateway sent since the start."""
        response = await self.get(
            "tempo",
            "/api/search",
            q='{ resource.service.name = "gatewayz" }',
            start=self.start_seconds,
            end=int(time.time()) + 5,
            limit=MOST_TRACES,
            spss=20,
        )
        return {each["traceID"].zfill(32): each["spanSets"][0]["matched"] for each in response.get("traces") or []}

    async def span_count(self, trace_id: str) -> int:
        """Return how many spans, by their ids, Tempo shows of a trace that is asked for by its id; 0 where it has none."""
        try:
            response = await self.get("tempo", f"/api/v2/traces/{trace_id}")
        except aiohttp.ClientResponseError:
            return 0
        spans = {
            span["spanId"]
            for group in response.get("trace", {}).get("resourceSpans", [])
            for scoped in group.get("scopeSpans", [])
            for span in scoped["spans"]
        }
        return len(spans)

    async def span_counts(self, trace_ids: Iterable[str]) -> int:
        """Return how many spans Tempo shows of all these traces, asked for one by one: a search may tell of a part only."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def count(trace_id: str) -> int:
            async with places:
                return await self.span_count(trace_id)

        return sum(await asyncio.gather(*(count(trace_id) for trace_id in trace_ids)))

    async def has_trace(self, trace_id: str) -> bool:
        """Whether Tempo finds a trace by its id."""
        try:
            response = await self.get("tempo", f"/api/v2/traces/{trace_id}")
        except aiohttp.ClientError:
            return False
        return bool(response.get("trace", {}).get("resourceSpans"))

    async def request_logs(self) -> Counter[str]:
        """Return how often each trace id has a request log, of all lines since the start, page by page."""
        lines: Counter[str] = Counter()
        start, seen = self.start_seconds * 1_000_000_000, set[tuple[str, str, str]]()
        while True:
            response = await self.get(
                "loki",
                "/loki/api/v1/query_range",
                query=REQUEST_LOGS,
                start=start,
                end=(int(time.time()) + 5) * 1_000_000_000,
                limit=PAGE_LINES,
                direction="forward",
            )
            page = [
                (stamp, each["stream"].get("trace_id", ""), line)
                for each in response["data"]["result"]
                for stamp, line in each["values"]
            ]
            lines.update(trace_id for stamp, trace_id, line in page if (stamp, trace_id, line) not in seen)
            if len(page) < PAGE_LINES:
                return lines
            start = max(int(stamp) for stamp, _, _ in page)
            seen = {each for each in page if int(each[0]) == start}

    async def log_count(self) -> int:
        """Return the number of request logs since the start."""
        seconds = int(time.time()) - self.start_seconds + 5
        query = f"sum(count_over_time({REQUEST_LOGS} [{seconds}s]))"
        result = (await self.get("loki", "/loki/api/v1/query", query=query))["data"]["result"]
        return int(result[0]["value"][1]) if result else 0

    async def has_log(self, trace_id: str) -> bool:
        """Whether Loki has a line of this trace."""
        response = await self.get(
            "loki",
            "/loki/api/v1/query_range",
            query=f'{{job="gatewayz"}} | trace_id="{trace_id}"',
            start=self.start_seconds * 1_000_000_000,
            end=(int(time.time()) + 5) * 1_000_000_000,
            limit=5,
        )
        return bool(response["data"]["result"])
