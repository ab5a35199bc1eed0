"""The way in: OTLP over gRPC and HTTP from the gateway's own delivery; with `tls-tokens.yaml` only encrypted and with the token."""

import shutil
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.harness.certificates import self_signed
from tests.harness.delivery_harness import DeliveryHarness
from tests.harness.polling import DEADLINE_SECONDS
from tests.stack.collector_harness import CollectorHarness, running_collector, to_files
from tests.stack.otlp_requests import log_request

FILES: Final = ("base.yaml", "metrics.yaml", "traces.yaml", "logs.yaml")
TOKEN: Final = "a-made-up-token-of-some-length"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    assert shutil.which("openssl") is not None, "the openssl program makes the certificate of this test"
    return self_signed(tmp_path_factory.mktemp("tls"))


async def through(harness: CollectorHarness, **environ: str) -> None:
    """Record by the gateway's delivery and find everything in the Collector's files; raises AssertionError."""
    before = len(harness.written().spans)
    is_grpc = environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"
    port = harness.ports.collector_otlp_grpc if is_grpc else harness.ports.collector_otlp_http
    scheme = "https" if "OTEL_EXPORTER_OTLP_CERTIFICATE" in environ else "http"
    with DeliveryHarness(f"{scheme}://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="5000", **environ) as sender:
        sender.record(100)
        assert sender.delivery.force_flush(DEADLINE_SECONDS)
    written = await harness.wait_written(spans=before + 100, log_records=before + 100, metrics=1)
    assert [span["attributes"]["n"] for span in written.spans[before:]] == list(range(100))
    assert [record["body"] for record in written.log_records[before:]] == list(range(100))


async def test_both_protocols_lead_in(binaries: dict[str, Path], tmp_path: Path) -> None:
    overlay = to_files(tmp_path, "traces", "logs", "metrics")
    async with running_collector(binaries["otelcol"], tmp_path, FILES, overlay) as harness:
        await through(harness, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        await through(harness, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
        assert await harness.counter("otelcol_receiver_accepted_spans") == 200


async def test_with_tls_and_tokens_nobody_else_gets_in(
    binaries: dict[str, Path], tmp_path: Path, certificates: tuple[Path, Path]
) -> None:
    certificate, key = certificates
    overlay = to_files(tmp_path, "traces", "logs", "metrics")
    environ = {
        "COLLECTOR_TOKEN": TOKEN,
        "COLLECTOR_TLS_CERT_FILE": str(certificate),
        "COLLECTOR_TLS_KEY_FILE": str(key),
    }
    trusted = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificate),
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {TOKEN}",
    }
    async with running_collector(
        binaries["otelcol"], tmp_path, (*FILES, "tls-tokens.yaml"), overlay, environ
    ) as harness:
        await through(harness, OTEL_EXPORTER_OTLP_PROTOCOL="grpc", **trusted)
        await through(harness, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", **trusted)
        assert await harness.export(log_request(["in the clear"])) == 400  # Go's server responds plain HTTP so
        url = f"https://127.0.0.1:{harness.ports.collector_otlp_http}/v1/logs"
        body = log_request(["without the token"]).SerializeToString()
        kind = {"content-type": "application/x-protobuf"}
        async with aiohttp.ClientSession() as session:
            for headers in (kind, {**kind, "authorization": "Bearer another"}):
                async with session.post(url, data=body, headers=headers, ssl=False) as response:
                    assert response.status == 401
        assert await harness.counter("otelcol_receiver_accepted_log_records") == 200
