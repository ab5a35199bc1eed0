"""Each kind of failure, brought about over real sockets, is counted once under its kind and timed once in its fault domain."""

import asyncio
import contextlib
import errno
import socket
from typing import get_args

import aiohappyeyeballs
import pytest

from app.config.schema import ProviderConfig
from app.gateway.fault import fault_of
from otel.events import ErrorKind
from tests.harness.metered_gateway import GatewayTelemetry

pytestmark = pytest.mark.live

ROUTES = (("alpha", "acme/tiny"), ("alpha", "acme/embed"))
FAILURES = "gatewayz_attempt_failures_total"
DURATIONS = "gatewayz_failed_attempt_duration_seconds"
FAST = {"whole_answer_seconds": 20.0, "first_byte_seconds": 20.0, "idle_seconds": 20.0, "total_seconds": 20.0}


def labels(**values):
    return tuple(sorted({"provider": "alpha", "model": "acme/tiny", **values}.items()))


def says(status, error):
    async def script(exchange):
        await exchange.reply({"error": error}, status)

    return script


async def hang(exchange):
    await exchange.gone()


async def nonsense(exchange):
    await exchange.reply(b"<html>")


async def hang_up(exchange):
    exchange.close()


class Scripts:
    """Upstreams that need the vocabulary of the wire."""

    def __init__(self, wire):
        self.wire = wire

    async def stalls(self, exchange):
        await exchange.stream_head()
        await exchange.send(self.wire.sse(self.wire.chunk("Hel")))
        await exchange.gone()

    async def drips(self, exchange):
        await exchange.stream_head()
        with contextlib.suppress(ConnectionError):
            while True:
                await exchange.send(self.wire.sse(self.wire.chunk("x")))
                await asyncio.sleep(0.02)

    async def breaks(self, exchange):
        await exchange.stream(self.wire.chunk("Hel"), done=False)

    async def floods(self, exchange):
        text = self.wire.sse(self.wire.chunk("x" * 500_000))
        await exchange.stream_head()
        while True:
            await exchange.send(text)

    async def refuses_options(self, exchange):
        if "stream_options" in exchange.json:
            await exchange.reply({"error": {"message": "Unrecognized request argument: stream_options"}}, 400)
        else:
            await self.wire.response(exchange)


# By kind: the upstream's script (a name of `Scripts` as text), the provider's options, whether a stream is asked for.
SCRIPTED = {
    "whole_answer_timeout": (hang, {"whole_answer_seconds": 0.1}, False),
    "first_byte_timeout": (hang, {"first_byte_seconds": 0.1}, True),
    "idle_timeout": ("stalls", {"idle_seconds": 0.1}, True),
    "total_timeout": ("drips", {"total_seconds": 0.3}, True),
    "rate_limited": (says(429, {"message": "slow down"}), {}, False),
    "upstream_4xx": (says(400, {"message": "no"}), {}, False),
    "content_policy": (says(400, {"code": "content_filter", "message": "filtered"}), {}, False),
    "size_refused": (
        says(429, {"message": "Request too large: Limit 30000, Requested 60000. It must be reduced."}),
        {},
        False,
    ),
    "tier_unavailable": (says(498, {"message": "flex tier capacity exceeded"}), {}, False),
    "upstream_5xx": (says(500, {"message": "oops"}), {}, False),
    "upstream_auth": (says(401, {"message": "bad key"}), {}, False),
    "upstream_quota": (says(402, {"message": "Insufficient Balance"}), {}, False),
    "model_unavailable": (says(404, {"code": "model_not_found", "message": "gone"}), {}, False),
    "bad_response": (nonsense, {}, False),
    "connect_error": (hang_up, {}, False),
    "stream_broken": ("breaks", {}, True),
    "field_refused": ("refuses_options", {}, True),
}
OTHERS = {"connect_timeout", "pool_timeout", "gateway_resources", "slow_client"}


@pytest.fixture
def telemetry():
    return GatewayTelemetry(ROUTES)


async def is_counted_once(telemetry, wire, kind):
    """Wait for the count of the kind; everything else that could be counted is still 0."""
    once = {labels(error_kind=kind): 1}
    await wire.until(lambda: telemetry.counted(FAILURES), f"{kind} is counted")
    assert telemetry.counted(FAILURES) == once
    assert telemetry.samples(f"{DURATIONS}_count") == {labels(fault=fault_of(kind).domain): 1}


def test_every_kind_has_a_case():
    assert SCRIPTED.keys() | OTHERS == set(get_args(ErrorKind))


@pytest.mark.parametrize("kind", SCRIPTED)
async def test_a_failure_is_counted_under_its_kind(make_upstream, make_gateway, wire, telemetry, kind):
    script, options, stream = SCRIPTED[kind]
    upstream = await make_upstream(getattr(Scripts(wire), script) if isinstance(script, str) else script)
    gateway = await make_gateway(upstream, recorder=telemetry.recorder, **{**FAST, **options})
    await gateway.chat(stream=stream)
    await is_counted_once(telemetry, wire, kind)


async def test_a_connection_that_is_never_accepted(make_gateway, wire, telemetry, caplog):
    with contextlib.ExitStack() as sockets:
        # A full backlog: the kernel drops further SYNs.
        full = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = full.getsockname()[1]
        for _ in range(4):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        slow = ProviderConfig(name="alpha", base_url=f"http://127.0.0.1:{port}/v1", connect_seconds=0.2)
        gateway = await make_gateway(slow, recorder=telemetry.recorder)
        assert (await gateway.chat()).status == 504
    await is_counted_once(telemetry, wire, "connect_timeout")
    (seconds,) = telemetry.samples(f"{DURATIONS}_sum").values()
    assert seconds >= 0.2
    (line,) = (record for record in caplog.records if record.name == "gatewayz.attempt")
    assert line.duration_ms == pytest.approx(1_000 * seconds, abs=50.0)


async def test_a_full_pool(make_upstream, make_gateway, wire, telemetry):
    upstream = await make_upstream(hang)
    gateway = await make_gateway(upstream, recorder=telemetry.recorder, max_connections=1, pool_wait_seconds=0.1)
    held = asyncio.create_task(gateway.chat())
    await wire.until(lambda: upstream.exchanges, "the first call")
    assert (await gateway.chat()).status == 503
    await is_counted_once(telemetry, wire, "pool_timeout")
    held.cancel()


async def test_no_descriptors(make_upstream, make_gateway, wire, telemetry, monkeypatch):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, recorder=telemetry.recorder)
    connect = aiohappyeyeballs.start_connection

    async def fail(addr_infos, **options):
        if addr_infos[0][4][1] == upstream.port:
            raise OSError(errno.EMFILE, "exhausted")
        return await connect(addr_infos, **options)

    with monkeypatch.context() as patch:
        patch.setattr(aiohappyeyeballs, "start_connection", fail)
        assert (await gateway.chat()).status == 503
    await is_counted_once(telemetry, wire, "gateway_resources")


async def test_a_client_that_reads_too_slowly(make_upstream, make_gateway, wire, telemetry):
    upstream = await make_upstream(Scripts(wire).floods)
    gateway = await make_gateway(upstream, recorder=telemetry.recorder, total_seconds=3.0, idle_seconds=20.0)
    body = b'{"model":"acme/tiny","stream":true,"messages":[{"role":"user","content":"Say hello"}]}'
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer good-key\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await is_counted_once(telemetry, wire, "slow_client")


async def test_a_success_and_a_cancelled_call_are_no_failures(make_upstream, make_gateway, wire, telemetry):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, recorder=telemetry.recorder)
    assert (await gateway.chat()).status == 200
    upstream.script = Scripts(wire).stalls
    call = asyncio.create_task(gateway.chat(stream=True))
    await wire.until(lambda: len(upstream.exchanges) == 2, "the second call")
    call.cancel()
    cancelled = "gatewayz_cancelled_calls_total"
    await wire.until(lambda: telemetry.counted(cancelled), "the end of the cancelled call")
    assert telemetry.counted(FAILURES) == {}
    assert telemetry.samples(f"{DURATIONS}_count") == {}
