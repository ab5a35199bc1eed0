"""LABEL BOUNDS: the closed sets that the gateway's labels take, from its configuration and its code.

Comes in: the configuration. Goes out: `LabelBounds` for telemetry. Nothing that a client sends is
in it.
"""

from collections.abc import Iterator

from app.config.schema import AppConfig
from app.errors import GatewayError
from app.http.route_table import TRAFFIC_PATHS
from otel.labels import LabelBounds

_FRAMEWORK_EXCEPTIONS = ("HTTPException", "InternalServerException", "LitestarException")


def label_bounds(config: AppConfig) -> LabelBounds:
    """Return the bounds of one configuration."""
    return LabelBounds.from_routes(
        config.telemetry.app_name,
        tuple((route.provider, model.name) for model in config.models for route in model.routes),
        paths=TRAFFIC_PATHS,
        exception_types=frozenset(each.__name__ for each in _subclasses(GatewayError)).union(_FRAMEWORK_EXCEPTIONS),
    )


def _subclasses(cls: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _subclasses(subclass)
