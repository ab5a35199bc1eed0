"""A `Telemetry` without sockets, whose spans and log lines are captured and whose every scrape collects."""

import io
import json
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from otel import Telemetry
from otel.instrument.asgi import AsgiApp


def make_telemetry(**options: Any) -> Telemetry:
    """Return a telemetry of the service `shop`; options are those of `from_environ`."""
    return Telemetry.from_environ(**{"service": "shop", "environ": {}, "share_seconds": 0.0, **options})


class Console:
    """Takes the lines of stdout; spans are among them with `OTEL_TRACES_EXPORTER=console`."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.options: dict[str, Any] = {"stdout": self.stream, "environ": {"OTEL_TRACES_EXPORTER": "console"}}

    def _objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def spans(self) -> list[dict[str, Any]]:
        """Finished spans, complete once the telemetry is shut down."""
        return [each for each in self._objects() if "kind" in each]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Log lines, complete once the telemetry is shut down."""
        return [each for each in self._objects() if "logger" in each]


async def get(app: AsgiApp, path: str, method: str = "GET", **options: Any) -> httpx.Response:
    """Send one request to an application."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return await client.request(method, path, **options)


async def exposition(telemetry: Telemetry, path: str = "/metrics") -> str:
    """Return what a scrape of the monitoring endpoints returns."""
    response = await get(telemetry.metrics_app(), path)
    assert response.status_code == 200, response.text
    return response.text


async def samples(telemetry: Telemetry, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Return the samples of one name by their sorted labels."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(await exposition(telemetry))
        for sample in family.samples
        if sample.name in {name, f"{name}_total"}  # the parser adds the suffix to a counter without it
    }
