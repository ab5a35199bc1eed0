"""Delivery of telemetry by OTLP: it blocks no request and loses nothing without counting it.

    span, log record -> processors (encode) -> signal_queue (pending) -> encode_loop (batches) -> buffer -> export_loop -> transport
    collected metrics -> metric_push -> push_queue -> metric_push -> transport
    what shutdown cannot deliver -> spool -> the next start

`build_delivery` is the way in.
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
