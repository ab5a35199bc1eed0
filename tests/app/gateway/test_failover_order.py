"""Failover: which failures lead to the next provider, and what the caller gets when none is left."""

import asyncio
import json
import socket
import time
from email.utils import formatdate
from typing import get_args

import msgspec
import pytest

from app.config.schema import ProviderConfig
from otel.events import ErrorKind, ExceptionMapped, RateLimited
from otel.events.usage import NO_USAGE, Usage
from tests.harness.polling import DEADLINE_SECONDS

pytestmark = pytest.mark.live


async def hang(exchange):
    await exchange.gone()


async def close_at_once(exchange):
    exchange.close()


async def close_in_the_head(exchange):
    await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-ty")
    exchange.close()


async def no_http(exchange):
    await exchange.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    exchange.close()


async def truncated(exchange):
    await exchange.raw(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"choices":[{"in')
    exchange.close()


async def broken_chunks(exchange):
    await exchange.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    await asyncio.sleep(0.05)
    await exchange.raw(b"zz\r\nhello\r\n")
    exchange.close()


async def broken_chunks_with_the_head(exchange):
    await exchange.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n")
    exchange.close()


async def broken_gzip(exchange):
    await exchange.reply(b"this is no gzip", headers={"content-encoding": "gzip"})


async def endless(exchange):
    await exchange.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await exchange.send(b" " * 50_000)


async def announced_endless(exchange):
    await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
    await exchange.gone()


async def dripping_head(exchange):
    await exchange.raw(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.raw(b"x-a: b\r\n")
        await asyncio.sleep(0.02)


def says(body, status=200, headers=None):
    async def script(exchange):
        await exchange.reply(body, status, headers)

    return script


FAILURES = [
    pytest.param(close_at_once, "connect_error", None, 502, id="closes"),
    pytest.param(close_in_the_head, "connect_error", None, 502, id="closes in the head"),
    pytest.param(no_http, "bad_response", None, 502, id="no HTTP"),
    pytest.param(hang, "whole_answer_timeout", None, 504, id="hangs"),
    pytest.param(dripping_head, "whole_answer_timeout", None, 504, id="drips its head"),
    pytest.param(says({"error": {}}, 500), "upstream_5xx", 500, 502, id="500"),
    pytest.param(says(b"<html>", 503), "upstream_5xx", 503, 502, id="503 HTML"),
    pytest.param(says({"error": {}}, 408), "upstream_5xx", 408, 502, id="408"),
    pytest.param(says({"error": {}}, 401), "upstream_auth", 401, 502, id="401"),
    pytest.param(says({"error": {}}, 403), "upstream_auth", 403, 502, id="403"),
    pytest.param(says({"error": {}}, 402), "upstream_auth", 402, 502, id="402"),
    pytest.param(says({"error": {"code": "insufficient_quota"}}, 429), "upstream_quota", 429, 502, id="429 quota"),
    pytest.param(says({"error": {}}, 404), "model_unavailable", 404, 502, id="404"),
    pytest.param(says({"error": {}}, 405), "model_unavailable", 405, 502, id="405"),
    pytest.param(says({"error": {}}, 410), "model_unavailable", 410, 502, id="410"),
    pytest.param(says({"error": {}}, 429), "rate_limited", 429, 429, id="429"),
    pytest.param(says({"error": {}}, 498), "tier_unavailable", 498, 429, id="498 flex"),
    pytest.param(says(b"", 302, {"location": "http://x/"}), "bad_response", 302, 502, id="redirect"),
    pytest.param(says(b"", 204), "bad_response", 204, 502, id="204"),
    pytest.param(says(b""), "bad_response", 200, 502, id="empty"),
    pytest.param(says(b"<html>hello</html>", headers={"x": "y"}), "bad_response", 200, 502, id="HTML"),
    pytest.param(says({"choices": []}), "bad_response", 200, 502, id="no choices"),
    pytest.param(says({"choices": {}}), "bad_response", 200, 502, id="odd choices"),
    pytest.param(says([1]), "bad_response", 200, 502, id="a list"),
    pytest.param(says(b'{"choices":[{"x":nan}]}'), "bad_response", 200, 502, id="nan"),
    pytest.param(says({"choices": [7]}), "bad_response", 200, 502, id="choices that are none"),
    pytest.param(says(b'{"choices":[{"x":"\xff"}]}'), "bad_response", 200, 502, id="no UTF-8"),
    pytest.param(says(b'{"choices":' + b"[" * 5000 + b"]" * 5000 + b"}"), "bad_response", 200, 502, id="deep"),
    pytest.param(says({"error": {"code": 502}}), "upstream_5xx", 200, 502, id="200 with 502 inside"),
    pytest.param(says({"error": {"code": 429}}), "rate_limited", 200, 429, id="200 with 429 inside"),
    pytest.param(says({"error": "odd"}), "bad_response", 200, 502, id="200 with an error"),
    pytest.param(truncated, "bad_response", 200, 502, id="truncated"),
    pytest.param(broken_chunks, "bad_response", 200, 502, id="broken chunks"),
    pytest.param(broken_chunks_with_the_head, "bad_response", None, 502, id="broken chunks with the head"),
    pytest.param(broken_gzip, "bad_response", 200, 502, id="broken gzip"),
    pytest.param(endless, "bad_response", 200, 502, id="endless"),
    pytest.param(announced_endless, "bad_response", 200, 502, id="endless by its own word"),
]


PROMPT = Usage(
    input_tokens=3,
    estimated=True,
    cost_nanousd=450,
    credits_nanousd=450,
    cost_source="estimated",
    priced_nanousd=450,
)
"""What "Say hello" costs where the provider had it and may bill it."""
AT_WORK = msgspec.structs.replace(PROMPT, exposure_nanousd=4_096 * 600)
"""The same where it may be at work still, and make output that costs 600 nano-US-dollars per token."""

WORKED_IN_VAIN = {
    hang, dripping_head, truncated, broken_chunks, broken_gzip, endless, announced_endless,
}  # fmt: skip


def limits(kind):
    """Short timeouts only where one must run out: a busy machine takes its time too."""
    seconds = 0.2 if kind in {"first_byte_timeout", "whole_answer_timeout"} else 5.0
    return {
        "first_byte_seconds": seconds,
        "whole_answer_seconds": seconds,
        "idle_seconds": seconds,
        "max_response_bytes": 500_000,
    }


@pytest.mark.parametrize(("script", "kind", "http_status", "status"), FAILURES)
async def test_the_next_provider_responds(make_upstream, make_gateway, wire, *, script, kind, http_status, status):
    first, second = await make_upstream(script), await make_upstream(name="beta")
    gateway = await make_gateway(first, second, **limits(kind))
    response = await gateway.chat()
    assert (response.status, response.json) == (200, wire.completion)
    assert response.headers["x-gatewayz-provider"] == "beta"
    recorded = await gateway.finished()
    failed, good = recorded.attempts
    assert (failed.status, failed.error_kind) == ("error", kind)
    billed = AT_WORK if kind.endswith("timeout") else PROMPT
    assert failed.usage == (billed if script in WORKED_IN_VAIN else NO_USAGE)
    if http_status is not None:
        assert failed.http_status == http_status
    assert good.status == "success"
    assert [each.number for each in recorded.started] == [1, 2]
    assert (recorded.calls[0].status, recorded.calls[0].attempts, recorded.calls[0].provider) == ("success", 2, "beta")
    assert status in {429, 502, 504}
    assert len(first.exchanges) == 1, "the first provider was asked once"
    await wire.until(lambda: first.open_connections <= (http_status is not None), "the broken exchange's end")


@pytest.mark.parametrize(("script", "kind", "http_status", "status"), FAILURES)
async def test_the_last_failure_decides_the_status(make_upstream, make_gateway, *, script, kind, http_status, status):
    gateway = await make_gateway(await make_upstream(script), **limits(kind))
    response = await gateway.chat()
    assert response.status == status
    assert set(response.json) == {"error"}
    assert set(response.json["error"]) == {"message", "type", "param", "code"}
    recorded = await gateway.finished()
    assert (recorded.calls[0].status, recorded.calls[0].error_kind) == ("error", kind)
    assert recorded.attempts[0].http_status == http_status
    mapped = {429: [], 502: ["UpstreamFailedError"], 504: ["UpstreamTimeoutError"]}[status]
    assert [event.exception_type for event in recorded.of(ExceptionMapped)] == mapped
    if status == 429:
        assert recorded.of(RateLimited) == [RateLimited(limit_type="upstream")]
        assert response.headers["retry-after"] == "1"


STREAM_FAILURES = [
    pytest.param(lambda x: x.stream(), "bad_response", id="only an end marker"),
    pytest.param(lambda x: x.stream(done=False), "bad_response", id="nothing"),
    pytest.param(lambda x: x.stream({"error": {"code": 500}}), "upstream_5xx", id="an error first"),
    pytest.param(lambda x: x.stream(b"{no json"), "bad_response", id="garbage first"),
    pytest.param(says({"choices": [{"message": {}}]}), "bad_response", id="JSON instead of a stream"),
    pytest.param(says(b"x" * 100), "bad_response", id="text instead of a stream"),
    pytest.param(says(b"data: " + b"x" * 9_000_000), "bad_response", id="an endless line"),
    pytest.param(broken_chunks, "stream_broken", id="broken chunks"),
    pytest.param(says({"error": {}}, 500), "upstream_5xx", id="500"),
    pytest.param(hang, "first_byte_timeout", id="hangs"),
]


@pytest.mark.parametrize(("script", "kind"), STREAM_FAILURES)
async def test_streams_fail_over_before_their_first_byte(make_upstream, make_gateway, wire, script, kind):
    gateway = await make_gateway(await make_upstream(script), await make_upstream(name="beta"), **limits(kind))
    events = await gateway.stream()
    assert events == [wire.chunk("Hel"), wire.chunk("lo"), wire.chunk(finish="stop"), b"[DONE]"]
    recorded = await gateway.finished()
    assert [attempt.error_kind for attempt in recorded.attempts] == [kind, None]
    assert recorded.calls[0].status == "success"


@pytest.mark.parametrize(("script", "kind"), STREAM_FAILURES)
async def test_a_stream_that_never_began_has_an_http_status(make_upstream, make_gateway, script, kind):
    gateway = await make_gateway(await make_upstream(script), **limits(kind))
    response = await gateway.chat(stream=True)
    assert response.status == (504 if kind == "first_byte_timeout" else 502)
    assert response.headers["content-type"] == "application/json"
    assert (await gateway.finished()).calls[0].error_kind == kind


async def test_a_stream_that_sends_its_head_and_then_nothing_fails_over(make_upstream, make_gateway):
    async def only_a_head(exchange):
        await exchange.stream_head()
        await exchange.gone()

    gateway = await make_gateway(
        await make_upstream(only_a_head), await make_upstream(name="beta"), **limits("first_byte_timeout")
    )
    assert (await gateway.stream())[-1] == b"[DONE]"
    recorded = await gateway.finished()
    assert [attempt.error_kind for attempt in recorded.attempts] == ["first_byte_timeout", None]
    assert recorded.attempts[0].http_status == 200


async def test_a_port_where_nobody_listens(make_upstream, make_gateway):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    nobody = ProviderConfig(name="nobody", base_url=f"http://127.0.0.1:{port}/v1")
    gateway = await make_gateway(nobody, await make_upstream(name="beta"))
    assert (await gateway.chat()).status == 200
    attempt = (await gateway.finished()).attempts[0]
    assert (attempt.error_kind, attempt.response_seconds, attempt.http_status) == ("connect_error", None, None)


async def test_a_connection_that_is_never_accepted_times_out(make_upstream, make_gateway):
    # A full backlog: the kernel drops further SYNs.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        await asyncio.sleep(0.05)
        slow = ProviderConfig(name="slow", base_url=f"http://127.0.0.1:{port}/v1", connect_seconds=0.2)
        gateway = await make_gateway(slow)
        response = await gateway.chat()
        for filler in fillers:
            filler.close()
    assert (response.status, response.json["error"]["code"]) == (504, "upstream_timeout")
    attempt = (await gateway.finished()).attempts[0]
    assert attempt.error_kind == "connect_timeout"
    # The kernel itself gives up after two minutes.
    assert 0.19 < attempt.response_seconds < DEADLINE_SECONDS


async def test_waiting_for_a_free_connection_is_bounded_too(make_upstream, make_gateway, wire):
    upstream = await make_upstream(hang)
    gateway = await make_gateway(upstream, max_connections=1, pool_wait_seconds=0.2)
    first = asyncio.create_task(gateway.chat())
    await wire.until(lambda: upstream.exchanges, "the first call")
    response = await gateway.chat()
    assert (response.status, response.json["error"]["code"], response.headers["retry-after"]) == (
        503,
        "overloaded",
        "1",
    )
    first.cancel()
    recorded = await gateway.finished()
    assert {attempt.error_kind for attempt in recorded.attempts} == {"pool_timeout", None}
    assert gateway.states["alpha"].error_rate is None


@pytest.mark.parametrize(
    ("waits", "expected"),
    [(["7", "3"], "3"), (["2.2", "9"], "3"), ([None, "5"], "1"), (["soon", "-5"], "1"), (["1e99", "99999"], "3600")],
)
async def test_all_rate_limited_gives_the_shortest_wait(make_upstream, make_gateway, waits, expected):
    upstreams = [
        await make_upstream(says({"error": {}}, 429, {"retry-after": wait} if wait else None), name=name)
        for wait, name in zip(waits, ("alpha", "beta"), strict=True)
    ]
    gateway = await make_gateway(*upstreams)
    response = await gateway.chat()
    assert (response.status, response.headers["retry-after"]) == (429, expected)
    assert response.json["error"]["code"] == "upstream_rate_limited"
    recorded = await gateway.finished()
    assert recorded.of(RateLimited) == [RateLimited(limit_type="upstream")]
    assert recorded.of(ExceptionMapped) == []


async def test_a_retry_after_date_is_understood(make_upstream, make_gateway):
    async def later(exchange):
        when = formatdate(time.time() + 30, usegmt=True)
        await exchange.reply({"error": {}}, 429, {"retry-after": when})

    gateway = await make_gateway(await make_upstream(later))
    assert 25 <= int((await gateway.chat()).headers["retry-after"]) <= 31


async def test_one_rate_limited_and_one_broken_provider_is_a_502(make_upstream, make_gateway):
    first = await make_upstream(says({"error": {}}, 429))
    second = await make_upstream(says({"error": {}}, 500), name="beta")
    gateway = await make_gateway(first, second)
    assert (await gateway.chat()).status == 502
    assert (await gateway.finished()).of(RateLimited) == []


@pytest.mark.parametrize(
    ("upstream_status", "status"), [(400, 400), (422, 422), (409, 409), (413, 413), (415, 400), (451, 400)]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_callers_own_mistake_comes_back_with_the_providers_words(
    make_upstream, make_gateway, *, upstream_status, status, stream
):
    error = {"error": {"message": "messages[0].role is odd", "type": "x", "param": "messages", "code": None}, "z": 1}
    first = await make_upstream(says(error, upstream_status))
    second = await make_upstream(name="beta")
    gateway = await make_gateway(first, second)
    response = await gateway.chat(stream=stream)
    assert (response.status, response.json) == (status, {"error": error["error"]})
    assert not second.exchanges
    recorded = await gateway.finished()
    assert (recorded.attempts[0].error_kind, recorded.attempts[0].http_status) == ("upstream_4xx", upstream_status)
    assert recorded.calls[0].error_kind == "upstream_4xx"
    assert recorded.of(ExceptionMapped) == []
    assert "odd" not in repr(recorded.all)


@pytest.mark.parametrize("body", [b"<html>no</html>", b'["error"]', b'{"detail":"x"}', b"", b'{"error":' + b"[" * 9000])
async def test_a_refusal_that_is_no_error_object_is_not_passed_on(make_upstream, make_gateway, body):
    gateway = await make_gateway(await make_upstream(says(body, 400)))
    response = await gateway.chat()
    assert (response.status, response.json["error"]["code"]) == (400, "provider_refused")


async def test_a_connection_that_the_provider_closed_while_idle_is_not_used(make_upstream, make_gateway, wire):
    async def respond_and_close(exchange):
        await exchange.reply(wire.completion)
        exchange.close()

    upstream = await make_upstream(respond_and_close)
    gateway = await make_gateway(upstream)
    for _ in range(5):
        assert (await gateway.chat()).status == 200
    recorded = await gateway.finished()
    assert [attempt.status for attempt in recorded.attempts] == ["success"] * 5
    assert len(upstream.exchanges) == 5


async def test_a_connection_that_dies_under_the_request_is_tried_once_more_and_counted(
    make_upstream, make_gateway, wire
):
    async def die_on_reuse(exchange):
        if len([each for each in upstream.exchanges if each.connection == exchange.connection]) > 1:
            exchange.close()
        else:
            await exchange.reply(wire.completion)

    upstream = await make_upstream(die_on_reuse)
    gateway = await make_gateway(upstream)
    assert [(await gateway.chat()).status for _ in range(2)] == [200, 200]
    recorded = await gateway.finished()
    assert [attempt.error_kind for attempt in recorded.attempts] == [None, "connect_error", None]
    assert [call.attempts for call in recorded.calls] == [1, 2]
    assert len(upstream.exchanges) == 3, "nothing is sent that is not counted"


GIVEN_UP = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: %b\r\n\r\n"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_idle_connection_that_is_given_up_by_408_is_tried_again_on_a_fresh_one(
    make_upstream, make_gateway, wire, stream
):
    async def give_up_on_reuse(exchange):
        if len([each for each in upstream.exchanges if each.connection == exchange.connection]) > 1:
            await exchange.raw(GIVEN_UP % b"close")
            exchange.close()
        else:
            await wire.response(exchange)

    upstream = await make_upstream(give_up_on_reuse)
    gateway = await make_gateway(upstream)
    assert [(await gateway.chat(stream=stream)).status for _ in range(3)] == [200, 200, 200]
    recorded = await gateway.finished()
    assert [row.status for row in recorded.rows] == ["success"] * 3
    assert len({exchange.connection for exchange in upstream.exchanges}) == 3


@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
async def test_a_408_on_a_fresh_connection_is_the_providers(make_upstream, make_gateway, connection):
    upstream = await make_upstream(lambda exchange: exchange.raw(GIVEN_UP % connection))
    gateway = await make_gateway(upstream)
    assert (await gateway.chat()).status == 502
    assert len(upstream.exchanges) == 1


async def test_a_fresh_connection_that_dies_is_not_tried_again(make_upstream, make_gateway):
    upstream = await make_upstream(close_at_once)
    gateway = await make_gateway(upstream)
    assert (await gateway.chat()).status == 502
    assert len(upstream.exchanges) == 1


async def test_leaving_during_fail_over_ends_the_attempt_under_way(make_upstream, make_gateway, wire):
    first = await make_upstream(says({"error": {}}, 500))
    second = await make_upstream(hang, name="beta")
    gateway = await make_gateway(first, second)
    call = asyncio.create_task(gateway.chat())
    await wire.until(lambda: second.exchanges, "the second attempt")
    call.cancel()
    recorded = await gateway.finished()
    assert [attempt.status for attempt in recorded.attempts] == ["error", "cancelled"]
    assert (recorded.calls[0].status, recorded.calls[0].provider) == ("cancelled", "beta")


def test_the_table_names_every_kind_but_those_with_tests_of_their_own():
    elsewhere = {
        "connect_timeout",
        "first_byte_timeout",
        "idle_timeout",
        "total_timeout",
        "stream_broken",
        "slow_client",
    }
    elsewhere |= {
        "upstream_4xx",
        "content_policy",
        "pool_timeout",
        "gateway_resources",
        "field_refused",
        "size_refused",
    }
    assert {json.dumps(param.values[1])[1:-1] for param in FAILURES} | elsewhere == set(get_args(ErrorKind))
