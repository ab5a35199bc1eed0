"""An offer to upgrade is not taken up: the response is the one without the offer, and a body stays a body (RFC 9110, 7.8)."""

import logging

import pytest

from tests.app.gateway.raw_client import CHAT, chunked, exchange, get, post, responses

CLOSE = get(b"/v1/models", b"connection: close")
OFFERS = {
    "java": (
        b"Connection: Upgrade, HTTP2-Settings",
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        b"Upgrade: h2c",
        b"User-Agent: Java-http-client/17.0.15",
    ),
    "curl": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    "apache": (b"Upgrade: TLS/1.2", b"Connection: Upgrade"),
    "websocket": (
        b"Upgrade: websocket",
        b"Connection: keep-alive, Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "anything": (b"connection: upgrade", b"upgrade: x"),
    "several": (b"upgrade: foo/2, h2c", b"connection: Upgrade", b"upgrade: TLS/1.2"),
    "unannounced": (b"upgrade: h2c",),
    "no protocol": (b"connection: upgrade",),
}
CUTS = {"one segment": None, "body apart": 4, "in the head": -70, "before the last line feed": 3, "in the body": 20}
"""Where a request is cut, counted from the empty line that ends its head."""


def cut_at(cut, request):
    """Return a request in the segments of a cut."""
    if CUTS[cut] is None:
        return [request]
    at = request.index(b"\r\n\r\n") + CUTS[cut]
    return [request[:at], request[at:]]


async def only(gateway, *pieces, more=b""):
    """Send a request in pieces, then one that ends the connection; return all responses but the last."""
    *wanted, last = responses(await exchange(gateway.port, *pieces, more + CLOSE))
    assert last.status == 200
    return wanted


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("offer", OFFERS)
async def test_the_response_is_the_one_without_the_offer(make_upstream, make_gateway, caplog, offer, cut):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    (expected,) = await only(gateway, post())
    with caplog.at_level(logging.WARNING):
        (found,) = await only(gateway, *cut_at(cut, post(*OFFERS[offer])))
    assert found.same == expected.same
    assert found.status == 200
    assert not caplog.records
    recorded = await gateway.finished()
    assert [request.status_code for request in recorded.requests] == [200] * 4
    assert [each.json["messages"] for each in upstream.exchanges] == [[{"role": "user", "content": "hi"}]] * 2


@pytest.mark.parametrize("offer", OFFERS)
async def test_byte_by_byte(make_upstream, make_gateway, offer):
    gateway = await make_gateway(await make_upstream())
    request = post(*OFFERS[offer]) + CLOSE
    found = responses(await exchange(gateway.port, *[bytes([byte]) for byte in request], pause_seconds=0))
    assert [response.status for response in found] == [200, 200]
    await gateway.finished()


@pytest.mark.parametrize("offer", OFFERS)
async def test_a_body_in_chunks_belongs_to_its_request(make_upstream, make_gateway, offer):
    gateway = await make_gateway(await make_upstream())
    head = post(*OFFERS[offer], body=b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    (found,) = await only(gateway, head, chunked(CHAT))
    assert found.status == 200
    await gateway.finished()


@pytest.mark.parametrize("offer", OFFERS)
async def test_a_request_behind_an_offer_is_served(make_upstream, make_gateway, offer):
    gateway = await make_gateway(await make_upstream())
    request = get(b"/v1/models", *OFFERS[offer])
    found = await only(gateway, request + request, more=get(b"/v1/models"))
    assert [response.status for response in found] == [200] * 3
    recorded = await gateway.finished()
    assert [request.status_code for request in recorded.requests] == [200] * 4


@pytest.mark.parametrize("surplus", [0, 9])
@pytest.mark.parametrize("cut", ["one segment", "body apart"])
@pytest.mark.parametrize("offer", OFFERS)
async def test_what_stands_in_a_body_is_no_request(make_upstream, make_gateway, offer, cut, surplus):
    gateway = await make_gateway(await make_upstream())
    smuggled = get(b"/v1/smuggled")
    request = post(*OFFERS[offer], body=smuggled)
    # A length that is a little short leaves bytes that are no request either.
    request = request.replace(b"content-length: %d" % len(smuggled), b"content-length: %d" % (len(smuggled) - surplus))
    (found,) = responses(await exchange(gateway.port, *cut_at(cut, request)))
    assert found.status == 400
    assert dict(found.headers)["connection"] == "close"
    recorded = await gateway.finished()
    assert [request.status_code for request in recorded.requests] == [400]


@pytest.mark.parametrize("target", [b"gateway:80", b"/v1/models", b"/"])
async def test_connect_is_refused_and_nothing_behind_it_is_served(make_upstream, make_gateway, target):
    gateway = await make_gateway(await make_upstream())
    request = b"CONNECT " + target + b" HTTP/1.1\r\nhost: gateway:80\r\n\r\n"
    (found,) = responses(await exchange(gateway.port, request + get()))
    assert found.status in {400, 501}
    assert gateway.recorder.requests == []
