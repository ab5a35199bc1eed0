"""The resource: one immutable set of attributes on all telemetry of this process.

`OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` win over the built-in attributes. No detector
runs and no network is used.
"""

import os
import socket
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as sdk_version

from otel.config.environ import TelemetryConfig

DEFAULT_SERVICE_NAME: Final = "gatewayz"


class HashedResource(Resource):
    """A resource that computes its hash once.

    The SDK's resource hashes its JSON form at every use, and the OTLP encoder groups every span by
    resource. That is an eighth of the cost of encoding.
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
    """Build the resource.

    `instance_id` is new for each process, so that restarts and workers are distinguished. The keys
    follow the resource semantic conventions. Call it after a fork, because it reads `process.pid`.
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
