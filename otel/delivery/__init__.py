"""DELIVERY of telemetry by OTLP: never felt by a request, never lost silently. `build_delivery` is the way in.

finished item -> processors -> buffer (pending) -> encode_loop -> buffer (batches) -> export_loop -> http | grpc
collected metrics -> metric_push -> http | grpc
"""

from otel.delivery.build import build_delivery
from otel.delivery.delivery import Delivery, DeliveryReport, DeliveryStats
from otel.delivery.processors import LogDelivery, SpanDelivery
from otel.delivery.stats import SignalStats

__all__ = [
    "Delivery",
    "DeliveryReport",
    "DeliveryStats",
    "LogDelivery",
    "SignalStats",
    "SpanDelivery",
    "build_delivery",
]
