"""The console of a run: started before the gateway and ended after it, so that it gets the gateway's last telemetry."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from demo.process import Child

PORT: Final = 8_100
PAGE_LINE: Final = "console: listening on "
_OTLP_LINE: Final = "console: receiving OTLP/HTTP on "
_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_ENDPOINTS: Final = (
    _ENDPOINT,
    *(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" for signal in ("TRACES", "METRICS", "LOGS")),
)
_PUSH: Final = {"OTEL_METRIC_EXPORT_INTERVAL": "5000"}
"""A chart that moves every five seconds looks alive."""


def has_endpoint(environ: Mapping[str, str]) -> bool:
    """Whether the gateway's telemetry goes elsewhere already."""
    return any(environ.get(name) for name in _ENDPOINTS)


async def start_console(
    start: Callable[..., Awaitable[Child]], folder: Path, port: int, environ: dict[str, str]
) -> Child:
    """Start a console on a port and set the endpoint in the gateway's `environ`."""
    child = await start(
        "console",
        "app",
        "console",
        "--listen",
        f"127.0.0.1:{port}",
        "--otlp",
        "127.0.0.1:0",
        "--data",
        str(folder / "console.sqlite"),
    )
    await child.wait_ready(PAGE_LINE)
    for name, value in {**_PUSH, _ENDPOINT: child.url_after(_OTLP_LINE)}.items():
        environ.setdefault(name, value)
    return child
