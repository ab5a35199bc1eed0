"""A real OTLP/gRPC receiver for tests; `otlp_receiver.py` is the same over HTTP, and says how to use it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped]  # ships no type information
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # ships no type information
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # ships no type information

from otel.config.otlp import Signal
from tests.harness.otlp_data import ReceivedTelemetry
from tests.harness.otlp_receiver import response_body
from tests.harness.otlp_script import Behaviour, Scripted
from tests.harness.polling import DEADLINE_SECONDS

_SERVICES: dict[Signal, str] = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}

_STOP_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.1


class OtlpGrpcReceiver(ReceivedTelemetry, Scripted):
    """The receiver. It listens on a free port of 127.0.0.1 until `stop`; `start` listens on the same port again.

    `tls` encrypts: server credentials of gRPC.
    """

    def __init__(self, *, tls: grpc.ServerCredentials | None = None) -> None:
        ReceivedTelemetry.__init__(self)
        Scripted.__init__(self)
        self._tls = tls
        self._server: grpc.Server | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        """The URL for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, the second time on the same port; does nothing while it listens. Raises `RuntimeError` when the port is taken."""
        if self._server is not None:
            return
        server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
        for signal, service in _SERVICES.items():
            handler = grpc.unary_unary_rpc_method_handler(_export_method(self, signal))
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        address = f"127.0.0.1:{self.port}"
        port = server.add_secure_port(address, self._tls) if self._tls else server.add_insecure_port(address)
        if port == 0:
            raise RuntimeError(f"port {self.port} is taken")
        self.port = port
        server.start()
        self._server = server

    def stop(self) -> None:
        """Refuse calls, let hanging ones go, and cut the connections once every call that was taken has its response.

        An endpoint that is killed between the two gets the same again, rightly: tests that count would not know.
        """
        server, self._server = self._server, None
        if server is None:
            return
        stopped: threading.Event = server.stop(_STOP_SECONDS)
        self._set(self.current()[0])
        if not stopped.wait(DEADLINE_SECONDS):
            raise TimeoutError("gRPC's server did not end")

    def respond_status(
        self, code: str, *, retry_after_seconds: float | None = None, message: str = "by script"
    ) -> None:
        """Keep nothing and response with this gRPC status, for example `UNAVAILABLE`, with a `RetryInfo` where asked for."""
        retry_after = None if retry_after_seconds is None else str(retry_after_seconds)
        self._set(Behaviour(kind="status", status=code, retry_after=retry_after, message=message))


def _export_method(receiver: OtlpGrpcReceiver, signal: Signal) -> Any:
    """Return the service method of one signal: bytes in, bytes out."""

    def export(body: bytes, context: grpc.ServicerContext) -> bytes:
        behaviour, released = receiver.current()
        headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        receiver.take(
            signal, headers, body, accept=behaviour.kind in {"accept", "slow", "partial_success"} or behaviour.kept
        )
        match behaviour.kind:
            case "status":
                _abort(context, behaviour)
            case "black_hole":
                # The server cancels a call that came while it was being stopped: nothing releases that one.
                while context.is_active() and not released.wait(_LOOK_AGAIN_SECONDS):
                    pass
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            case "slow":
                released.wait(behaviour.seconds)
        return response_body(signal, behaviour)

    return export


def _abort(context: grpc.ServicerContext, behaviour: Behaviour) -> None:
    """End the call with the status, and its details where patience is asked for."""
    code = grpc.StatusCode[str(behaviour.status)]
    if behaviour.retry_after is not None:
        retry = RetryInfo()
        retry.retry_delay.FromMilliseconds(int(float(behaviour.retry_after) * 1000))
        detail = AnyMessage()
        detail.Pack(retry)
        status = Status(code=code.value[0], message=behaviour.message, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, behaviour.message)
