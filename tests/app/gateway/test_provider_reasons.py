"""A provider's reason reaches the caller in OpenAI's shape and without secrets, and the operator as one warning per failed attempt."""

import asyncio
import json
import socket
import ssl
from urllib.parse import quote

import pytest

from app.config.schema import ProviderConfig
from app.gateway.openai.failures import failure_of_error_object
from app.gateway.openai.provider_reason import MAX_REASON_CHARACTERS, Scrub, error_json, read_reason
from tests.harness.certificates import self_signed

ENVELOPES = {
    "openai": ({"error": {"message": "too long", "type": "t", "param": "p", "code": "c"}}, "too long"),
    "message": ({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}, "too long"),
    "detail": ({"detail": "too long"}, "too long"),
    "details": (
        {"detail": [{"loc": ["body", "n"], "msg": "too long", "type": "x"}, {"msg": "too wide"}]},
        "body.n: too long; too wide",
    ),
    "anthropic": ({"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}}, "too long"),
    "google": ([{"error": {"code": 400, "message": "too long", "status": "INVALID_ARGUMENT"}}], "too long"),
    "text in error": ({"error": "too long"}, "too long"),
    "mistral": (
        {
            "object": "error",
            "message": {"detail": [{"loc": ["body", "x"], "msg": "too long"}]},
            "type": "invalid_request_error",
        },
        "body.x: too long",
    ),
    "errors": ({"errors": [{"message": "too long"}]}, "too long"),
    "texts in errors": ({"errors": ["too long"]}, "too long"),
    "problem": ({"type": "about:blank", "title": "Bad", "detail": "too long"}, "too long"),
    "AWS": ({"__type": "ValidationException", "Message": "too long"}, "too long"),
    "error_msg": ({"error_code": 336003, "error_msg": "too long"}, "too long"),
    "error in detail": ({"detail": {"error": "too long"}}, "too long"),
    "error in detail, as an object": ({"detail": {"error": {"message": "too long"}}}, "too long"),
    "errors in error": ({"error": {"code": 400, "errors": [{"message": "too long"}]}}, "too long"),
    "errors by field": ({"errors": {"n": ["too long"]}}, "n: too long"),
    "errors by field, as text": ({"errors": {"n": "too long"}}, "n: too long"),
    "details without a message": ({"error": {"code": 400, "details": [{"description": "too long"}]}}, "too long"),
    "Zod": ({"success": False, "error": {"issues": [{"message": "too long", "path": ["n"]}]}}, "too long"),
    "Apigee": ({"fault": {"faultstring": "too long", "detail": {"errorcode": "x"}}}, "too long"),
    "Lambda": ({"errorMessage": "too long", "errorType": "Runtime.ExitError"}, "too long"),
    "errmsg": ({"errcode": 40001, "errmsg": "too long"}, "too long"),
    "err": ({"err": "too long"}, "too long"),
    "exception": ({"exception": "too long"}, "too long"),
    "description": ({"code": 400, "description": "too long"}, "too long"),
    "statusMessage": ({"statusCode": 400, "statusMessage": "too long"}, "too long"),
    "Error": ({"Error": {"Code": "x", "Message": "too long"}}, "too long"),
    "Tencent": ({"Response": {"Error": {"Code": "x", "Message": "too long"}, "RequestId": "r"}}, "too long"),
    "Volcengine": ({"ResponseMetadata": {"RequestId": "r", "Error": {"Code": "x", "Message": "too long"}}}, "too long"),
    "iFlytek": ({"header": {"code": 10163, "message": "too long", "sid": "s", "status": 2}}, "too long"),
    "error in data": ({"data": {"error": {"message": "too long"}}}, "too long"),
    "status as an object": ({"status": {"code": 21200, "details": "too long"}}, "too long"),
    "Django": ({"non_field_errors": ["too long"]}, "too long"),
    "a document in a message": ({"error": {"message": '{"error": {"message": "too long"}}'}}, "too long"),
    "OpenRouter": (
        {"error": {"message": "Provider returned error", "metadata": {"raw": '{"error": {"message": "too long"}}'}}},
        "Provider returned error: too long",
    ),
    "OpenRouter, text": (
        {"error": {"message": "Provider returned error", "metadata": {"raw": "too long"}}},
        "Provider returned error: too long",
    ),
    "OpenRouter, a page": (
        {"error": {"message": "Provider returned error", "metadata": {"raw": "<html><p>x</p></html>"}}},
        "Provider returned error",
    ),
    "lines of JSON": (b'{"error": "too long"}\n{"x": 1}\n', "too long"),
    "a stream with its end": (
        b'event: error\ndata: {"error": {"message": "too long"}}\n\ndata: [DONE]\n\n',
        "too long",
    ),
    "JSON and more": (b'{"error": {"message": "too long"}} at line 1', "too long"),
    "a number and words": (b"413 too long", "413 too long"),
    "XML": (b'<?xml version="1.0"?><Error><Code>x</Code><Message>too &lt; long</Message></Error>', "too < long"),
    "XML without its declaration": (b"<Error><Code>x</Code><Message>too long</Message></Error>", "too long"),
    "SOAP": (
        b"<s:Envelope><s:Body><s:Fault><faultstring>too long</faultstring></s:Fault></s:Body></s:Envelope>",
        "too long",
    ),
    "a page behind a comment": (b"<!-- x --><html><head><title>too long</title></head></html>", "too long"),
    "a part of a page": (b"<center><h1>too long</h1></center>", "too long"),
    "brackets": (b"<n> is too long", "<n> is too long"),
    "text": (b"too \n long", "too long"),
    "JSON text": (b'"too long"', "too long"),
    "page": (b"<!DOCTYPE html><html><head><title>too &#108;ong</title></head><body>secret</body></html>", "too long"),
    "heading": (b"<html><body><h1 class='x'>too <b>long</b></h1><p>x</p></body></html>", "too long"),
    "nothing": (b"", "The provider refused the request."),
    "a page of nothing": (b"<html></html>", "The provider refused the request."),
    "endless": (b"x" * 5_000, "x" * MAX_REASON_CHARACTERS),
    "bytes": (b"\xff\x00too long", "\ufffd too long"),
}


def says(body, status=400, headers=None):
    async def script(exchange):
        await exchange.reply(body, status, headers)

    return script


def warnings(caplog):
    return [record for record in caplog.records if record.name == "gatewayz.attempt"]


@pytest.mark.live
@pytest.mark.parametrize("name", ENVELOPES)
@pytest.mark.parametrize("stream", [False, True])
async def test_every_envelope_becomes_openais(make_upstream, make_gateway, *, name, stream):
    body, message = ENVELOPES[name]
    response = await (await make_gateway(await make_upstream(says(body)))).chat(stream=stream)
    assert response.status == 400
    error = response.json["error"]
    assert set(response.json) == {"error"}
    assert error["message"] == message
    assert {"message", "type", "param", "code"} <= set(error)
    assert isinstance(error["type"], str)


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        ({"ResponseMetadata": {"Error": {"Code": "AccountOverdueError", "Message": "x"}}}, "accountoverdueerror"),
        ({"Response": {"Error": {"Code": "LimitExceeded", "Message": "x"}}}, "limitexceeded"),
        ({"header": {"code": 11202, "message": "x"}}, "11202"),
    ],
)
def test_codes_are_read_where_the_reason_is(envelope, code):
    assert code in read_reason(json.dumps(envelope).encode()).codes


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/plain; charset=ISO-8859-1", "latin-1"),
        ('application/json; charset="windows-1252"', "cp1252"),
        ("application/json; charset=gbk", "gbk"),
        # It is often named wrongly.
        ("application/json; charset=iso-8859-1", "utf-8"),
        ("application/json", "utf-8"),
    ],
)
def test_a_charset_is_followed(content_type, charset):
    text = "\u957f\u5ea6" if charset == "gbk" else "trop \u00e9lev\u00e9"
    for body in (text, json.dumps({"error": {"message": text}}, ensure_ascii=False)):
        assert read_reason(body.encode(charset), content_type).message == text


@pytest.mark.parametrize("charset", ["punycode", "zip", "iso-8859-99", "x" * 100, ""])
def test_an_unknown_charset_is_utf_8(charset):
    assert read_reason(b"too \xff long", f"text/plain; charset={charset}").message == "too \ufffd long"


@pytest.mark.live
async def test_a_charset_of_the_response_is_followed(make_upstream, make_gateway):
    body = '{"error": {"message": "trop \u00e9lev\u00e9"}}'.encode("latin-1")
    head = b"HTTP/1.1 400 Reason\r\ncontent-type: application/json; charset=iso-8859-1\r\ncontent-length: %d\r\n\r\n"

    async def script(exchange):
        await exchange.raw(head % len(body) + body)

    response = await (await make_gateway(await make_upstream(script))).chat()
    assert response.json["error"]["message"] == "trop \u00e9lev\u00e9"


@pytest.mark.live
async def test_secrets_and_addresses_stay_here(make_upstream, make_gateway):
    """Neither the key that the gateway sent, nor where the provider is, nor another internal address."""

    async def leak(exchange):
        key, host = exchange.headers["authorization"], exchange.headers["host"]
        message = f"{key} at http://{host}/v1 via 10.1.2.3:8080, db.prod.internal and http://[fd00::1]:9/x not 8.8.8.8"
        error = {"message": message, "type": key, key: [{"again": message}], "param": None, "code": None}
        await exchange.reply({"error": error}, 400)

    response = await (await make_gateway(upstream := await make_upstream(leak))).chat()
    assert response.status == 400
    for secret in (b"key-of-alpha", b"127.0.0.1", str(upstream.port).encode(), b"10.1.2.3", b"internal", b"fd00"):
        assert secret not in response.raw, secret
    assert b"8.8.8.8" in response.raw


OWN_KEY = "alpha-Provider/Key+0123456789=abcdef"


@pytest.mark.parametrize("kept", range(6, len(OWN_KEY) + 1, 5))
@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_a_key_that_is_cut_at_the_bound_is_hidden(kind, kept):
    """The text is cut before it is scrubbed, so its end may be the beginning of a key."""
    message = "y" * (MAX_REASON_CHARACTERS - kept) + OWN_KEY
    body = message.encode() if kind == "text/plain" else json.dumps({"error": {"message": message}}).encode()
    sent = error_json(
        read_reason(body, kind), default_message="", default_type="", default_code="", scrub=Scrub([OWN_KEY])
    )
    assert json.loads(sent)["error"]["message"] == "y" * (MAX_REASON_CHARACTERS - kept) + "[redacted]"


@pytest.mark.parametrize(
    "written",
    [
        OWN_KEY,
        quote(OWN_KEY),
        quote(OWN_KEY, safe=""),
        OWN_KEY.replace("/", "\\/"),
        OWN_KEY[:20] + "\n" + OWN_KEY[20:],
        OWN_KEY[:9] + "\r\n  " + OWN_KEY[9:],
    ],
)
def test_a_key_is_hidden_however_it_is_written(written):
    message = read_reason(f"no key {written} here".encode()).message
    assert Scrub([OWN_KEY]).text(message) == "no key [redacted] here"


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "http://10.1.2.3",
        "http://192.168.1.5:80",
        "fd12:3456::1",
        "::1",
        "fd00::",
        "http://vllm-svc:8000",
        "https://gpu1",
        "db.svc",
    ],
)
@pytest.mark.parametrize("end", ["", ".", ". Then", ", then", ".\n"])
def test_an_internal_address_is_hidden_at_the_end_of_a_sentence(address, end):
    assert Scrub().text(f"dial tcp {address}{end}") == f"dial tcp [address]{end}"


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8.",
        "2001:4860:4860::8888.",
        "see https://a.example/v1.",
        "svc",
        "version 1.2.3.4.5",
        "at 10:30.",
        "12:30:45",
    ],
)
def test_what_is_no_internal_address_stays(text):
    assert Scrub().text(text) == text


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_left_out(number):
    """The SDKs could not read the error otherwise."""
    reason = read_reason(b'{"error": {"message": "too long", "limit": %b}}' % number.encode())
    assert json.dumps(Scrub().value(reason.error), allow_nan=False) == '{"message": "too long", "limit": null}'


def test_a_deep_error_object_is_cut_and_not_followed():
    body = b'{"error":{"message":"x","a":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}}"
    assert len(json.dumps(Scrub().value(read_reason(body).error))) < 500


@pytest.mark.live
async def test_a_failed_attempt_is_one_warning(make_upstream, make_gateway, caplog):
    first = await make_upstream(says({"error": {"message": "disk full at 10.0.0.9 key-of-alpha"}}, 503))
    second = await make_upstream(says(b"<html><title>Not Found</title>", 404, {"x": "y"}), name="beta")
    gateway = await make_gateway(first, second, await make_upstream(name="gamma"))
    assert (await gateway.chat()).status == 200
    one, two = warnings(caplog)
    assert (one.levelname, one.provider, one.model, one.error_kind) == ("WARNING", "alpha", "acme/tiny", "upstream_5xx")
    assert (one.fault, one.status, one.content_type) == ("provider", 503, "application/json")
    assert one.reason == "disk full at [address] [redacted]"
    assert (two.error_kind, two.reason, two.hint) == (
        "model_unavailable",
        "Not Found",
        "check base_url and upstream_model",
    )
    assert two.getMessage() == (
        "attempt at beta failed: model_unavailable, status 404, Not Found (check base_url and upstream_model)"
    )


@pytest.mark.live
@pytest.mark.parametrize("status", [400, 403, 422])
async def test_what_may_quote_a_prompt_is_not_logged(make_upstream, make_gateway, caplog, status):
    error = {"error": {"message": "flagged by moderation: CANARY", "type": "invalid_request_error"}}
    gateway = await make_gateway(await make_upstream(says(error, status)))
    assert "CANARY" in (await gateway.chat()).json["error"]["message"]
    (record,) = warnings(caplog)
    assert record.fault in {"policy", "caller"}
    assert "CANARY" not in repr(vars(record))


CUT = b'{"id": "1", "choices": [{"delta": {"content": "CANARY'
WHOLE = json.dumps({"choices": [{"index": [], "message": {"content": "CANARY"}}], "error_count": 0}).encode()
LOGGED = {
    "a cut document": (CUT, None),
    "a whole document that is no error": (WHOLE, None),
    "the form of a stream": (b"event: error\ndata: " + WHOLE + b"\n\n", None),
    "a cut stream": (b"data: " + CUT, None),
    "the middle of a document": (b'"content": "CANARY"}, "finish_reason": "stop"}', None),
    "words and a document": (b"upstream said: " + WHOLE, "upstream said:"),
    "words and a cut document": (b"disk full: " + CUT, "disk full:"),
    "words and Python's form": (b"disk full: {'content': 'CANARY'}", "disk full:"),
    "words and a list": (b'disk full: ["CANARY"]', "disk full:"),
    "words and an error": (b'Error code: 500 - {"error": {"message": "disk full"}}', "Error code: 500 - disk full"),
    "an error in the form of a stream": (b'data: {"error": {"message": "disk full"}}\n\n', "disk full"),
    "a document inside a message": (json.dumps({"error": {"message": CUT.decode()}}).encode(), None),
    "brackets": (b"max_tokens must be in [1, 4096]", "max_tokens must be in [1, 4096]"),
}


@pytest.mark.live
@pytest.mark.parametrize("inside_200", [False, True])
@pytest.mark.parametrize("name", LOGGED)
async def test_no_part_of_a_document_that_is_no_error_is_logged(
    make_upstream, make_gateway, caplog, *, name, inside_200
):
    """It may be a part of the response, or quote the prompt."""
    body, reason = LOGGED[name]

    async def named(exchange):
        await exchange.stream_head()
        data = body.removeprefix(b"event: error\n").removeprefix(b"data: ").rstrip()
        await exchange.send(b"event: error\ndata: " + data + b"\n\n")
        exchange.close()

    script = named if inside_200 else says(body, 500)
    gateway = await make_gateway(await make_upstream(script))
    assert (await gateway.chat(stream=inside_200)).status == 502
    (record,) = warnings(caplog)
    assert record.reason == reason or (
        inside_200 and record.reason == "The provider ended its response with an error event."
    )
    assert "CANARY" not in repr(vars(record))


@pytest.mark.live
async def test_a_stream_that_breaks_is_one_warning_too(make_upstream, make_gateway, wire, caplog):
    async def broken(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hel")))
        exchange.close()

    gateway = await make_gateway(await make_upstream(broken))
    await gateway.chat(stream=True)
    await gateway.finished()
    assert [(each.error_kind, each.status) for each in warnings(caplog)] == [("stream_broken", 200)]


@pytest.mark.live
async def test_a_coding_that_cannot_be_decoded_is_named(make_upstream, make_gateway, caplog):
    """It is not taken for a head that is no HTTP."""
    upstream = await make_upstream(says(b"\x0b\x02\x80{}\x03", 200, {"content-encoding": "br"}))
    assert (await (await make_gateway(upstream)).chat()).status == 502
    assert warnings(caplog)[0].reason == (
        "the response has the content encoding brotli, which was not offered and cannot be decoded here"
    )


@pytest.mark.live
async def test_a_refused_connection_says_so(make_gateway, caplog):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gateway = await make_gateway(ProviderConfig(name="alpha", base_url=f"http://127.0.0.1:{port}/v1"))
    assert (await gateway.chat()).json["error"]["message"] == "Every provider of the model failed (connect_error)."
    assert (warnings(caplog)[0].reason, warnings(caplog)[0].fault) == ("connection refused", "network")


@pytest.mark.live
async def test_a_name_that_does_not_resolve_says_so(make_gateway, caplog):
    await (await make_gateway(ProviderConfig(name="alpha", base_url="http://nowhere.invalid/v1"))).chat()
    assert warnings(caplog)[0].reason.startswith("name resolution: ")


@pytest.mark.live
@pytest.mark.parametrize(("host", "reason"), [("127.0.0.1", "certificate verify failed: "), (None, "TLS: ")])
async def test_a_tls_failure_says_why(make_gateway, caplog, tmp_path, *, host, reason):
    """A certificate that nobody vouches for, and a server that does not speak TLS at all."""

    async def serve(reader, writer):
        if host is None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read(1)
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = await asyncio.to_thread(self_signed, tmp_path)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if host else None)
    port = server.sockets[0].getsockname()[1]
    gateway = await make_gateway(ProviderConfig(name="alpha", base_url=f"https://127.0.0.1:{port}/v1"))
    assert (await gateway.chat()).status == 502
    assert warnings(caplog)[0].reason.startswith(reason)
    server.close()


@pytest.mark.live
async def test_a_refused_key_is_hinted_at(make_upstream, make_gateway, caplog):
    gateway = await make_gateway(await make_upstream(says({"error": {"message": "no auth"}}, 401)))
    assert (await gateway.chat()).status == 502
    assert warnings(caplog)[0].hint.startswith("check the value of")


CODES = [
    ({"code": "rate_limit_exceeded"}, "rate_limited"),
    ({"code": "429"}, "rate_limited"),
    ({"code": 429}, "rate_limited"),
    ({"code": "insufficient_quota"}, "upstream_quota"),
    ({"code": "content_filter"}, "content_policy"),
    ({"code": 403, "message": "flagged by moderation"}, "content_policy"),
    ({"code": "server_error"}, "upstream_5xx"),
    ({"type": "overloaded_error", "message": "Overloaded"}, "upstream_5xx"),
    ({"code": "503"}, "upstream_5xx"),
    ({"code": 502}, "upstream_5xx"),
    ({"code": None, "type": "api_error"}, "upstream_5xx"),
    ({"status": "RESOURCE_EXHAUSTED"}, "rate_limited"),
    ({"code": "invalid_api_key"}, "upstream_auth"),
    ({"code": "model_not_found", "type": "invalid_request_error"}, "model_unavailable"),
    ({"code": "context_length_exceeded"}, "upstream_4xx"),
    ({"code": 400, "message": "too long"}, "upstream_4xx"),
    ({"code": 400, "message": "Invalid role: 'billing'"}, "upstream_4xx"),
    ({"code": True}, "bad_response"),
    ({"code": "99999999999999999999"}, "bad_response"),
    ({"message": "something"}, "bad_response"),
    ("overloaded", "upstream_5xx"),
    ("odd", "bad_response"),
    (None, "bad_response"),
    ([1], "bad_response"),
]


@pytest.mark.parametrize(("error", "kind"), CODES, ids=lambda each: str(each)[:60])
def test_an_error_inside_a_200_is_told_by_its_codes(error, kind):
    assert failure_of_error_object(error, http_status=200).kind == kind


@pytest.mark.live
async def test_an_error_inside_a_200_that_blames_the_caller_is_passed_on(make_upstream, make_gateway):
    error = {"code": "context_length_exceeded", "message": "too long"}
    first, second = await make_upstream(says({"error": error}, 200)), await make_upstream(name="beta")
    gateway = await make_gateway(first, second)
    response = await gateway.chat()
    assert (response.status, response.json["error"]["message"]) == (400, "too long")
    assert not second.exchanges
    assert gateway.states["alpha"].error_rate is None


@pytest.mark.live
async def test_a_content_type_of_odd_bytes_is_logged_in_printable_characters(make_upstream, make_gateway, caplog):
    async def script(exchange):
        await exchange.raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: applica\xff\x1eion/js\x7fn"
            + b"x" * 900
            + b"\r\ncontent-length: 2\r\n\r\n{}"
        )

    gateway = await make_gateway(await make_upstream(script))
    with caplog.at_level("WARNING", logger="gatewayz.attempt"):
        assert (await gateway.chat()).status == 502
    (record,) = [record for record in caplog.records if record.name == "gatewayz.attempt"]
    assert record.content_type.isprintable()
    assert len(record.content_type) <= 200
