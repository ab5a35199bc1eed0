"""The client connections as metric families; read by the thread that collects."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from app.server.connections import Connections
from otel.catalogue import gateway, semconv
from otel.metrics.instruments import Sample, SampleSource

Observe: TypeAlias = Callable[[str, SampleSource], None]
"""Gives an observable family its source: `Telemetry.observe`."""


def observe_connections(observe: Observe, connections: Connections) -> None:
    """Register the families `gatewayz_client_connections*`."""

    def open_now() -> Iterable[Sample]:
        return [(connections.open, {})]

    def closed() -> Iterable[Sample]:
        return [(count, {semconv.REASON: reason}) for reason, count in connections.closed.items()]

    observe(gateway.CLIENT_CONNECTIONS, open_now)
    observe(gateway.CLIENT_CONNECTIONS_CLOSED, closed)
