"""A real OTLP/HTTP receiver for tests: an HTTP server on loopback that decodes what it gets and misbehaves on command.

    with OtlpReceiver() as receiver:
        telemetry = ...  # built with OTEL_EXPORTER_OTLP_ENDPOINT = receiver.endpoint
        assert receiver.wait_until(lambda: len(receiver.spans) == 1)
        receiver.respond_status(503, retry_after="1")

`otlp_grpc_receiver.py` is the same over gRPC.
"""

import gzip
import socket
import ssl
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self, cast

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no type information
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel.config.otlp import Signal
from tests.harness.otlp_data import ReceivedTelemetry
from tests.harness.otlp_script import Behaviour, Scripted

_SIGNALS: Final[dict[str, Signal]] = {"/v1/traces": "traces", "/v1/metrics": "metrics", "/v1/logs": "logs"}
_STOP_SECONDS: Final = 2.0


class OtlpReceiver(ReceivedTelemetry, Scripted):
    """The receiver. It listens on a free port of 127.0.0.1 until `stop`; `start` listens on the same port again.

    `tls` turns it into an https endpoint. What it received stays when it stops.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        ReceivedTelemetry.__init__(self)
        Scripted.__init__(self)
        self._tls = tls
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.connections_accepted = 0

    @property
    def endpoint(self) -> str:
        """The base URL, for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, the second time on the same port; does nothing while it listens."""
        if self._server is not None:
            return
        self._come_up()
        self._server = _Server(self, self.port, self._tls)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="otlp-receiver", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections and cut those that are open, as an endpoint does that was killed, once what it has kept is acknowledged."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        self._thread.join()
        server.server_close()
        self._go_down(_STOP_SECONDS)
        server.cut_connections()

    def respond_status(self, status: int, *, retry_after: str | None = None) -> None:
        """Keep nothing and response with this HTTP status."""
        self._set(Behaviour(kind="status", status=status, retry_after=retry_after))

    def close_mid_response(self, *, kept: bool = False) -> None:
        """Close the connection in the middle of the status line; `kept`: after having kept what came."""
        self._set(Behaviour(kind="close", kept=kept))


class _Server(ThreadingHTTPServer):
    """The server behind the receiver: it knows its open connections."""

    daemon_threads = True

    def __init__(self, receiver: OtlpReceiver, port: int, tls: ssl.SSLContext | None) -> None:
        self.receiver = receiver
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept one connection."""
        connection, address = super().get_request()
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._open_lock:
            self._open.add(connection)
            self.receiver.connections_accepted += 1
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close one connection."""
        super().shutdown_request(request)
        with self._open_lock:
            self._open.discard(cast("socket.socket", request))

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that leave are the point of many tests."""

    def cut_connections(self) -> None:
        """Shut every open connection down and wait until its thread has released it."""
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # its thread was faster
                continue
        deadline = time.monotonic() + _STOP_SECONDS
        while self._open and time.monotonic() < deadline:
            time.sleep(0.002)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # Responses go out at once, in one packet: the client waits for them.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take one export request."""
        receiver = cast("_Server", self.server).receiver
        signal = _SIGNALS.get(self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if signal is None:
            self._response(404, b"")
            return
        with receiver.answering() as is_up:
            if is_up:
                self._take(receiver, signal, body)
            else:
                self.close_connection = True

    def _take(self, receiver: OtlpReceiver, signal: Signal, body: bytes) -> None:
        """Keep what came, as the behaviour says, and respond, or not."""
        headers = {key.lower(): value for key, value in self.headers.items()}
        behaviour, released = receiver.current()
        accept = behaviour.kind in {"accept", "slow", "partial_success"} or behaviour.kept
        try:
            body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            receiver.take(signal, headers, body, accept=accept)
        except (OSError, EOFError, ValueError, zlib.error, DecodeError):
            self._response(400, b"")
            return
        self._behave(signal, behaviour, released)

    def _behave(self, signal: Signal, behaviour: Behaviour, released: threading.Event) -> None:
        """Respond, or not."""
        match behaviour.kind:
            case "status":
                self._response(int(behaviour.status), b"", retry_after=behaviour.retry_after)
            case "black_hole":
                released.wait()
                self.close_connection = True
            case "close":
                self.wfile.write(b"HTTP/1.1 2")
                self.wfile.flush()
                self.close_connection = True
            case _:
                if behaviour.kind == "slow":
                    released.wait(behaviour.seconds)
                self._response(200, response_body(signal, behaviour))

    def _response(self, status: int, body: bytes, *, retry_after: str | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        if retry_after is not None:
            self.send_header("retry-after", retry_after)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Write no access log."""


def response_body(signal: Signal, behaviour: Behaviour) -> bytes:
    """Return the response message of an acknowledged request."""
    if behaviour.kind != "partial_success":
        return b""
    response: bytes
    if signal == "traces":
        traces = ExportTraceServiceResponse()
        traces.partial_success.rejected_spans = behaviour.rejected
        traces.partial_success.error_message = behaviour.message
        response = traces.SerializeToString()
    elif signal == "metrics":
        metrics = ExportMetricsServiceResponse()
        metrics.partial_success.rejected_data_points = behaviour.rejected
        metrics.partial_success.error_message = behaviour.message
        response = metrics.SerializeToString()
    else:
        logs = ExportLogsServiceResponse()
        logs.partial_success.rejected_log_records = behaviour.rejected
        logs.partial_success.error_message = behaviour.message
        response = logs.SerializeToString()
    return response
