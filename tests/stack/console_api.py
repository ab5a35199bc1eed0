"""What the console's own HTTP interface says of a gateway, in the samples that `/metrics` has."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiohttp

from demo.traffic.counters import Series

RANGE: Final = {"range": "3600"}
SPLITS: Final = ("provider", "model")
"""The labels by which families with more series than a chart can have are asked for."""
_NEWEST: Final = {**RANGE, "step": "3600", "window": "3600", "exemplars": "false", "limit": "100"}


class ConsoleApi:
    """One console, for one event loop; `session` has its address as its base."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str, **query: str) -> Any:
        """Return a response; raises `aiohttp.ClientResponseError`."""
        async with self._session.get(f"/api/{path}", params=query) as response:
            response.raise_for_status()
            return json.loads(await response.read())

    async def rows(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Return every row of a paged list."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, limit="500", **RANGE, **query, **cursor)
            found += page["rows"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    async def values(self, name: str, function: str = "value") -> dict[Series, float]:
        """Return a counter's samples: newest values, or increases over the last hour. Raises ValueError for too many."""
        return await self._samples(name, name, function, {})

    async def buckets(self, name: str) -> dict[Series, float]:
        """Return what each bucket of a histogram counted in the last hour, under the name and labels that Prometheus has."""
        found: dict[Series, float] = {}
        # A chart has a hundred lines at most: one chart for each set of labels.
        for _, labels in await self._samples(name, name, "increase", {}):
            found |= await self._samples(name, f"{name}_bucket", "buckets", dict(labels))
        return found

    async def _samples(self, name: str, shown: str, function: str, match: Mapping[str, str]) -> dict[Series, float]:
        charts = await self._charts(name, function, match, SPLITS)
        return {(shown, _labels(each["labels"])): each["values"][-1] for chart in charts for each in chart["series"]}

    async def _charts(
        self, name: str, function: str, match: Mapping[str, str], splits: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return one chart, or several where one cannot have all series."""
        chart = await self._chart(name, function, "*", match)
        if not chart["truncated"]:
            return [chart]
        if not splits:
            raise ValueError(f"{name} has too many series with {match}")
        found: list[dict[str, Any]] = []
        for group in (await self._chart(name, function, splits[0], match))["series"]:
            found += await self._charts(name, function, {**match, **group["labels"]}, splits[1:])
        return found

    async def _chart(self, name: str, function: str, by: str, match: Mapping[str, str]) -> dict[str, Any]:
        query = {"name": name, "fn": function, "by": by, **_NEWEST}
        pairs = [*query.items(), *(("match", f"{label}={value}") for label, value in match.items())]
        async with self._session.get("/api/metrics/range", params=pairs) as response:
            response.raise_for_status()
            found: dict[str, Any] = json.loads(await response.read())
            return found


def _labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the labels of the sample itself, without those of its resource."""
    return tuple(sorted((name, value) for name, value in labels.items() if not name.startswith("resource.")))
