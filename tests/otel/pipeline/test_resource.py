"""The resource names the sender; the environment wins, except over the SDK's attributes."""

import os
import socket

from opentelemetry.sdk.resources import Resource

from otel.config.environ import TelemetryConfig, telemetry_config_from_environ
from otel.pipeline.resource import build_resource


def build(config=None):
    return build_resource(config or TelemetryConfig(), service_version="1.2.3", instance_id="an-id")


def test_defaults():
    attributes = build().attributes
    assert attributes["service.name"] == "gatewayz"
    assert attributes["service.version"] == "1.2.3"
    assert attributes["service.instance.id"] == "an-id"
    assert attributes["process.pid"] == os.getpid()
    assert attributes["host.name"] == socket.gethostname()
    assert attributes["telemetry.sdk.name"] == "opentelemetry"


def test_the_environment_wins_over_built_in_attributes():
    config = telemetry_config_from_environ(
        {
            "OTEL_SERVICE_NAME": "mine",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod,service.version=9,telemetry.sdk.name=fake",
        }
    )
    attributes = build(config).attributes
    assert attributes["service.name"] == "mine"
    assert attributes["service.version"] == "9"
    assert attributes["deployment.environment.name"] == "prod"
    assert attributes["telemetry.sdk.name"] == "opentelemetry"


def test_hashing_once_changes_neither_equality_nor_the_hash():
    resource, sdk = build(), Resource(dict(build().attributes))
    assert resource == build()
    assert resource == sdk
    assert hash(resource) == hash(sdk)
    assert resource != Resource({})
