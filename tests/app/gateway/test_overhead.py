"""Over real sockets, on a clock that the test moves: what the gateway spends, and what it waits for."""

import asyncio
import json
import socket

import pytest

from app.gateway.clock import ManualClock
from app.gateway.connector import ProviderConnection
from app.gateway.openai.chunks import StreamChunks
from app.server.http_exchange import Exchange
from tests.harness.metered_gateway import GatewayTelemetry

pytestmark = pytest.mark.live

ROUTES = (("alpha", "acme/tiny"), ("alpha", "acme/embed"))
OVERHEAD = "gatewayz_overhead_seconds"
GAP = "gatewayz_longest_chunk_gap_seconds"
POOL = "gatewayz_pool_wait_seconds"
ROUTE = (("model", "acme/tiny"), ("provider", "alpha"))
PATIENT = {"whole_answer_seconds": 60.0, "first_byte_seconds": 60.0, "idle_seconds": 60.0, "total_seconds": 60.0}
BODY = b'{"model":"acme/tiny","messages":[{"role":"user","content":"Say hello"}]}'
STREAM = BODY[:-1] + b',"stream":true}'


def labels(**values):
    return tuple(sorted(values.items()))


WHOLE = labels(operation="chat", stream="false")
STREAMED = labels(operation="chat", stream="true")


def head(body):
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"host: x", b"authorization: Bearer good-key"]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", b""])


@pytest.fixture
def telemetry():
    return GatewayTelemetry(ROUTES, console=True)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def start(make_gateway, telemetry, clock):
    """Start a gateway on the clock of the test."""

    async def start(*upstreams, **options):
        return await make_gateway(*upstreams, recorder=telemetry.recorder, clock=clock, **{**PATIENT, **options})

    return start


async def ended(telemetry, wire, name, of, count=1):
    """Wait for values of a histogram; return their sum."""
    await wire.until(lambda: telemetry.samples(f"{name}_count").get(of) == count, f"{name} of {of}")
    return telemetry.samples(f"{name}_sum")[of]


async def test_waiting_for_a_provider_is_no_overhead(make_upstream, start, telemetry, clock, wire):
    async def slow(exchange):
        clock.advance(30.0)
        await exchange.reply(wire.completion)

    gateway = await start(await make_upstream(slow))
    assert (await gateway.chat()).status == 200
    assert await ended(telemetry, wire, OVERHEAD, WHOLE) == 0.0


async def test_what_the_gateway_itself_takes_is_overhead(make_upstream, start, telemetry, clock, wire):
    gateway = await start(await make_upstream())
    keys = gateway.gateway._keys
    find = keys.find

    async def slow_database(secret):
        clock.advance(0.25)
        return await find(secret)

    keys.find = slow_database
    assert (await gateway.chat()).status == 200
    assert await ended(telemetry, wire, OVERHEAD, WHOLE) == pytest.approx(0.25)
    objects = telemetry.objects()
    (line,) = (each for each in objects if each.get("logger") == "gatewayz.request")
    (span,) = (each for each in objects if each.get("kind") == "SpanKind.SERVER")
    assert (line["overhead_ms"], span["attributes"]["gatewayz.overhead_seconds"]) == (250.0, pytest.approx(0.25))


async def test_waiting_for_the_event_loop_is_overhead(make_upstream, start, telemetry, clock, *, wire, monkeypatch):
    """Between the arrival of the request and its task, and between the arrival of the response and that task."""
    run, data_received = Exchange.run, ProviderConnection.data_received

    async def late(exchange, *arguments):
        clock.advance(0.5)
        await run(exchange, *arguments)

    def late_response(connection, data):
        data_received(connection, data)
        # The HTTP client also calls it without data, to parse on.
        clock.advance(0.25 if data else 0.0)

    monkeypatch.setattr(Exchange, "run", late)
    monkeypatch.setattr(ProviderConnection, "data_received", late_response)
    gateway = await start(await make_upstream())
    assert (await gateway.chat()).status == 200
    assert await ended(telemetry, wire, OVERHEAD, WHOLE) == pytest.approx(0.75)


async def test_an_upload_is_the_clients_time(make_upstream, start, telemetry, clock, wire):
    gateway = await start(await make_upstream())
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(head(BODY) + BODY[:20])
        await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 1, "the request")
        # Another request on the same loop: by its end the first one waits for the rest of its body.
        assert (await gateway.chat()).status == 200
        assert await ended(telemetry, wire, OVERHEAD, WHOLE) == 0.0
        clock.advance(60.0)
        client.sendall(BODY[20:])
        assert await ended(telemetry, wire, OVERHEAD, WHOLE, 2) == 0.0


async def test_a_slow_reader_is_the_clients_time(make_upstream, start, telemetry, clock, wire):
    async def flood(exchange):
        await exchange.stream(*[wire.chunk("x" * 100_000)] * 100, wire.chunk(finish="stop"))

    upstream = await make_upstream(flood)
    gateway = await start(upstream)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", gateway.port))
        client.sendall(head(STREAM) + STREAM)
        client.setblocking(False)
        await wire.until(lambda: gateway.server.server_state.connections, "the connection")
        (connection,) = gateway.server.server_state.connections
        await wire.until(
            lambda: connection._exchange and connection._exchange._timer._wait == "reader", "a full buffer"
        )
        clock.advance(40.0)
        loop, received = asyncio.get_running_loop(), b""
        while not received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            received = received[-100:] + await loop.sock_recv(client, 1 << 20)
    assert await ended(telemetry, wire, OVERHEAD, STREAMED) == 0.0


async def test_gaps_are_waits_for_content_and_no_overhead(make_upstream, start, telemetry, clock, wire):
    """Seconds before the first content, before an event without content and after the last content are no gaps."""

    async def stutter(exchange):
        async def send(after_seconds, *items):
            clock.advance(after_seconds)
            await exchange.send(wire.sse(*items))
            self.sent += 1
            await wire.until(lambda: seen(self.sent), "the chunk at the gateway")

        self = exchange
        self.sent = 0
        await exchange.stream_head()
        await send(20.0, wire.chunk("a"))
        await send(2.0, wire.chunk("b"))
        await send(3.0, wire.chunk(""))
        await send(4.0, wire.chunk("c"))
        await send(1.0, wire.chunk("d"))
        clock.advance(9.0)
        await exchange.send(wire.sse(wire.chunk(finish="stop"), b"[DONE]"))
        await exchange.end()

    received = []

    def seen(count):
        return len(received) >= count

    gateway = await start(await make_upstream(stutter))
    fields = json.loads(STREAM)
    async with gateway.session.post("/v1/chat/completions", json=fields) as response:
        async for line in response.content:
            received += [line] if line.startswith(b"data: {") else []
    assert await ended(telemetry, wire, GAP, ROUTE) == pytest.approx(7.0)
    assert await ended(telemetry, wire, OVERHEAD, STREAMED) == 0.0
    (span,) = (each for each in telemetry.objects() if each.get("kind") == "SpanKind.CLIENT")
    assert span["attributes"]["gatewayz.longest_chunk_gap_seconds"] == pytest.approx(7.0)


async def test_the_time_between_reading_a_chunk_and_writing_it_is_overhead(
    make_upstream, start, telemetry, clock, *, wire, monkeypatch
):
    feed = StreamChunks.feed

    def slow(chunks, data):
        clock.advance(0.01 * data.count(b"data: "))
        return feed(chunks, data)

    monkeypatch.setattr(StreamChunks, "feed", slow)
    gateway = await start(await make_upstream())
    events = await gateway.stream()
    # The usage is an event that this caller does not get.
    assert await ended(telemetry, wire, OVERHEAD, STREAMED) == pytest.approx(0.01 * (len(events) + 1))


@pytest.mark.parametrize("texts", [(), ("all at once",)])
async def test_a_stream_without_two_chunks_has_no_gap(make_upstream, start, telemetry, wire, texts):
    async def short(exchange):
        await exchange.stream(*map(wire.chunk, texts), wire.chunk(finish="stop"), wire.usage_chunk())

    gateway = await start(await make_upstream(short))
    await gateway.stream()
    await ended(telemetry, wire, OVERHEAD, STREAMED)
    assert telemetry.samples(f"{GAP}_count") == {}


async def test_a_wait_for_the_pool_is_measured_and_no_overhead(make_upstream, start, telemetry, clock, wire):
    release = asyncio.Event()

    async def hold(exchange):
        await release.wait()
        await exchange.reply(wire.completion)

    upstream = await make_upstream(hold)
    gateway = await start(upstream, max_connections=1, pool_wait_seconds=60.0)
    first = asyncio.create_task(gateway.chat())
    await wire.until(lambda: upstream.exchanges, "the first call")
    second = asyncio.create_task(gateway.chat())
    connector = gateway.providers["alpha"]._session.connector
    await wire.until(lambda: connector._waiters, "a wait for the pool")
    clock.advance(5.0)
    release.set()
    assert [(await first).status, (await second).status] == [200, 200]
    assert await ended(telemetry, wire, POOL, labels(provider="alpha")) == pytest.approx(5.0)
    assert await ended(telemetry, wire, OVERHEAD, WHOLE, 2) == 0.0
    waits = [each["attributes"].get("gatewayz.pool_wait_seconds") for each in telemetry.objects() if "kind" in each]
    assert [wait for wait in waits if wait is not None] == [pytest.approx(5.0)]


async def test_a_wait_for_the_pool_that_runs_out_of_time_counts_too(make_upstream, start, telemetry, wire):
    upstream = await make_upstream(lambda exchange: exchange.gone())
    gateway = await start(upstream, max_connections=1, pool_wait_seconds=0.1)
    held = asyncio.create_task(gateway.chat())
    await wire.until(lambda: upstream.exchanges, "the first call")
    assert (await gateway.chat()).status == 503
    await ended(telemetry, wire, POOL, labels(provider="alpha"))
    await ended(telemetry, wire, OVERHEAD, WHOLE)
    held.cancel()


async def test_requests_that_become_no_call_have_no_overhead(make_upstream, start, telemetry, wire):
    gateway = await start(await make_upstream())
    assert (await gateway.chat(model="unknown")).status == 404
    assert (await gateway.post("/v1/chat/completions", b"{")).status == 400
    assert (await gateway.chat()).status == 200
    await ended(telemetry, wire, OVERHEAD, WHOLE)


async def test_a_request_behind_another_one_is_timed_from_its_own_turn(make_upstream, start, telemetry, clock, wire):
    async def slow(exchange):
        clock.advance(30.0)
        await exchange.reply(wire.completion)

    gateway = await start(await make_upstream(slow))
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall((head(BODY) + BODY) * 2)
        assert await ended(telemetry, wire, OVERHEAD, WHOLE, 2) == 0.0
