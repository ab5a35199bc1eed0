"""Requests of each kind are freed when they end: what would wait for the garbage collector makes the process grow under load."""

import asyncio
import gc
import json
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import pytest

import app
from app.config.schema import BreakerConfig
from tests.app.gateway.raw_client import exchange, get, post
from tests.app.gateway.traced_gateway import pushed_telemetry
from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.polling import until

pytestmark = pytest.mark.live
REQUESTS = 3
ROOMS = ("app", "otel")
ROOT = Path(app.__file__).parent.parent


def body(**fields):
    return json.dumps({"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], **fields}).encode()


def closing(*fields, **more):
    return post(b"connection: close", *fields, **more)


async def fails(one):
    await one.reply({"error": {"message": "overloaded"}}, status=500)


async def refuses(one):
    await one.reply({"error": {"message": "too long", "code": "context_length_exceeded"}}, status=400)


async def is_no_json(one):
    await one.reply(b"<html>")


async def breaks_off(one):
    await one.stream_head()
    await one.send(b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n')
    one.close()


async def breaks_off_whole(one):
    await one.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{")
    one.close()


async def breaks_off_refusal(one):
    await one.raw(b"HTTP/1.1 500 No\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{")
    one.close()


async def closes(one):
    one.close()


async def waits(one):
    await one.gone()


async def streams_and_waits(one):
    await one.stream_head()
    await one.send(b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n')
    await one.gone()


@pytest.fixture(scope="module")
def anyio_backend():
    """The gateway's event loop: it forgets a cancelled timer at once, asyncio's own later."""
    return "asyncio", {"use_uvloop": True}


class Kind(SimpleNamespace):
    """A request, what its provider does, and what the client sees, or that it leaves once it has read `leaves_after`."""

    request = closing()
    script = None
    status = b" 200 "
    first_status = None
    leaves_after = None
    options = MappingProxyType({})
    healthy = False


KINDS = {
    "whole": Kind(),
    "streamed": Kind(request=closing(body=body(stream=True))),
    "cached": Kind(request=closing(body=body(temperature=0)), options={"cache_ttl_seconds": 60.0}),
    "failed": Kind(script=fails, status=b" 502 "),
    "failed stream": Kind(request=closing(body=body(stream=True)), script=fails, status=b" 502 "),
    "refused by the provider": Kind(script=refuses, status=b" 400 "),
    "no JSON": Kind(script=is_no_json, status=b" 502 "),
    "no connection": Kind(script=closes, status=b" 502 "),
    "failed over": Kind(script=fails, healthy=True),
    "broken stream": Kind(request=closing(body=body(stream=True)), script=breaks_off),
    "broken response": Kind(script=breaks_off_whole, status=b" 502 "),
    "broken refusal": Kind(script=breaks_off_refusal, status=b" 502 "),
    "timed out": Kind(script=waits, status=b" 504 ", options={"whole_answer_seconds": 0.02}),
    "stream timed out": Kind(
        request=closing(body=body(stream=True)), script=streams_and_waits, options={"idle_seconds": 0.02}
    ),
    "client left": Kind(script=waits, leaves_after=b""),
    "client left a stream": Kind(
        request=closing(body=body(stream=True)), script=streams_and_waits, leaves_after=b"content"
    ),
    "unknown key": Kind(request=closing(key=b"none"), status=b" 401 "),
    "unknown model": Kind(request=closing(body=body(model="none")), status=b" 404 "),
    "broken JSON": Kind(request=closing(body=b"{"), status=b" 400 "),
    "over its limit": Kind(status=b" 429 ", options={"limits": (1, None)}, first_status=b" 200 "),
    "embedding": Kind(request=closing(path=b"/v1/embeddings", body=b'{"model":"acme/embed","input":"x"}')),
    "models": Kind(request=get(b"/v1/models", b"connection: close")),
    "one model": Kind(request=get(b"/v1/models/none", b"connection: close"), status=b" 404 "),
    "unknown path": Kind(request=get(b"/none", b"connection: close"), status=b" 404 "),
}


async def leave(port, request, upstream, after):
    """Send a request and close the connection while the provider responds."""
    served = len(upstream.exchanges)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    if after:
        await reader.readuntil(after)
    await until(lambda: len(upstream.exchanges) > served, "the provider's request")
    writer.close()


@contextmanager
def saved_garbage():
    """Yield a list that holds, after the block, what the block made and left to the garbage collector."""
    found = []
    gc.collect()
    gc.disable()
    gc.freeze()  # an earlier test's gateway may become garbage now, for example when the last of its threads ends
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def described(each):
    """Return what a piece of garbage is, if it is of the gateway's code."""
    kind = type(each)
    code = getattr(each, "f_code", None) or getattr(each, "cr_code", None) or getattr(each, "__code__", None)
    if code is None:
        return kind.__qualname__ if kind.__module__.partition(".")[0] in ROOMS else None
    path = Path(code.co_filename)
    return f"{kind.__name__} {code.co_qualname}" if any(path.is_relative_to(ROOT / room) for room in ROOMS) else None


@pytest.mark.parametrize("name", KINDS)
async def test_a_request_leaves_no_garbage(make_upstream, make_gateway, wire, name):
    kind = KINDS[name]
    upstream = await make_upstream(kind.script or wire.response)
    upstreams = [upstream, await make_upstream(name="beta")] if kind.healthy else [upstream]
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver) as telemetry:
            gateway = await make_gateway(
                *upstreams, recorder=telemetry.recorder, breaker=BreakerConfig(enabled=False), **kind.options
            )

            async def send(status):
                if kind.leaves_after is not None:
                    await leave(gateway.port, kind.request, upstream, kind.leaves_after)
                else:
                    assert status in await exchange(gateway.port, kind.request)
                await wire.until(lambda: gateway.connections.open == 0, "the end of the connection")
                await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 0, "the end of the call")

            await send(kind.first_status or kind.status)
            with saved_garbage() as garbage:
                for _ in range(REQUESTS):
                    await send(kind.status)
    found = Counter(filter(None, map(described, garbage)))
    # What the last request or the one before has left may be in flight still.
    assert not [each for each, count in found.items() if count >= REQUESTS], found
