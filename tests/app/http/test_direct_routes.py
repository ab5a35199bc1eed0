"""Calls are served without the framework, and everything else by it."""

import pytest

from app.http.direct_routes import DirectRoutes
from otel.instrument.asgi import STARTED_KEY

CHAT = "/v1/chat/completions"


def make_routes(served, error=None):
    async def framework(_scope, _receive, _send):
        served.append("framework")

    async def call(_scope, _receive, _send):
        served.append("call")
        if error is not None:
            raise error

    return DirectRoutes(framework, {CHAT: call})


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.mark.parametrize(
    ("scope", "by"),
    [
        ({"type": "http", "method": "POST", "path": CHAT}, "call"),
        ({"type": "http", "method": "POST", "path": CHAT, "root_path": ""}, "call"),
        ({"type": "http", "method": "POST", "path": CHAT, "root_path": "/below"}, "framework"),
        ({"type": "http", "method": "POST", "path": f"{CHAT}/"}, "framework"),
        ({"type": "http", "method": "GET", "path": CHAT}, "framework"),
        ({"type": "http", "method": "POST", "path": "/v1/models"}, "framework"),
        ({"type": "websocket", "path": CHAT}, "framework"),
        ({"type": "lifespan"}, "framework"),
    ],
)
async def test_only_calls_are_direct(scope, by):
    served, sent = [], []
    await make_routes(served)(scope, receive, sent.append)
    assert (served, sent) == ([by], [])


async def test_an_unexpected_exception_becomes_an_error_of_the_api(caplog):
    sent = []

    async def send(message):
        sent.append(message)

    await make_routes([], ZeroDivisionError("SECRET"))(
        {"type": "http", "method": "POST", "path": CHAT, "headers": []}, receive, send
    )
    assert sent[0]["status"] == 500
    assert (b"content-type", b"application/json") in sent[0]["headers"]
    assert b'"internal_error"' in sent[1]["body"]
    assert b"SECRET" not in sent[1]["body"]
    assert "ZeroDivisionError" in caplog.text


async def test_after_the_beginning_of_the_response_an_exception_is_the_servers(caplog):
    sent = []
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": [], STARTED_KEY: True}
    with pytest.raises(ZeroDivisionError):
        await make_routes([], ZeroDivisionError())(scope, receive, sent.append)
    assert sent == []
    assert not caplog.records
