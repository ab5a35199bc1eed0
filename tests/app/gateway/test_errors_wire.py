"""Everything that the gateway refuses by itself, in OpenAI's error shape, without a call or a trace of content in the recorded."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config.schema import ServerConfig
from otel.events import CallerIdentified, ExceptionMapped
from tests.harness.recording import RecordingRecorder

pytestmark = pytest.mark.live
CHAT = "/v1/chat/completions"
GOOD = {"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}]}


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


BAD_BODIES = [
    (b"", None),
    (b"SECRET", None),
    (b"[1]", None),
    (b'"SECRET"', None),
    (b"null", None),
    (b'{"model":NaN}', None),
    (b'{"model":"acme/tiny","messages":[{}],"x":Infinity}', None),
    (b'{"model":"acme/tiny","messages":[{}],"x":"\xff"}', None),
    (b'{"\xff":1}', None),
    (b"\xef\xbb\xbf{}", None),
    ('{"model":"acme/tiny"}'.encode("utf-16"), None),
    (b'{"model":"acme/tiny","messages":[{"content":"\\ud800\\x"}]}', None),
    (b'{"model":"acme/tiny\\ud800","messages":[{}]}', "model"),
    (b'{"model":"acme/tiny","messages":[{}],"\\ud800":1}', None),
    (b'{"model":"acme/tiny","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, None),
    (b'{"model":"acme/tiny","messages":[{}],}', None),
    (b'{"model":"acme/tiny","messages":[{}]} x', None),
    (json.dumps(without("model")).encode(), "model"),
    (json.dumps({**GOOD, "model": ""}).encode(), "model"),
    (json.dumps({**GOOD, "model": None}).encode(), "model"),
    (json.dumps({**GOOD, "model": 7}).encode(), "model"),
    (json.dumps({**GOOD, "model": "x" * 10_000}).encode(), "model"),
    (json.dumps({**GOOD, "model": "acme/embed"}).encode(), "model"),
    (json.dumps(without("messages")).encode(), "messages"),
    (json.dumps({**GOOD, "messages": []}).encode(), "messages"),
    (json.dumps({**GOOD, "messages": None}).encode(), "messages"),
    (json.dumps({**GOOD, "messages": "SECRET"}).encode(), "messages"),
    (json.dumps({**GOOD, "messages": ["SECRET"]}).encode(), "messages"),
    (json.dumps({**GOOD, "messages": [[]]}).encode(), "messages"),
    (json.dumps({**GOOD, "stream": "yes"}).encode(), "stream"),
    (json.dumps({**GOOD, "stream": 1}).encode(), "stream"),
    (json.dumps({**GOOD, "stream": True, "stream_options": []}).encode(), "stream_options"),
    (
        json.dumps({**GOOD, "stream": True, "stream_options": {"include_usage": "SECRET"}}).encode(),
        "stream_options.include_usage",
    ),
]


@pytest.mark.parametrize(("body", "param"), BAD_BODIES)
async def test_bad_bodies_are_named_and_never_quoted(make_upstream, make_gateway, body, param):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    response = await gateway.post(CHAT, body)
    assert (response.status, response.headers["content-type"]) == (400, "application/json")
    error = response.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    recorded = await gateway.finished()
    assert b"SECRET" not in response.raw
    assert "SECRET" not in repr(recorded.all)
    assert recorded.calls == []
    assert not upstream.exchanges


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"acme/tiny","model":"acme/tiny","messages":[{}]}',
        b'{"model":"acme/tiny","messages":[{}],"stream":null,"stream_options":null}',
        b'{"model":"acme/tiny","messages":[{}],"seed":' + b"9" * 4_000 + b"}",
        b'{"model":"acme/tiny","messages":[{}],"temperature":1e999,"n":"two"}',
        b'  {"model" : "acme\\/tiny" , "messages" : [ { } ] }  ',
    ],
)
async def test_odd_but_valid_bodies_pass(make_upstream, make_gateway, body):
    gateway = await make_gateway(await make_upstream(), cache_ttl_seconds=60.0)
    assert (await gateway.post(CHAT, body)).status == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "acme/embed"}, "input"),
        ({"model": "acme/embed", "input": ""}, "input"),
        ({"model": "acme/embed", "input": []}, "input"),
        ({"model": "acme/embed", "input": None}, "input"),
        ({"model": "acme/embed", "input": {"a": 1}}, "input"),
        ({"model": "acme/tiny", "input": "x"}, "model"),
        ({"input": "x"}, "model"),
    ],
)
async def test_bad_embeddings(make_upstream, make_gateway, body, param):
    gateway = await make_gateway(await make_upstream())
    response = await gateway.post("/v1/embeddings", json.dumps(body).encode())
    assert (response.status, response.json["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    "value",
    [None, "good-key", "Basic good-key", "Bearer", "Bearer ", "Bearer wrong", "Bearer good-key x", "bearer\tgood-key"],
)
async def test_bad_credentials(make_upstream, make_gateway, value):
    gateway = await make_gateway(await make_upstream())
    del gateway.session.headers["authorization"]
    response = await gateway.post(CHAT, json.dumps(GOOD).encode(), {"authorization": value} if value else None)
    assert (response.status, response.json["error"]["code"]) == (401, "invalid_api_key")
    assert "good-key" not in repr((await gateway.finished()).all)


async def test_two_credentials_are_none(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    head = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer good-key\r\nauthorization: Bearer x\r\n\r\n"
    assert (await raw(gateway, head)).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_case_insensitive(make_upstream, make_gateway, scheme):
    gateway = await make_gateway(await make_upstream())
    response = await gateway.post(CHAT, json.dumps(GOOD).encode(), {"authorization": f"{scheme} good-key"})
    assert response.status == 200


async def test_credentials_are_checked_before_the_body_and_the_size_before_both(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(), server_config=ServerConfig(max_body_bytes=1_000))
    wrong = {"authorization": "Bearer wrong"}
    assert (await gateway.post(CHAT, b"no json", wrong)).status == 401
    assert (await gateway.post(CHAT, b"x" * 1_001, wrong)).status == 413
    assert (await gateway.post(CHAT, b"x" * 1_001)).status == 413
    assert (await gateway.post(CHAT, b"x" * 1_000)).status == 400


async def test_a_body_that_hides_its_size_is_bounded_too(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(), server_config=ServerConfig(max_body_bytes=1_000))

    async def parts():
        for _ in range(20):
            yield b"x" * 100

    async with gateway.session.post(CHAT, data=parts()) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (413, "request_too_large")


async def test_the_limits_are_checked_before_the_body_and_the_model(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(), limits=(3, None))
    response = await gateway.chat(model="none")
    assert (response.status, response.json["error"]["code"]) == (404, "model_not_found")
    assert response.headers["x-ratelimit-remaining-requests"] == "2"
    response = await gateway.post(CHAT, b"no json")
    assert (response.status, response.headers["x-ratelimit-remaining-requests"]) == (400, "1")
    assert (await gateway.chat()).status == 200
    assert (await gateway.chat(model="none")).status == 429
    assert (await gateway.post(CHAT, b"no json")).status == 429


async def test_a_database_that_does_not_respond_is_a_503(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    response = await gateway.post(CHAT, json.dumps(GOOD).encode(), {"authorization": "Bearer no-database"})
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert (await gateway.finished()).of(ExceptionMapped) == [ExceptionMapped(exception_type="StoreUnavailableError")]


async def test_more_requests_than_admitted_are_a_503(make_upstream, make_gateway, wire):
    upstream = await make_upstream(lambda exchange: exchange.gone())
    gateway = await make_gateway(upstream, max_concurrent_requests=2)
    held = [asyncio.create_task(gateway.chat()) for _ in range(2)]
    await wire.until(lambda: len(upstream.exchanges) == 2, "two calls in flight")
    response = await gateway.chat()
    assert (response.status, response.json["error"]["code"], response.headers["retry-after"]) == (
        503,
        "overloaded",
        "1",
    )
    for task in held:
        task.cancel()
    await gateway.finished()
    upstream.script = wire.response
    assert (await gateway.chat()).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/none", 404, "unknown_url"),
        ("GET", "/v1", 404, "unknown_url"),
        ("GET", "/v1/chat", 404, "unknown_url"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models/acme/tiny", 405, "method_not_allowed"),
    ],
)
async def test_routing_errors_under_v1(make_upstream, make_gateway, *, method, path, status, code):
    gateway = await make_gateway(await make_upstream())
    async with gateway.session.request(method, path) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (status, code)
        assert (status == 405) == ("allow" in response.headers)


async def test_routing_errors_elsewhere_are_problems(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    async with gateway.session.get("/nothing") as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")
        problem = await response.json()
    detail = problem.pop("detail")
    assert problem == {"type": "about:blank", "title": "Not Found", "status": 404}
    assert "GET / lists all" in detail
    assert "/v1/chat/completions" in detail


class BrokenRecorder(RecordingRecorder):
    """Fails where the caller is identified, as a defect of ours in the middle of a request would."""

    def start_request(self, event):
        request = super().start_request(event)
        record = request.record

        def fail_once(event):
            if isinstance(event, CallerIdentified) and not getattr(self, "failed", False):
                self.failed = True
                raise ZeroDivisionError("SECRET")
            record(event)

        request.record = fail_once
        return request


async def test_a_defect_of_ours_is_a_500_without_a_traceback(make_upstream, make_gateway, caplog):
    gateway = await make_gateway(await make_upstream(), recorder=BrokenRecorder())
    response = await gateway.chat()
    assert (response.status, response.json["error"]["code"]) == (500, "internal_error")
    assert response.json["error"]["type"] == "server_error"
    assert b"SECRET" not in response.raw
    assert b"Traceback" not in response.raw
    assert gateway.recorder.of(ExceptionMapped) == [ExceptionMapped(exception_type="ZeroDivisionError")]
    assert "ZeroDivisionError" in caplog.text


BODIES = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"model": st.sampled_from(["acme/tiny", "none", 1, None]), "messages": st.sampled_from([[], [{}], [1], "x"])},
        optional={
            "stream": st.sampled_from([True, False, None, "x"]),
            "stream_options": st.sampled_from([None, {}, [], {"include_usage": 1}]),
            "temperature": st.floats() | st.text(max_size=3),
            "n": st.integers() | st.none() | st.lists(st.none(), max_size=1),
        },
    ).map(lambda value: json.dumps(value).encode()),
)


@given(body=BODIES, path=st.sampled_from([CHAT, "/v1/embeddings"]))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
async def test_no_body_makes_a_5xx(body, path, fuzzed):
    response = await fuzzed.post(path, body)
    assert response.status in {200, 400, 404}
    if response.status != 200:
        assert set(response.json["error"]) == {"message", "type", "param", "code"}
    await fuzzed.finished()


@pytest.fixture
async def fuzzed(make_upstream, make_gateway):
    return await make_gateway(await make_upstream(), cache_ttl_seconds=60.0)


async def raw(gateway, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(data)
    async with asyncio.timeout(20):
        response = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return response
