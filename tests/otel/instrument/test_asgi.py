"""Each request is measured exactly once, however it ends; the wrapper changes nothing but the trace header."""

import asyncio
from http import HTTPStatus

import pytest

from otel.events import ExceptionMapped
from otel.instrument.asgi import RequestTelemetry, request_scope
from tests.harness.clock import ManualClock
from tests.harness.recording import RecordingRecorder


class Exchange:
    """Drives one request through the wrapper, message by message."""

    def __init__(self, app, *, method="POST", path="/v1/chat/completions", headers=(), incoming=()) -> None:
        self.recorder = RecordingRecorder()
        self.clock = ManualClock()
        self.sent: list[dict] = []
        self.incoming = list(incoming)
        self.scope = {"type": "http", "method": method, "path": path, "headers": list(headers), "clock": self.clock}
        self.wrapper = RequestTelemetry(
            app,
            self.recorder,
            route_of=lambda scope: scope["path"],
            is_ignored=lambda scope: scope["path"] == "/metrics",
            clock=self.clock,
        )

    async def receive(self):
        return self.incoming.pop(0) if self.incoming else {"type": "http.disconnect"}

    async def send(self, message) -> None:
        self.sent.append(message)

    async def run(self):
        await self.wrapper(self.scope, self.receive, self.send)
        return self.finished

    @property
    def finished(self):
        (request,) = self.recorder.requests
        assert request.finished is not None
        return request.finished


async def respond(scope, receive, send, *, status=200, chunks=(b"hello",)):
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-own", b"1")]})
    for chunk in chunks:
        scope["clock"].seconds += 1
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def test_duration_runs_to_the_end_of_the_body_not_to_the_return() -> None:
    async def app(scope, receive, send):
        await respond(scope, receive, send, chunks=(b"ab", b"cde"))
        scope["clock"].seconds += 50  # work after the body is not part of the latency

    finished = await Exchange(app).run()
    assert (finished.status_code, finished.outcome, finished.duration_seconds, finished.response_bytes) == (
        200,
        "ok",
        2.0,
        5,
    )


async def test_the_trace_id_is_added_and_everything_else_passes_unchanged() -> None:
    exchange = Exchange(respond)
    await exchange.run()
    start, *bodies = exchange.sent
    assert start["headers"] == [(b"x-own", b"1"), (b"x-trace-id", b"0" * 31 + b"1")]
    assert [body["body"] for body in bodies] == [b"hello", b""]


async def test_an_enumerated_status_is_recorded_as_a_number() -> None:
    async def app(scope, receive, send):
        await respond(scope, receive, send, status=HTTPStatus.CREATED)

    finished = await Exchange(app).run()
    assert (finished.status_code, type(finished.status_code)) == (201, int)


async def test_a_client_that_leaves_before_the_response_is_499() -> None:
    async def app(scope, receive, send):
        assert (await receive())["type"] == "http.disconnect"

    finished = await Exchange(app).run()
    assert (finished.status_code, finished.outcome) == (499, "cancelled")


async def test_a_client_that_leaves_in_the_stream_keeps_the_status_it_received() -> None:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await receive()

    finished = await Exchange(app).run()
    assert (finished.status_code, finished.outcome) == (200, "cancelled")


async def test_a_disconnect_after_the_last_byte_is_a_success() -> None:
    async def app(scope, receive, send):
        await respond(scope, receive, send)
        await receive()

    assert (await Exchange(app).run()).outcome == "ok"


async def test_an_exception_before_the_response_is_a_500_and_passes_through() -> None:
    async def app(scope, receive, send):
        raise KeyError("secret")

    exchange = Exchange(app)
    with pytest.raises(KeyError):
        await exchange.run()
    assert (exchange.finished.status_code, exchange.finished.outcome) == (500, "error")
    assert exchange.recorder.of(ExceptionMapped) == [ExceptionMapped(exception_type="KeyError")]


async def test_an_exception_in_the_stream_keeps_the_status_and_is_an_error() -> None:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        raise ValueError("broken")

    exchange = Exchange(app)
    with pytest.raises(ValueError, match="broken"):
        await exchange.run()
    assert (exchange.finished.status_code, exchange.finished.outcome) == (200, "error")


async def test_an_application_that_sends_no_response_is_an_error() -> None:
    async def app(scope, receive, send):
        pass

    finished = await Exchange(app).run()
    assert (finished.status_code, finished.outcome) == (500, "error")


async def test_cancellation_by_the_server_is_recorded_and_passes_through() -> None:
    async def app(scope, receive, send):
        await asyncio.Event().wait()

    exchange = Exchange(app)
    task = asyncio.create_task(exchange.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.finished.outcome == "cancelled"


async def test_ignored_paths_and_other_scopes_are_not_requests() -> None:
    exchange = Exchange(respond, path="/metrics")
    await exchange.wrapper(exchange.scope, exchange.receive, exchange.send)
    assert exchange.recorder.events == []
    assert request_scope(exchange.scope).trace_id == ""

    async def lifespan(scope, receive, send):
        scope["called"] = True

    exchange = Exchange(lifespan)
    scope = {"type": "lifespan"}
    await exchange.wrapper(scope, exchange.receive, exchange.send)
    assert scope["called"]
    assert exchange.recorder.events == []


async def test_the_application_finds_its_scope() -> None:
    async def app(scope, receive, send):
        scope["found"] = request_scope(scope)
        await respond(scope, receive, send)

    exchange = Exchange(app)
    await exchange.run()
    assert exchange.scope["found"] is exchange.recorder.requests[0]


async def test_only_the_trace_context_headers_are_passed_on() -> None:
    headers = [
        (b"traceparent", b"00-a"),
        (b"authorization", b"Bearer x"),
        (b"tracestate", b"a=1"),
        (b"tracestate", b"b=2"),
    ]
    exchange = Exchange(respond, headers=headers)
    await exchange.run()
    assert exchange.recorder.requests[0].received.headers == {"traceparent": "00-a", "tracestate": "a=1,b=2"}


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (404, "ok"), (500, "error"), (502, "error"), (504, "error")]
)
async def test_a_5xx_response_is_an_error(status, outcome) -> None:
    async def app(scope, receive, send):
        await respond(scope, receive, send, status=status)

    finished = await Exchange(app).run()
    assert (finished.status_code, finished.outcome) == (status, outcome)
