"""Serves `POST /v1/chat/completions` and `POST /v1/embeddings`.

The checks run in this order: a slot, declared size, caller, the caller's share of the slots,
limits, body, model, budgets; then cache and providers. While a provider works the client's connection is
watched, and a client that leaves cancels the call.
"""

import asyncio
from functools import partial
from http import HTTPStatus

from app.config.schema import ServerConfig
from app.errors import GatewayError, OverloadedError
from app.gateway.call import Call
from app.gateway.cancellation import Interrupt, InterruptedCallError
from app.gateway.capacity.loop_yield import LoopYield
from app.gateway.gateway import Gateway, LimitReachedError
from app.gateway.in_flight import KeyShareError, Slot
from app.gateway.models import Model
from app.gateway.openai.error_body import error_event
from app.gateway.openai.request import Operation
from app.gateway.overhead import SCOPE_KEY as OVERHEAD_KEY
from app.gateway.overhead import OverheadTimer
from app.gateway.ports import CLIENT_KEY, IDENTIFIED_KEY, Client
from app.gateway.stream_relay import ResponseStream, call_stopped
from app.http.content_coding import content_codings
from app.http.keepalive_comments import KeepaliveComments
from app.http.request_input import bearer_secret, declared_length, read_body
from app.http.responses import (
    CACHE_HEADER,
    PROVIDER_HEADER,
    Headers,
    StreamSender,
    limit_headers,
    send_error,
    send_json,
    status_of,
)
from app.http.tag_headers import TagHeaders
from otel.events import ExceptionMapped, OverheadMeasured, RateLimited, RequestScope
from otel.instrument.asgi import Message, Receive, Scope, Send, is_cut, request_scope


class CompletionEndpoint:
    """An ASGI application for one operation; `server` bounds the body."""

    def __init__(self, gateway: Gateway, operation: Operation, server: ServerConfig) -> None:
        self._gateway = gateway
        self._operation = operation
        self._max_body_bytes = server.max_body_bytes
        self._receive_body_seconds = server.receive_body_seconds
        self._keepalive_comment_seconds = server.keepalive_comment_seconds
        self._tags = TagHeaders(server.tag_headers)
        self._decoding = LoopYield()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. A client that left gets nothing, and nothing is raised for it."""
        served = _Served(scope.get(OVERHEAD_KEY) or self._gateway.start_timer())
        headers = served.headers
        try:
            with self._gateway.calls_in_flight.one() as slot:
                await self._serve(scope, receive, send, slot, served)
        except InterruptedCallError as interrupted:
            if interrupted.reason == "shutdown":
                await refuse(scope, send, OverloadedError("The gateway is stopping; try again."), headers)
        except KeyShareError as error:
            request_scope(scope).record(RateLimited(limit_type=error.share))
            await send_error(send, error, headers)
        except LimitReachedError as error:
            await send_error(send, error, limit_headers(error.decision))
        except GatewayError as error:
            await refuse(scope, send, error, headers)
        finally:
            served.record(request_scope(scope))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, slot: Slot, served: "_Served") -> None:
        """Serve one request that has a slot."""
        headers = served.headers
        gateway, telemetry, interrupt = self._gateway, request_scope(scope), slot.interrupt
        declared_bytes = declared_length(scope, self._max_body_bytes)
        with interrupt:
            caller = await gateway.identify(telemetry, bearer_secret(scope))
            if (identified := scope.get(IDENTIFIED_KEY)) is not None:
                identified(caller.key_id)
            slot.claim(caller.key_id, declared_bytes)
            # Charged before the body is read: a body that turns out invalid has cost as much work as any other.
            headers += limit_headers(await gateway.admit(telemetry, caller))
            tags = self._tags.read(scope)
            codings = content_codings(scope)
            client: Client | None = scope.get(CLIENT_KEY)
            is_there = client is not None and client.is_body_complete
            body = await read_body(
                receive if is_there else served.timed(receive),
                codings,
                max_bytes=self._max_body_bytes,
                seconds=None if is_there else self._receive_body_seconds,
                hold=slot.hold_body,
                let_others_run=partial(self._decoding.wait, caller.key_id),
            )
            request = await gateway.read_request(caller, body, self._operation)
            model = gateway.models.find(request.model, request.operation)
            reservation = await gateway.reserve(telemetry, caller, request, model)
        call = served.call = gateway.open_call(
            telemetry, caller, request, served.timer, reservation=reservation, tags=tags
        )
        watch: asyncio.Task[None] | None = None
        if client is None:
            watch = asyncio.create_task(_watch_client(receive, interrupt))
        else:
            client.call_on_leave(partial(interrupt.fire, "client_left"))
        try:
            with call:
                if request.stream:
                    await self._stream(send, call, model, interrupt, headers)
                else:
                    await self._whole(send, call, model, interrupt, headers)
                call.was_cut = is_cut(scope)
        finally:
            if watch is not None:
                watch.cancel()
            await gateway.finalize(call)

    async def _whole(self, send: Send, call: Call, model: Model, interrupt: Interrupt, headers: Headers) -> None:
        """Send the response as one body."""
        with interrupt:
            response = await self._gateway.respond(call, model)
        if response.provider is not None:
            headers.append((PROVIDER_HEADER, response.provider.encode("ascii", "replace")))
        if response.cache is not None:
            headers.append((CACHE_HEADER, response.cache.encode("ascii")))
        call.delivering = True
        await send_json(send, HTTPStatus.OK, response.body, headers)

    async def _stream(self, send: Send, call: Call, model: Model, interrupt: Interrupt, headers: Headers) -> None:
        """Send the response as an event stream; after its head an error is an event."""
        sender = StreamSender(send, headers)
        stream: ResponseStream | None = None
        try:
            with interrupt:
                async with KeepaliveComments(sender, self._keepalive_comment_seconds):
                    stream = await self._gateway.open_stream(call, model)
                sender.add_header(PROVIDER_HEADER, stream.provider.encode("ascii", "replace"))
                last = await stream.relay(sender.write)
        except InterruptedCallError as interrupted:
            if interrupted.reason != "shutdown" or not sender.started:
                raise
            last = call_stopped(call) if stream is None else stream.stopped()
        except GatewayError as error:
            if not sender.started:
                raise
            last = error_event(error)
        await sender.write(last, last=True)


class _Served:
    """One request: the headers of every response to it, its time, and the call that it became."""

    __slots__ = ("call", "headers", "timer")

    def __init__(self, timer: OverheadTimer) -> None:
        self.headers: Headers = []
        self.timer = timer
        self.call: Call | None = None

    def timed(self, receive: Receive) -> Receive:
        """Return what receives the body, and leaves out of the overhead how long the client takes to send it."""

        async def timed_receive() -> Message:
            self.timer.wait("body")
            try:
                return await receive()
            finally:
                self.timer.resume("body")

        return timed_receive

    def record(self, telemetry: RequestScope) -> None:
        """Record what the gateway itself spent on a call, whatever came of it."""
        if self.call is not None:
            request = self.call.request
            telemetry.record(
                OverheadMeasured(
                    operation=request.operation, stream=request.stream, seconds=self.timer.overhead_seconds
                )
            )


async def _watch_client(receive: Receive, interrupt: Interrupt) -> None:
    """End the call when the client leaves; after the response's end it has no effect."""
    while (await receive())["type"] != "http.disconnect":
        pass
    interrupt.fire("client_left")


async def refuse(scope: Scope, send: Send, error: GatewayError, headers: Headers) -> None:
    """Send an error, and record it where it is the gateway's."""
    if status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        request_scope(scope).record(ExceptionMapped(exception_type=type(error).__name__))
    await send_error(send, error, headers)
