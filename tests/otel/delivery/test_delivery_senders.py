"""The senders on their own: what they make of endpoints that no well-behaved Collector is."""

import socket
import threading
from contextlib import contextmanager

import pytest

from otel.config.environ import OtlpConfig
from otel.delivery.transport.grpc import GrpcSender
from otel.delivery.transport.http import HttpSender
from otel.delivery.transport.sender import Accepted, Refused, RetryLater
from tests.harness.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.live


@contextmanager
def endpoint(*responses):
    """A server that sends one raw response per connection, whatever the request."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            for response in responses:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(response)

        thread = threading.Thread(target=serve)
        thread.start()
        yield HttpSender(
            OtlpConfig(signal="traces", endpoint=f"http://127.0.0.1:{listening.getsockname()[1]}/v1/traces"),
            user_agent="test",
        )
        thread.join(5)


def outcome_of(*responses):
    with endpoint(*responses) as sender:
        outcome = sender.send(b"body", 2.0)
        sender.close()
        return outcome


def response(status, *headers, body=b""):
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["retry-after: 7"], 7.0),
        (["retry-after: Wed, 21 Oct 2026 07:28:30 GMT", "date: Wed, 21 Oct 2026 07:28:00 GMT"], 30.0),
        (["retry-after: Wed, 21 Oct 2026 07:28:30 GMT"], None),
        (["retry-after: soon"], None),
        (["retry-after: -1"], None),
        ([], None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date_by_the_endpoints_own_clock(headers, seconds):
    outcome = outcome_of(response("503 Service Unavailable", *headers))
    assert outcome == RetryLater(reason="HTTP 503 Service Unavailable", retry_after_seconds=seconds)


def test_a_redirect_is_not_followed():
    outcome = outcome_of(response("307 Temporary Redirect", "location: http://127.0.0.1:1/"))
    assert outcome == Refused(reason="HTTP 307 Temporary Redirect")


def test_an_acknowledgement_counts_even_if_its_body_is_not_protobuf_too_long_or_cut_off():
    assert outcome_of(response("200 OK", body=b"<html>ok</html>")) == Accepted()
    assert outcome_of(response("202 Accepted", body=b"x" * 200_000)) == Accepted()
    assert outcome_of(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf") == Accepted()
    assert outcome_of(b"HTTP/1.1 204 No Content\r\n\r\n") == Accepted()


@pytest.mark.parametrize("response", [b"", b"HTTP/1.1 2", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_a_response_that_is_not_http_is_tried_again_later(response):
    outcome = outcome_of(response)
    assert isinstance(outcome, RetryLater)
    assert not outcome.poison


def test_a_closed_port_and_an_unknown_host_are_tried_again_later():
    for url in ("http://127.0.0.1:1/v1/traces", "http://no-such-host.invalid/v1/traces"):
        outcome = HttpSender(OtlpConfig(signal="traces", endpoint=url), user_agent="test").send(b"body", 2.0)
        assert isinstance(outcome, RetryLater)


def test_a_kept_alive_connection_that_closes_under_a_request_is_replaced_at_once():
    """The endpoint's idle timeout and the next request cross on the wire: that is no outage, and no reason to wait."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(response("200 OK"))
                connection.recv(65_536)
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(response("200 OK"))

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/traces"
        sender = HttpSender(OtlpConfig(signal="traces", endpoint=url), user_agent="test")
        assert sender.send(b"first", 2.0) == Accepted()
        assert sender.send(b"second", 2.0) == Accepted()
        thread.join(5)
        sender.close()


def test_grpc_does_not_go_on_with_a_connection_without_responses():
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)

        def accept():
            while len(connections) < 2:
                connections.append(listening.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        sender = GrpcSender(OtlpConfig(signal="traces", endpoint=address, protocol="grpc"), user_agent="test")
        for _ in range(2):
            assert isinstance(sender.send(b"", 0.2), RetryLater)
        thread.join(5)
        assert len(connections) == 2
        sender.close()
        for connection in connections:
            connection.close()


def test_closing_cuts_a_send_that_waits():
    with OtlpReceiver() as receiver:
        receiver.black_hole()
        config = OtlpConfig(signal="traces", endpoint=f"{receiver.endpoint}/v1/traces")
        sender = HttpSender(config, user_agent="test")
        outcomes = []
        thread = threading.Thread(target=lambda: outcomes.append(sender.send(b"", 30.0)))
        thread.start()
        assert receiver.wait_until(lambda: len(receiver.requests) == 1)
        sender.close()
        thread.join(2)
        assert isinstance(outcomes[0], RetryLater)


def test_credentials_of_the_url_are_sent_unless_a_header_replaces_them():
    with OtlpReceiver() as receiver:
        url = receiver.endpoint.replace("http://", "http://us%40er:s3cret@") + "/v1/traces"
        for headers in ((), (("authorization", "Bearer token"),)):
            sender = HttpSender(OtlpConfig(signal="traces", endpoint=url, headers=headers), user_agent="test")
            assert sender.send(b"", 5.0) == Accepted()
            sender.close()
        sent = [request.headers["authorization"] for request in receiver.requests]
        assert sent == ["Basic dXNAZXI6czNjcmV0", "Bearer token"]
