"""A request is admitted before its body is read, and no key can take what belongs to the others."""

import asyncio
import json

import pytest

from app.config.schema import ServerConfig
from app.gateway.in_flight import CallsInFlight, calls_in_flight
from otel.events import ExceptionMapped, RateLimited

pytestmark = pytest.mark.live
CHAT = "/v1/chat/completions"
GOOD = json.dumps({"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}]}).encode()


class SlowClient:
    """A request whose body is not sent, or not to its end."""

    def __init__(self, gateway, key, *, length=None, sent=b"", framing=None):
        self._port = gateway.port
        framing = framing or f"content-length: {length}"
        self._head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{framing}\r\n\r\n".encode()
        self._sent = sent

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.writer.write(self._head + self._sent)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def response(self):
        async with asyncio.timeout(20):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return int(head.split()[1]), head.lower(), json.loads(await self.reader.readexactly(length))["error"]


async def many(stack, count, *arguments, **options):
    return [await stack.enter_async_context(SlowClient(*arguments, **options)) for _ in range(count)]


async def test_slow_bodies_of_one_key_leave_places_for_the_others(make_upstream, make_gateway, stack, wire):
    gateway = await make_gateway(await make_upstream(), max_concurrent_requests=6, shares={"limit_per_key": 3})
    await many(stack, 3, gateway, wire.key, length=100)
    await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 3, "three slow bodies")
    async with SlowClient(gateway, wire.key, length=100) as refused:
        status, head, error = await refused.response()
    assert (status, error["code"], error["type"]) == (429, "rate_limit_exceeded", "requests")
    assert b"retry-after: 1\r\n" in head
    other = await gateway.post(CHAT, GOOD, {"authorization": f"Bearer {wire.other_key}"})
    assert other.status == 200
    await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 3)
    assert gateway.recorder.of(RateLimited) == [RateLimited(limit_type="key_concurrency")]
    assert gateway.recorder.of(ExceptionMapped) == []


async def test_a_place_comes_back_with_its_share(make_upstream, make_gateway, stack, wire):
    gateway = await make_gateway(await make_upstream(), shares={"limit_per_key": 1, "max_body_bytes_per_key": 1_000})
    for _ in range(3):
        async with SlowClient(gateway, wire.key, length=900):
            await wire.until(lambda: gateway.gateway.calls_in_flight.body_bytes == 900, "the slow body")
            assert (await gateway.chat()).status == 429
        await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 0, "the client's departure")
        assert gateway.gateway.calls_in_flight.body_bytes == 0
        assert (await gateway.chat()).status == 200
    assert (await gateway.finished()).of(RateLimited) == [RateLimited(limit_type="key_concurrency")] * 3


async def test_declared_bodies_of_one_key_are_bounded_before_a_byte_of_them_is_read(
    make_upstream, make_gateway, stack, wire
):
    gateway = await make_gateway(
        await make_upstream(), shares={"max_body_bytes": 3_000_000, "max_body_bytes_per_key": 2_000_000}
    )
    calls = gateway.gateway.calls_in_flight
    await many(stack, 2, gateway, wire.key, length=900_000, sent=b" " * 1_000)
    await wire.until(lambda: calls.body_bytes == 1_800_000, "two bodies")
    async with SlowClient(gateway, wire.key, length=900_000) as refused:
        status, head, error = await refused.response()
    assert (status, error["code"]) == (429, "rate_limit_exceeded")
    assert b"retry-after: 1\r\n" in head
    assert (await gateway.post(CHAT, GOOD, {"authorization": f"Bearer {wire.other_key}"})).status == 200
    # The others together are bounded too; that is no fault of a key.
    async with SlowClient(gateway, wire.other_key, length=999_999):
        await wire.until(lambda: calls.body_bytes == 2_799_999, "the body of the other key")
        async with SlowClient(gateway, wire.other_key, length=900_000) as refused:
            status, head, error = await refused.response()
    assert (status, error["code"]) == (503, "overloaded")
    assert b"retry-after: 1\r\n" in head
    assert gateway.recorder.of(RateLimited) == [RateLimited(limit_type="key_body_bytes")]
    assert gateway.recorder.of(ExceptionMapped) == [ExceptionMapped(exception_type="OverloadedError")]


async def test_bodies_of_unknown_length_are_bounded_as_they_grow(make_upstream, make_gateway, wire):
    gateway = await make_gateway(await make_upstream(), shares={"max_body_bytes_per_key": 10_000})
    piece = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    async with SlowClient(gateway, wire.key, framing="transfer-encoding: chunked", sent=piece) as client:
        await wire.until(lambda: gateway.gateway.calls_in_flight.body_bytes == 0x2000, "the first piece")
        client.writer.write(piece)
        status, _, error = await client.response()
    assert (status, error["code"]) == (429, "rate_limit_exceeded")
    recorded = await gateway.finished()
    assert recorded.of(RateLimited) == [RateLimited(limit_type="key_body_bytes")]
    assert gateway.gateway.calls_in_flight.body_bytes == 0


async def test_a_refused_request_ends_without_its_body(make_upstream, make_gateway, wire):
    gateway = await make_gateway(await make_upstream(), limits=(1, None))
    assert (await gateway.chat()).status == 200
    for key, expected in ((wire.key, 429), ("wrong", 401), ("expired-key", 403), ("no-database", 503)):
        async with SlowClient(gateway, key, length=900_000) as client:
            assert (await client.response())[0] == expected
    async with SlowClient(gateway, wire.key, framing="transfer-encoding: chunked") as client:
        assert (await client.response())[0] == 429
    recorded = await gateway.finished()
    assert recorded.of(RateLimited) == [RateLimited(limit_type="key_requests")] * 2
    assert len(recorded.calls) == 1


async def test_a_request_over_its_share_is_charged_nowhere(make_upstream, make_gateway, wire):
    gateway = await make_gateway(await make_upstream(), limits=(3, None), shares={"limit_per_key": 1})
    async with SlowClient(gateway, wire.key, length=100):
        await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 1, "the slow body")
        for _ in range(5):
            assert (await gateway.chat()).status == 429
    await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 0)
    response = await gateway.chat()
    assert (response.status, response.headers["x-ratelimit-remaining-requests"]) == (200, "1")


async def test_a_client_that_never_sends_its_body_is_charged_a_request(make_upstream, make_gateway, wire):
    gateway = await make_gateway(
        await make_upstream(), limits=(2, None), server_config=ServerConfig(receive_body_seconds=0.05)
    )
    async with SlowClient(gateway, wire.key, length=100) as client:
        status, head, _ = await client.response()
    assert status == 408
    assert b"x-ratelimit-remaining-requests: 1\r\n" in head


@pytest.mark.parametrize(
    ("server", "max_connections", "expected"),
    [
        (ServerConfig(), 4_096, (500, 64 * 1024 * 1024)),
        (ServerConfig(), 48, (24, 64 * 1024 * 1024)),
        (ServerConfig(max_concurrent_requests=1), 4_096, (1, 64 * 1024 * 1024)),
        (ServerConfig(max_body_bytes=200 * 1024 * 1024), 4_096, (500, 200 * 1024 * 1024)),
        (
            ServerConfig(max_concurrent_requests_per_key=900, max_body_bytes_in_flight_per_key=20_000_000),
            464,
            (900, 20_000_000),
        ),
    ],
)
def test_the_share_of_a_key_is_one_half_unless_it_is_set(server, max_connections, expected) -> None:
    calls = calls_in_flight(server, max_connections)
    assert isinstance(calls, CallsInFlight)
    assert (calls.limit_per_key, calls.max_body_bytes_per_key) == expected
