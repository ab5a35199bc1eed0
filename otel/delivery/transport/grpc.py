"""Sends protobuf bytes by OTLP/gRPC, as unary calls.

Outcomes follow the OTLP specification, "OTLP/gRPC Response". Imported only where gRPC is configured.
"""

import grpc
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # ships no type information
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # ships no type information

from otel.config.otlp import OtlpConfig, Signal
from otel.delivery.transport.partial_success import read_partial_success
from otel.delivery.transport.sender import Accepted, Outcome, Refused, RetryLater
from otel.delivery.transport.tls import read_pem

_METHODS: dict[Signal, str] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_RETRYABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_UNREACHED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
_SERVER_FAULTS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})


class GrpcSender:
    """Satisfies `Sender` over gRPC.

    The channel is dropped when the endpoint was not reached: a channel has a backoff of its own, of up to two minutes, and
    goes on using a connection whose other side is gone. The caller decides the pace.
    """

    def __init__(self, config: OtlpConfig, *, user_agent: str) -> None:
        self._config = config
        self._metadata = config.headers
        self._options = (
            ("grpc.primary_user_agent", user_agent),
            ("grpc.use_local_subchannel_pool", 1),  # or a new channel would inherit the old one's backoff
            ("grpc.enable_retries", 0),
        )
        self._compression = grpc.Compression.Gzip if config.compression == "gzip" else grpc.Compression.NoCompression
        self._credentials = None
        if config.tls:
            certificate, key, chain = read_pem(config)
            self._credentials = grpc.ssl_channel_credentials(certificate, key, chain)
        self._channel: grpc.Channel | None = None
        self._closed = False

    @property
    def address(self) -> str:
        """Host and port."""
        return self._config.address

    def pack(self, payload: bytes) -> bytes:
        """Return the payload: gRPC compresses a message when it frames it."""
        return payload

    def unpack(self, body: bytes) -> bytes:
        """Return the body, which is the payload."""
        return body

    def send(self, body: bytes, timeout_seconds: float) -> Outcome:
        """Make one call."""
        if self._closed:
            return RetryLater(reason="closed")
        try:
            response = self._call(body, timeout_seconds)
        except grpc.RpcError as error:
            return self._failed(error)
        except ValueError as error:  # the channel was closed by another thread
            self._drop_channel()
            return RetryLater(reason=str(error))
        rejected_items, message = read_partial_success(self._config.signal, response)
        return Accepted(rejected_items=rejected_items, message=message)

    def close(self) -> None:
        """Close the channel, which cancels a call that is waiting."""
        self._closed = True
        self._drop_channel()

    def _call(self, body: bytes, timeout_seconds: float) -> bytes:
        channel = self._channel
        if channel is None:
            channel = self._channel = self._open()
        # Without serializers the bytes go out and come in as they are.
        export = channel.unary_unary(_METHODS[self._config.signal])
        response: bytes = export(body, timeout=timeout_seconds, metadata=self._metadata, compression=self._compression)
        return response

    def _open(self) -> grpc.Channel:
        if self._credentials is None:
            return grpc.insecure_channel(self._config.endpoint, options=self._options)
        return grpc.secure_channel(self._config.endpoint, self._credentials, options=self._options)

    def _failed(self, error: grpc.RpcError) -> Outcome:
        code, details = error.code(), error.details() or ""
        if code in _UNREACHED:
            self._drop_channel()
        reason = f"gRPC {code.name}: {details}" if details else f"gRPC {code.name}"
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
            # The text of every gRPC implementation for a message that is too large, which no retry changes.
            return Refused(reason=reason)
        if code in _RETRYABLE:
            return RetryLater(reason=reason, retry_after_seconds=_retry_after_seconds(error))
        if code in _SERVER_FAULTS:
            # A server that crashed in its handler, or a proxy: like HTTP 500, tried a limited number of times.
            return RetryLater(reason=reason, poison=True)
        return Refused(reason=reason)

    def _drop_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


def _retry_after_seconds(error: grpc.RpcError) -> float | None:
    """Read the `RetryInfo` in the status details: the wait that an endpoint requests over gRPC."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in Status.FromString(value).details:
                retry = RetryInfo()
                if detail.Unpack(retry):
                    return float(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    return None
