"""The TLS endpoint is verified, a client certificate is presented, and a missing file stops the start."""

import ssl

import grpc
import pytest

from otel.config.environ import OtlpConfig, TelemetryConfigError, telemetry_config_from_environ
from otel.delivery.build import build_sender
from otel.delivery.transport.sender import Accepted, RetryLater
from tests.harness.certificates import self_signed
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Return a self-signed certificate for 127.0.0.1 and its key, as paths."""
    return self_signed(tmp_path_factory.mktemp("tls"))


def http_receiver(certificate, key, *, ask_for_certificate=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if ask_for_certificate:
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    return OtlpReceiver(tls=context)


def grpc_receiver(certificate, key, *, ask_for_certificate=False):
    pem = certificate.read_bytes()
    return OtlpGrpcReceiver(
        tls=grpc.ssl_server_credentials(
            [(key.read_bytes(), pem)],
            root_certificates=pem if ask_for_certificate else None,
            require_client_auth=ask_for_certificate,
        )
    )


PROTOCOLS = pytest.mark.parametrize(
    ("protocol", "receiver_for"), [("http/protobuf", http_receiver), ("grpc", grpc_receiver)]
)


def send(receiver, protocol, **environ):
    config = telemetry_config_from_environ(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, **environ}
    ).traces
    sender = build_sender(config)
    try:
        return sender.send(b"", 5.0)
    finally:
        sender.close()


@PROTOCOLS
def test_the_endpoint_is_verified_against_the_configured_certificate(certificates, protocol, receiver_for):
    with receiver_for(*certificates) as receiver:
        trusting = send(receiver, protocol, OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificates[0]))
        assert trusting == Accepted()
        outcome = send(receiver, protocol)
        assert isinstance(outcome, RetryLater)
        assert "certificate" in outcome.reason.lower()
        assert len(receiver.requests) == 1


@PROTOCOLS
def test_a_client_certificate_is_presented(certificates, protocol, receiver_for):
    certificate, key = (str(path) for path in certificates)
    with receiver_for(*certificates, ask_for_certificate=True) as receiver:
        known = send(
            receiver,
            protocol,
            OTEL_EXPORTER_OTLP_CERTIFICATE=certificate,
            OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=certificate,
            OTEL_EXPORTER_OTLP_CLIENT_KEY=key,
        )
        assert known == Accepted()
        assert isinstance(send(receiver, protocol, OTEL_EXPORTER_OTLP_CERTIFICATE=certificate), RetryLater)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_certificate_file_that_is_missing_stops_the_start(protocol, tmp_path):
    config = OtlpConfig(
        signal="traces",
        endpoint="https://127.0.0.1:1/v1/traces" if protocol == "http/protobuf" else "127.0.0.1:1",
        protocol=protocol,
        tls=True,
        certificate=str(tmp_path / "missing.pem"),
    )
    with pytest.raises(TelemetryConfigError, match="PEM"):
        build_sender(config)
