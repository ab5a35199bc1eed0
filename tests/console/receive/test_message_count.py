"""A small body cannot become millions of objects, and what the count takes for a message, the parser does too."""

import random

import pytest
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from console.receive.message_count import check_message_count
from console.store.work import MalformedError, TooLargeError
from tests.fuzz.hostile_values import mutate
from tests.harness.console import metrics, open_console, span, traces

MANY = 100_000


def field(number, content):
    """Return a delimited field."""
    length, size = b"", len(content)
    while size > 0x7F:
        length += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return bytes((number << 3 | 2,)) + length + bytes((size,)) + content


BODIES = {
    "resources": ("traces", field(1, b"") * MANY),
    "scopes": ("traces", field(1, field(2, b"") * MANY)),
    "spans": ("traces", field(1, field(2, field(2, b"") * MANY))),
    "records": ("logs", field(1, field(2, field(2, b"") * MANY))),
    "metrics": ("metrics", field(1, field(2, field(2, b"") * MANY * 7))),
    "points": ("metrics", field(1, field(2, field(2, field(7, field(1, b"") * MANY * 7))))),
    "points of many sums": ("metrics", field(1, field(2, field(2, field(7, field(1, b"")) * MANY * 4)))),
}


@pytest.mark.parametrize("name", BODIES)
async def test_empty_messages_without_end_are_a_413(tmp_path, name):
    signal, body = BODIES[name]
    with open_console(tmp_path) as console:
        response = await console.post(f"/v1/{signal}", body)
    assert response.status_code == 413
    assert b"send smaller batches" in response.content


def test_each_message_counts_once():
    body = traces(*(span() for _ in range(5))).SerializeToString()
    check_message_count("traces", body, 7)  # one resource, one scope
    with pytest.raises(TooLargeError):
        check_message_count("traces", body, 6)
    metric = Metric(name="x")
    for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary"):
        getattr(metric, kind).data_points.add()
        body = metrics(metric).SerializeToString()
        check_message_count("metrics", body, 5)
        with pytest.raises(TooLargeError):
            check_message_count("metrics", body, 4)


@pytest.mark.parametrize(
    "body", [b"\x0a", b"\x0a\x05", b"\x0b", b"\x0f", b"\xff" * 11, b"\x08", b"\x0a\x03\x12\x05\x00"]
)
def test_what_is_no_message_is_refused(body):
    with pytest.raises(MalformedError):
        check_message_count("traces", body, 10)


@pytest.mark.parametrize(
    ("signal", "request_type"), [("traces", ExportTraceServiceRequest), ("metrics", ExportMetricsServiceRequest)]
)
def test_nothing_that_the_parser_takes_is_refused_but_groups(signal, request_type):
    rng = random.Random(5)
    whole = (traces(span(), span()) if signal == "traces" else metrics(Metric(name="x", unit="1"))).SerializeToString()
    taken = 0
    for _ in range(3_000):
        body = mutate(rng, whole)
        try:
            request_type.FromString(body)
        except DecodeError:
            continue
        taken += 1
        try:
            check_message_count(signal, body, 1_000)
        except MalformedError as error:
            assert "unknown kind" in str(error)  # noqa: PT017  only groups, which no OTLP message has
    assert taken > 100
