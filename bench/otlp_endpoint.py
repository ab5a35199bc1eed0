"""An OTLP receiver in a process of its own, for both protocols.

Decoding thus disturbs neither the load nor the gateway. Commands switch it up, down, to a black hole or to 503, and
return what it accepted.
"""

import asyncio
import json
import multiprocessing
import signal
from collections import Counter
from collections.abc import Mapping
from multiprocessing.connection import Connection

import msgspec

from tests.harness.otlp_data import Labels, PointValue
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver

_STOP_SECONDS = 5.0


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was accepted.

    `server_spans` and `client_spans` count spans by trace id, `request_logs` the records of `gatewayz.request`; what comes twice counts
    twice. `doubled_span_ids` are those that came more than once. `metrics` is the newest state of each family.
    """

    server_spans: Mapping[str, int]
    client_spans: Mapping[str, int]
    request_logs: Mapping[str, int]
    doubled_span_ids: int
    spans: int
    log_records: int
    doubled_log_records: int
    metrics: Mapping[str, Mapping[Labels, PointValue]]


class OtlpEndpoint:
    """The receiver's process. Its methods may be awaited from any task, one at a time each."""

    def __init__(self, protocol: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, protocol), daemon=True)
        self._process.start()
        theirs.close()
        self._turn = asyncio.Lock()
        self.url: str = self._connection.recv()

    async def switch(self, state: str) -> None:
        """Throw a switch: `up`, `down`, `black hole` or `503`."""
        await self._ask(state)

    async def span_count(self) -> int:
        """Return how many spans have been accepted."""
        count = await self._ask("count")
        return count if isinstance(count, int) else 0

    async def received(self) -> Received:
        """Return everything that was accepted so far."""
        report = await self._ask("report")
        if not isinstance(report, Received):
            raise TypeError(f"the endpoint returned {report!r}")
        return report

    async def _ask(self, command: str) -> object:
        async with self._turn:
            self._connection.send(command)
            return await asyncio.to_thread(self._connection.recv)

    def end(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(_STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def serve(connection: Connection, protocol: str) -> None:
    """Run a receiver in this process until the other end of the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    receiver = OtlpReceiver() if protocol == "http/protobuf" else OtlpGrpcReceiver()
    with receiver:
        connection.send(receiver.endpoint)
        while True:
            try:
                command = connection.recv()
            except EOFError:
                return
            connection.send(_obey(receiver, command))


def _obey(receiver: OtlpReceiver | OtlpGrpcReceiver, command: str) -> object:
    match command:
        case "up":
            receiver.accept()
            receiver.start()
        case "down":
            receiver.stop()
        case "black hole":
            receiver.start()
            receiver.black_hole()
        case "503" if isinstance(receiver, OtlpReceiver):
            receiver.start()
            receiver.respond_status(503)
        case "503" if isinstance(receiver, OtlpGrpcReceiver):
            receiver.start()
            receiver.respond_status("UNAVAILABLE")
        case "count":
            return len(receiver.spans)
        case "report":
            return _report(receiver)
        case _:
            raise ValueError(command)
    return None


def _report(receiver: OtlpReceiver | OtlpGrpcReceiver) -> Received:
    spans, records = receiver.spans, receiver.log_records
    ids = Counter(span["span_id"] for span in spans)
    lines = Counter((record["unix_ns"], record["body"], record["span_id"]) for record in records)
    return Received(
        server_spans=Counter(span["trace_id"] for span in spans if span["kind"] == "SERVER"),
        client_spans=Counter(span["trace_id"] for span in spans if span["kind"] == "CLIENT"),
        request_logs=Counter(
            record["trace_id"] for record in records if json.loads(record["body"])["logger"] == "gatewayz.request"
        ),
        doubled_span_ids=sum(count > 1 for count in ids.values()),
        spans=len(spans),
        log_records=len(records),
        doubled_log_records=sum(count > 1 for count in lines.values()),
        metrics={name: dict(metric.points) for name, metric in receiver.metrics.items()},
    )
