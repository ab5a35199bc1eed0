"""Room for large responses: one key has a half, who waits goes on when others have ended, and nothing stays behind."""

import asyncio
import json
from collections import Counter

import pytest

from app.gateway.bounded_reads import BoundedReads
from app.gateway.capacity.response_budget import FREE_BYTES, MEDIUM_BYTES, ResponseBudget, ResponseShare, room_for
from app.server.http_exchange import Exchange
from app.server.write_flow import HIGH_WATER_BYTES
from tests.app.gateway.raw_client import post

MIB = 1024 * 1024


def share_of(room, owner, size):
    share = room.share(owner)
    assert share.try_hold(size)
    return share


async def test_small_responses_need_no_room():
    room = ResponseBudget(max_bytes=1)
    for _ in range(100):
        assert room.share("key").try_hold(FREE_BYTES)
    assert room.held_bytes == 0


async def test_one_owner_holds_a_half_and_leaves_the_other_to_others():
    room = ResponseBudget(max_bytes=100 * MIB)
    first = share_of(room, "greedy", 40 * MIB)
    assert not room.share("greedy").try_hold(20 * MIB)
    share_of(room, "other", 50 * MIB)
    assert not room.share("third").try_hold(20 * MIB)
    first.release()
    assert room.share("third").try_hold(20 * MIB)


async def test_one_that_holds_nothing_may_hold_a_response_of_any_size():
    room = ResponseBudget(max_bytes=10 * MIB)
    share = share_of(room, "key", 64 * MIB)
    assert share.try_hold(64 * MIB)
    share.release()
    assert room.held_bytes == 0
    assert room_for(200 * MIB) == 400 * MIB


async def test_who_waits_goes_on_when_another_has_ended():
    room = ResponseBudget(max_bytes=100 * MIB)
    first, second = share_of(room, "key", 50 * MIB), room.share("key")
    waiting = asyncio.create_task(second.hold(50 * MIB))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.release()
    assert await waiting
    second.release()
    assert room.held_bytes == 0


async def test_nobody_waits_indefinitely():
    room = ResponseBudget(max_bytes=100 * MIB, wait_seconds=0.0)
    share_of(room, "key", 50 * MIB)
    assert not await room.share("key").hold(50 * MIB)


@pytest.mark.parametrize("length_is_known", [True, False])
async def test_large_responses_of_one_key_come_one_after_the_other(
    make_upstream, make_gateway, wire, length_is_known
) -> None:
    text = "a" * 3 * MIB
    large = wire.completion | {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}

    async def script(exchange):
        if length_is_known:
            await exchange.reply(large)
        else:
            body = json.dumps(large).encode()
            await exchange.raw(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            await exchange.send(body)
            await exchange.end()

    room = ResponseBudget(max_bytes=8 * MIB)
    gateway = await make_gateway(await make_upstream(script), response_budget=room)
    got = await asyncio.gather(*(gateway.chat() for _ in range(4)))
    assert [response.status for response in got] == [200] * 4
    await gateway.finished()
    assert room.held_bytes == 0


async def test_where_there_is_no_room_the_gateway_is_to_blame(make_upstream, make_gateway, wire) -> None:
    large = wire.completion | {"padding": "a" * 3 * MIB}

    async def script(exchange):
        await exchange.reply(large)

    room = ResponseBudget(max_bytes=8 * MIB, wait_seconds=0.0)
    taken = share_of(room, "other", 7 * MIB)
    gateway = await make_gateway(await make_upstream(script), response_budget=room)
    assert (await gateway.chat()).status == 503
    recorded = await gateway.finished()
    assert [attempt.error_kind for attempt in recorded.attempts] == ["gateway_resources"]
    taken.release()
    assert (await gateway.chat()).status == 200


async def test_an_event_of_many_megabytes_is_passed_on_as_it_is_and_needs_room(
    make_upstream, make_gateway, wire
) -> None:
    text = "a" * 3 * MIB

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk(text), wire.chunk(finish="stop"), b"[DONE]"))
        await exchange.end()

    room = ResponseBudget(max_bytes=32 * MIB)
    gateway = await make_gateway(await make_upstream(script), response_budget=room)
    response = await gateway.chat(stream=True)
    assert text.encode() in response.raw
    await gateway.finished()
    assert room.held_bytes == 0
    taken = share_of(room, "other", 31 * MIB)
    assert (await gateway.chat(stream=True)).status == 503
    taken.release()


def test_what_is_not_needed_is_given_back() -> None:
    room = ResponseBudget()
    share = share_of(room, "key", MEDIUM_BYTES)
    share.shrink(100 * 1024)
    assert room.held_bytes == 100 * 1024
    assert share.try_hold(3 * MIB)
    assert room.held_bytes == 3 * MIB + 100 * 1024
    share.shrink(2 * MIB)
    assert room.held_bytes == 2 * MIB
    share.shrink(FREE_BYTES)
    assert room.held_bytes == 0


@pytest.mark.live
@pytest.mark.parametrize("length_is_known", [True, False])
async def test_medium_responses_of_one_key_hold_no_more_than_its_share(
    make_upstream, make_gateway, wire, monkeypatch, length_is_known
) -> None:
    body = json.dumps(wire.completion | {"padding": "a" * 300 * 1024}).encode()

    async def script(exchange):
        if length_is_known:
            await exchange.reply(body)
            return
        await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        await exchange.send(body)
        await exchange.end()

    room, most = ResponseBudget(medium_bytes_per_owner=2 * MEDIUM_BYTES), []
    held = ResponseShare._holds

    def noted(self, size_bytes):
        most.append(room.held_bytes)
        return held(self, size_bytes)

    monkeypatch.setattr(ResponseShare, "_holds", noted)
    gateway = await make_gateway(await make_upstream(script), response_budget=room)
    got = await asyncio.gather(*(gateway.chat() for _ in range(20)))
    assert [response.status for response in got] == [200] * 20
    assert len(most) == 20
    assert max(most) <= 2 * MEDIUM_BYTES
    await gateway.finished()
    assert room.held_bytes == 0


@pytest.mark.live
@pytest.mark.parametrize("case", [(500, 96 * 1024), (60_000, 200 * 1024)])
async def test_of_a_stream_that_nobody_reads_little_is_held(
    make_upstream, make_gateway, wire, monkeypatch, case
) -> None:
    (characters, most_bytes), counted, most = case, Counter(), []
    event = wire.sse(wire.chunk("a" * characters))
    # Few chunks: their framing is read, and never written.
    events = event * max(1, 64 * 1024 // len(event))

    async def script(exchange):
        await exchange.stream_head()
        for _ in range(16 * MIB // len(events)):
            await exchange.send(events)

    arrived, written = BoundedReads.buffer_updated, Exchange._write_body

    def read(self, nbytes):
        counted["read"] += nbytes
        most.append(counted["read"] - counted["written"] + counted["buffered"])
        arrived(self, nbytes)

    def write(self, connection, body, *, is_last):
        written(self, connection, body, is_last=is_last)
        counted["written"] += len(body)
        counted["buffered"] = connection.transport.get_write_buffer_size()

    monkeypatch.setattr(BoundedReads, "buffer_updated", read)
    monkeypatch.setattr(Exchange, "_write_body", write)
    room = ResponseBudget()
    gateway = await make_gateway(await make_upstream(script), response_budget=room)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
    fields = {"model": "acme/tiny", "messages": [{"role": "user", "content": "a"}], "stream": True}
    writer.write(post(body=json.dumps(fields).encode()))
    # The gateway's side of the connection is full once the kernel takes no more.
    await wire.until(lambda: counted["buffered"] > HIGH_WATER_BYTES, "a client that does not read")
    seen = -1
    while seen != counted["read"]:
        seen = counted["read"]
        for _ in range(200):
            await asyncio.sleep(0)
    assert max(most) <= most_bytes
    assert room.held_bytes == 0 if characters < FREE_BYTES else 0 < room.held_bytes < 2 * characters
    assert reader is not None
    writer.transport.abort()
    await gateway.finished()
    assert room.held_bytes == 0
