"""The OTLP/HTTP endpoint: media types, gzip, bounds, access, repeated requests, overload."""

import gzip
import json
import threading

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from console.receive import http_app
from console.store.limits import MIB, Limits
from console.store.records import Batch
from console.store.work import Work
from console.store.writer import MAX_QUEUE_REQUESTS
from tests.harness.console import NOW_NS, log_record, logs, open_console, span, traces

SMALL = Limits(max_bytes=64 * MIB)


@pytest.fixture
def console(tmp_path):
    with open_console(tmp_path, SMALL) as opened:
        yield opened


def reason(response):
    """Return the message of a `google.rpc.Status`."""
    assert response.content[:1] == b"\x12"
    return response.content.decode(errors="replace")


async def test_gzip_in_several_members_is_read(console):
    body = traces(span(), span()).SerializeToString()
    packed = gzip.compress(body[:20]) + gzip.compress(body[20:])
    response = await console.post("/v1/traces", packed, headers={"content-encoding": "gzip"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/x-protobuf"
    assert console.rows("SELECT count(*) FROM spans") == [(2,)]


@pytest.mark.parametrize(
    "packed", [b"no gzip", gzip.compress(b"x" * 1_000)[:-12], b"\x1f\x8b"], ids=["text", "cut off", "begun"]
)
async def test_what_is_no_gzip_is_a_400(console, packed):
    response = await console.post("/v1/traces", packed, headers={"content-encoding": "gzip"})
    assert response.status_code == 400
    assert "gzip" in reason(response)


async def test_a_bomb_is_stopped_at_the_bound(console):
    packed = gzip.compress(bytes(100 * MIB), 9)
    response = await console.post("/v1/traces", packed, headers={"content-encoding": "gzip"})
    assert response.status_code == 413
    assert "smaller batches" in reason(response)


async def test_a_body_beyond_the_bound_is_a_413(console):
    response = await console.post("/v1/traces", bytes(SMALL.body_bytes + 1))
    assert response.status_code == 413

    async def chunks():
        for _ in range(SMALL.body_bytes // MIB + 1):
            yield bytes(MIB)

    assert (await console.post("/v1/traces", chunks())).status_code == 413


async def test_too_many_items_at_once_are_a_413(console):
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for _ in range(20_001):
        scoped.spans.add()
    response = await console.post("/v1/traces", request.SerializeToString())
    assert response.status_code == 413
    assert "at most 20000" in reason(response)


async def test_what_does_not_parse_is_a_400(console):
    response = await console.post("/v1/logs", b"\xff\xff\xff")
    assert response.status_code == 400
    assert "the body ends early" in reason(response)
    no_text = b"\x0a\x07\x12\x05\x12\x03\x1a\x01\xff"  # the severity's text is not UTF-8
    response = await console.post("/v1/logs", no_text)
    assert response.status_code == 400
    assert "ExportLogsServiceRequest" in reason(response)


async def test_an_empty_request_is_accepted(console):
    for path in ("/v1/traces", "/v1/metrics", "/v1/logs"):
        assert (await console.post(path, b"")).status_code == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/grpc", "", "multipart/form-data; boundary=x"])
async def test_another_media_type_is_a_415(console, media_type):
    response = await console.post("/v1/traces", b"", media_type=media_type)
    assert response.status_code == 415
    assert "application/x-protobuf" in reason(response)


async def test_another_coding_is_a_415(console):
    response = await console.post("/v1/traces", b"", headers={"content-encoding": "zstd"})
    assert response.status_code == 415


async def test_json_is_read_with_ids_in_hex(console):
    trace_id, span_id = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "node"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "s"},
                        "spans": [
                            {
                                "traceId": trace_id,
                                "spanId": span_id,
                                "name": "GET",
                                "kind": 2,
                                "startTimeUnixNano": str(NOW_NS),
                                "endTimeUnixNano": str(NOW_NS + 5),
                                "attributes": [{"key": "traceId", "value": {"stringValue": "kept"}}],
                                "links": [{"traceId": trace_id, "spanId": span_id}],
                                "unknown": 1,
                            },
                            {"traceId": "", "spanId": span_id},
                        ],
                    }
                ],
            }
        ]
    }
    response = await console.post("/v1/traces", json.dumps(body).encode(), media_type="application/json; charset=utf-8")
    assert response.status_code == 200
    assert response.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert console.rows("SELECT hex(trace_id), name, attributes FROM spans") == [
        (trace_id.upper(), "GET", '{"traceId":"kept"}')
    ]
    assert console.rows("SELECT hex(span_id) FROM span_links") == [(span_id.upper(),)]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "5",
        '{"resourceSpans": 5}',
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}',
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}',
        '{"a":' * 20_000,
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"value": '
        + '{"arrayValue": {"values": [' * 200
        + "]}}" * 200
        + "}]}]}]}]}",
    ],
)
async def test_json_that_is_no_request_is_a_400(console, body):
    response = await console.post("/v1/traces", body.encode(), media_type="application/json")
    assert response.status_code == 400
    assert "message" in response.json()


async def test_other_paths_and_methods_are_refused(console):
    assert (await console.post("/v1/profiles", b"")).status_code == 404
    import httpx  # noqa: PLC0415  only here

    async with httpx.AsyncClient(transport=httpx.ASGITransport(console.app), base_url="http://localhost:1") as client:
        response = await client.get("/v1/traces")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_name_that_resolves_to_loopback_does_not_reach_it(console):
    response = await console.post("/v1/traces", b"", headers={"host": "attacker.example:4318"})
    assert response.status_code == 403
    for host in ("localhost", "127.0.0.1:4318", "[::1]:4318", "127.0.0.2:4318"):
        assert (await console.post("/v1/traces", b"", headers={"host": host})).status_code == 200


async def test_with_a_token_requests_need_it(tmp_path):
    with open_console(tmp_path, token="t" * 16) as console:
        refused = await console.post("/v1/traces", b"", headers={"authorization": "Bearer wrong"})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        headers = {"authorization": f"Bearer {'t' * 16}", "host": "console.example"}
        assert (await console.post("/v1/traces", b"", headers=headers)).status_code == 200


async def test_a_request_that_is_sent_again_is_stored_once(console):
    request = logs(log_record("one"), log_record("two"))
    for _ in range(3):
        await console.send(request)
    assert console.rows("SELECT count(*) FROM log_records") == [(2,)]
    assert console.store.state().received["logs"] == 2


class Blocked:
    """Holds the writer's thread until the block ends."""

    def __init__(self, console):
        self._console = console
        self._entered, self._go_on = threading.Event(), threading.Event()

    def _prepare(self):
        self._entered.set()
        self._go_on.wait()
        return Batch("logs", None)

    def __enter__(self):
        assert self._console.store.submit(Work(0, self._prepare, lambda _: None))
        self._entered.wait()
        return self

    def __exit__(self, *_):
        self._go_on.set()


async def test_overload_is_a_503_with_retry_after(console):
    with Blocked(console):
        while console.store.submit(Work(0, lambda: Batch("logs", None), lambda _: None)):
            pass
        response = await console.post("/v1/logs", logs(log_record()).SerializeToString())
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "as fast as telemetry arrives" in reason(response)
    assert MAX_QUEUE_REQUESTS > 100


async def test_the_queue_is_bounded_in_bytes(console):
    with Blocked(console):
        big = Work(20 * MIB, lambda: Batch("logs", None), lambda _: None)
        assert console.store.submit(big)
        assert not console.store.submit(big)


async def test_bodies_that_are_being_read_are_bounded_together(console, monkeypatch):
    monkeypatch.setattr(http_app, "MAX_READING_BYTES", 10)
    response = await console.post("/v1/logs", logs(log_record()).SerializeToString())
    assert response.status_code == 503


async def test_a_body_that_does_not_arrive_is_a_408(console, monkeypatch):
    monkeypatch.setattr(http_app, "BODY_SECONDS", 0.01)
    sent = []

    async def receive():
        import asyncio  # noqa: PLC0415  only here

        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/x-protobuf")]
    scope = {"type": "http", "method": "POST", "path": "/v1/logs", "headers": headers}
    await console.app(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_a_defect_is_a_500_for_its_own_request_only(console, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("console.receive.upload.log_groups", broken)
        for _ in range(2):
            response = await console.post("/v1/logs", logs(log_record()).SerializeToString())
            assert response.status_code == 500
        await console.send(traces(span()))
    assert console.lines == ["failed on a request, please report it: ZeroDivisionError: "]
    await console.send(logs(log_record()))
