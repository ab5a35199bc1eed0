"""What counts as acknowledged: everything but a request whose sender had to give up waiting."""

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otel.delivery.transport.sender import Accepted, RetryLater
from tests.harness.otlp_data import ReceivedRequest
from tests.harness.watched_sender import Try, acknowledged

TIMEOUT_SECONDS = 1.5


def payload(body):
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = body
    return request.SerializeToString()


def a_try(body, began, ended, outcome):
    return Try(
        signal="logs",
        payload=payload(body),
        began_seconds=began,
        ended_seconds=ended,
        timeout_seconds=TIMEOUT_SECONDS,
        outcome=outcome,
    )


def received(body, at, *, accepted=True):
    return ReceivedRequest(signal="logs", headers={}, body=payload(body), accepted=accepted, received_seconds=at)


RETRY = RetryLater(reason="by script")


@pytest.mark.parametrize(
    ("requests", "tries", "expected"),
    [
        (
            [received("a", 0.1), received("a", 0.3)],
            [a_try("a", 0, 0.2, Accepted()), a_try("a", 0.25, 0.4, Accepted())],
            "aa",
        ),
        (
            [received("a", 0.1), received("a", 0.3)],
            [a_try("a", 0, 0.2, RETRY), a_try("a", 0.25, 0.4, Accepted())],
            "aa",
        ),
        ([received("a", 0.1), received("a", 1.9)], [a_try("a", 0, 1.5, RETRY), a_try("a", 1.8, 2, Accepted())], "a"),
        ([received("a", 1.7), received("a", 1.9)], [a_try("a", 0, 1.5, RETRY), a_try("a", 1.8, 2, Accepted())], "a"),
        ([received("a", 0.1)], [a_try("a", 0, 1.6, Accepted())], "a"),
        ([received("a", 0.1), received("b", 0.2)], [a_try("a", 0, 1.5, RETRY)], "b"),
        (
            [received("a", 0.1, accepted=False), received("a", 1.9)],
            [a_try("a", 0, 1.5, RETRY), a_try("a", 1.8, 2, Accepted())],
            "a",
        ),
    ],
    ids=[
        "twice though acknowledged",
        "twice though refused in time",
        "kept, and the response too late",
        "kept after the sender had left",
        "acknowledged late, and in time",
        "never tried",
        "a black hole",
    ],
)
def test_only_what_waited_in_vain_is_left_out(requests, tries, expected):
    assert "".join(record["body"] for record in acknowledged(requests, tries).log_records) == expected
