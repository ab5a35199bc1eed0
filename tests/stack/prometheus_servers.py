"""Queries Prometheus for current results, by labels, without those that show how a sample arrived."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

Labels = tuple[tuple[str, str], ...]
Result = dict[Labels, float]
PATH_LABELS: Final = frozenset({"job", "instance", "deployment_environment_name"})
"""Different for pushed and for scraped samples of the same gateway."""


class Prometheus:
    """One server, for one event loop."""

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession) -> None:
        self.name = name
        self._url = url
        self._session = session

    async def get(self, path: str, **query: str) -> Any:
        """Return the `data` of a response; raises `aiohttp.ClientResponseError`, for a query that does not parse as well."""
        async with self._session.get(f"{self._url}/api/v1/{path}", params=query) as response:
            response.raise_for_status()
            return json.loads(await response.read())["data"]

    async def ask(self, query: str, at_seconds: float | None = None) -> Result:
        """Return the result of an instant query; raises ValueError where two series differ by how they came alone."""
        at = {} if at_seconds is None else {"time": f"{at_seconds:.3f}"}
        data = await self.get("query", query=query, **at)
        if data["resultType"] == "scalar":
            return {(): float(data["result"][1])}
        found: Result = {}
        for each in data["result"]:
            key = _labels(each["metric"])
            if key in found:
                raise ValueError(f"{self.name}: twice under {key}")
            found[key] = float(each["value"][1])
        return found

    async def label_values(self, family: str, label: str) -> list[str]:
        """Return what Grafana's `label_values(family, label)` finds."""
        values: list[str] = await self.get(f"label/{label}/values", **{"match[]": family})
        return values

    async def age_seconds(self, family: str) -> float:
        """Return how old the newest sample of a family is; infinite where there is none."""
        stamps = await self.ask(f"max(timestamp({family}))")
        return time.time() - stamps[()] if stamps else float("inf")


async def everywhere(
    servers: Mapping[str, Prometheus], query: str, at_seconds: float | None = None
) -> dict[str, Result]:
    """Ask all servers the same."""
    responses = await asyncio.gather(*(server.ask(query, at_seconds) for server in servers.values()))
    return dict(zip(servers, responses, strict=True))


def _labels(metric: Mapping[str, str]) -> Labels:
    """Return the labels that say what was measured. A scrape writes `le="1.0"` where the OTLP receiver writes `le="1"`."""
    return tuple(
        sorted(
            (name, str(float(value)) if name == "le" else value)
            for name, value in metric.items()
            if name not in PATH_LABELS
        )
    )
