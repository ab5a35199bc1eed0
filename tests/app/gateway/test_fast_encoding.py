"""A request's spans and log line are encoded by the product's own encoders: the SDK's cost ten times as much."""

import pytest

from otel.delivery.encoding.logs import LogEncoder
from otel.delivery.encoding.protobuf import UnsupportedValueError
from otel.delivery.encoding.spans import SpanEncoder
from tests.app.gateway.traced_gateway import pushed_telemetry
from tests.harness.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.live
CHAT = b'{"model":"acme/tiny","messages":[{"role":"user","content":"x"}]}'
STREAM = b'{"model":"acme/tiny","messages":[{"role":"user","content":"x"}],"stream":true}'


@pytest.mark.parametrize("encoder", [SpanEncoder, LogEncoder])
async def test_no_span_and_no_record_of_a_request_is_left_to_the_sdk(make_upstream, make_gateway, monkeypatch, encoder):
    left = []
    encode = encoder.encode

    def watched(self, item):
        # What is usual does not come here: it is encoded as it ends, or comes here because that was not possible.
        try:
            return encode(self, item)
        except UnsupportedValueError:
            left.append(item)
            raise

    monkeypatch.setattr(encoder, "encode", watched)
    upstream = await make_upstream()
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver) as telemetry:
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            for body, status in ((CHAT, 200), (STREAM, 200), (b"{}", 400), (CHAT.replace(b"tiny", b"none"), 404)):
                assert (await gateway.post("/v1/chat/completions", body)).status == status
    assert left == []
    assert len(receiver.spans) >= 6
    assert len(receiver.log_records) >= 4
