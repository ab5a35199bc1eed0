"""RESOURCE: who sends this telemetry; one immutable set of attributes on everything that leaves the process.

Comes in: the configuration and the identity of this process. Goes out: the SDK's `Resource`. What
the environment says (`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`) wins over what the code
knows. It runs no detector and asks no network.
"""

import os
import socket
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as sdk_version

from otel.config.environ import TelemetryConfig

DEFAULT_SERVICE_NAME: Final = "gatewayz"


class HashedResource(Resource):
    """A resource that hashes itself once.

    The SDK's hashes its JSON form at every use, and the OTLP encoder groups each single span by resource: an eighth of the
    cost of encoding.
    """

    _hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)


def build_resource(
    config: TelemetryConfig, *, service_version: str, instance_id: str, service_name: str = DEFAULT_SERVICE_NAME
) -> Resource:
    """Build the resource; `instance_id` is random and new for each process, so that restarts and workers stay apart.

    Keys by the resource semantic conventions. Call it after a fork: `process.pid` is the caller's.
    """
    return HashedResource(
        {
            "service.name": service_name,
            "service.version": service_version,
            "service.instance.id": instance_id,
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
            **config.resource_attributes,
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": sdk_version,
        }
    )
