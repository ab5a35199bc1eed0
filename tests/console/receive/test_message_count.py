"""A small body cannot become millions of objects, and what the count takes for a message, the parser does too."""

import random

import pytest
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from console.receive.message_count import check_message_count
from console.receive.nested_count import check_nested_count, nested_fields
from console.store.work import MalformedError, TooLargeError
from tests.fuzz.hostile_values import mutate
from tests.harness.console import metrics, open_console, span, traces

MANY = 100_000
LOG_FIELDS = nested_fields(ExportLogsServiceRequest.DESCRIPTOR)


def field(number, content):
    """Return a delimited field."""
    length, size = b"", len(content)
    while size > 0x7F:
        length += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return bytes((number << 3 | 2,)) + length + bytes((size,)) + content


def record(content):
    return "logs", field(1, field(2, field(2, content)))


VALUES = 1_100_000
ARRAY = field(5, field(1, b"") * VALUES)
BODIES = {
    "resources": ("traces", field(1, b"") * MANY),
    "scopes": ("traces", field(1, field(2, b"") * MANY)),
    "spans": ("traces", field(1, field(2, field(2, b"") * MANY))),
    "records": ("logs", field(1, field(2, field(2, b"") * MANY))),
    "metrics": ("metrics", field(1, field(2, field(2, b"") * MANY * 7))),
    "points": ("metrics", field(1, field(2, field(2, field(7, field(1, b"") * MANY * 7))))),
    "points of many sums": ("metrics", field(1, field(2, field(2, field(7, field(1, b"")) * MANY * 4)))),
    "elements of a body": record(field(5, ARRAY)),
    "elements far down": record(field(5, field(6, field(1, field(1, b"a") + field(2, field(5, field(1, ARRAY))))))),
    "elements after a text": record(field(5, field(1, b"text") + ARRAY)),
    "attributes": record(field(6, b"") * VALUES),
    "attributes of a resource": ("traces", field(1, field(1, field(1, b"") * VALUES))),
    "events": ("traces", field(1, field(2, field(2, field(11, b"") * VALUES)))),
    "exemplars": ("metrics", field(1, field(2, field(2, field(7, field(1, field(5, b"") * VALUES)))))),
    "quantiles": ("metrics", field(1, field(2, field(2, field(11, field(1, field(6, b"") * VALUES)))))),
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


def nested(message):
    """Return how many messages are in the repeated fields of a parsed one, and below."""
    found = 0
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            is_one = isinstance(value, Message)
            found += nested(value) if is_one else len(value) + sum(map(nested, value))
    return found


def test_what_is_nested_counts_once():
    value = {"list": [1, "two", {"three": [None, b"4"]}], "text": "x" * 200}
    request = traces(*(span(attributes=value, events=[Span.Event(name="e")] * 2) for _ in range(3)))
    count = nested(request)
    assert count == 1 + 1 + 3 * (1 + 2 + 2 + 3 + 1 + 2) + len(request.resource_spans[0].resource.attributes)
    fields, body = nested_fields(request.DESCRIPTOR), request.SerializeToString()
    check_nested_count(fields, body, 5, count - 5)
    with pytest.raises(TooLargeError, match=f"more than {count - 6} attributes"):
        check_nested_count(fields, body, 5, count - 6)


def test_messages_in_each_other_without_end_are_refused():
    value = b""
    for _ in range(200):
        value = field(5, field(1, value))
    with pytest.raises(MalformedError, match="too deep"):
        check_nested_count(LOG_FIELDS, record(field(5, value))[1], 0, 100)


def test_a_body_that_is_too_small_for_too_many_is_not_walked():
    check_nested_count(LOG_FIELDS, b"\x0b" * 20, 4, 6)
    with pytest.raises(MalformedError):
        check_nested_count(LOG_FIELDS, b"\x0b" * 21, 4, 6)


@pytest.mark.parametrize("body", [b"\x0a", b"\x0a\x05", b"\x0b", b"\xff" * 11, b"\x08", b"\x0a\x03\x12\x05\x00"])
def test_what_is_no_message_is_refused_below_items_too(body):
    with pytest.raises(MalformedError):
        check_nested_count(LOG_FIELDS, body, 0, 0)


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
            below = nested(request_type.FromString(body))
            body += b"\x78\x01"  # so that it is walked, whatever is in it
            check_nested_count(nested_fields(request_type.DESCRIPTOR), body, 0, len(body) // 2 - 1)
            if below:
                with pytest.raises(TooLargeError):
                    check_nested_count(nested_fields(request_type.DESCRIPTOR), body, 0, below - 1)
        except MalformedError as error:
            assert "unknown kind" in str(error)  # noqa: PT017  only groups, which no OTLP message has
    assert taken > 100
