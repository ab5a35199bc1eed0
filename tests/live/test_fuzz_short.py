"""A short run of the fuzz (`make fuzz` runs 100 000 inputs), and that its checks can fail."""

import asyncio
import gzip
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from app.config.schema import AppConfig, ModelConfig, RouteConfig
from otel.catalogue import CATALOGUE
from otel.catalogue.spec import Kind
from otel.labels import LabelBounds, known_label_sets
from tests.fuzz.canaries import PROMPT, Keys, Leaks
from tests.fuzz.drive import ResponseCounters
from tests.fuzz.gauge import Reading
from tests.fuzz.generate import make_batch
from tests.fuzz.inputs import Input
from tests.fuzz.responses import problems
from tests.fuzz.run import fuzz
from tests.fuzz.series import SeriesBounds, read_openmetrics, read_text
from tests.fuzz.verdict import count_problems, wild_problems
from tests.fuzz.wire import BadResponseError, Response, read_response

INPUTS = 3_000
KEYS = Keys(main="gwz_secret", limited="gwz_limited", revoked="gwz_revoked", monitoring="metrics-token")


@pytest.mark.live
async def test_a_few_thousand_hostile_inputs_show_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("FUZZ_SEED") or 0) or random.SystemRandom().randrange(1, 2**31)
    sys.stdout.write(f"FUZZ_SEED={seed} runs the same again\n")
    report = await fuzz(tmp_path, inputs=INPUTS, seed=seed, say=print, stop=asyncio.Event())
    assert not report.problems, "\n".join(report.problems)
    assert report.inputs == INPUTS
    assert len(report.kinds) >= 18
    assert {200, 400, 401, 404, 405, 413, 431, 502} <= report.statuses.keys()


def test_the_same_seed_makes_the_same_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = (make_batch(seed, 3, 400, KEYS) for seed in (1, 2))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    again = make_batch(1, 3, 400, KEYS)
    assert first == again
    assert first != other
    tame, wild = first
    assert len(tame) + len(wild) == 400
    assert all(made.is_tame for made in tame)
    assert not any(made.is_tame for made in wild)


CHAT = Input(kind="x", payload=b"", method="POST", path="/v1/chat/completions")
ELSEWHERE = Input(kind="x", payload=b"", method="GET", path="/nowhere")
METRICS = Input(kind="x", payload=b"", method="GET", path="/metrics")
GZIPPED = (b"content-encoding", b"gzip")
TRACED = (b"x-trace-id", b"0" * 32)
ERROR = b'{"error":{"message":"m","type":"server_error","param":null,"code":"upstream_failed"}}'
PROBLEM = b'{"type":"about:blank","title":"Not Found","status":404}'


def json_response(status: int, body: bytes, content_type: bytes = b"application/json") -> Response:
    return Response(status, [(b"content-type", content_type), TRACED], body)


def stream_response(body: bytes) -> Response:
    return json_response(200, body, b"text/event-stream; charset=utf-8")


@pytest.mark.parametrize(
    ("made", "response"),
    [
        (CHAT, json_response(200, b"{}")),
        (CHAT, json_response(502, ERROR)),
        (CHAT, json_response(400, b'{"error":"a provider\'s own words"}')),
        (ELSEWHERE, json_response(404, PROBLEM, b"application/problem+json")),
        (CHAT, stream_response(b'data: {"a":1}\n\ndata: [DONE]\n\n')),
        (CHAT, stream_response(b'data: {"error":{}}\n\n')),
        (METRICS, Response(200, [(b"content-type", b"text/plain"), GZIPPED], gzip.compress(b"a 1\n"))),
        (METRICS, Response(200, [(b"content-type", b"application/openmetrics-text; version=1.0.0")], b"a 1\n# EOF\n")),
    ],
)
def test_good_responses_pass(made: Input, response: Response) -> None:
    assert problems(made, response, KEYS) == []


@pytest.mark.parametrize(
    ("made", "response"),
    [
        pytest.param(CHAT, json_response(500, ERROR.replace(b"upstream_failed", b"internal_error")), id="500"),
        pytest.param(CHAT, json_response(502, ERROR.replace(b"upstream_failed", b"other")), id="another code"),
        pytest.param(CHAT, json_response(502, b'{"error":{"message":"m"}}'), id="not the shape"),
        pytest.param(CHAT, json_response(401, b'{"error":"m"}'), id="another server's words"),
        pytest.param(CHAT, json_response(404, PROBLEM, b"application/problem+json"), id="a problem under /v1"),
        pytest.param(ELSEWHERE, json_response(404, ERROR), id="OpenAI's error elsewhere"),
        pytest.param(ELSEWHERE, json_response(405, PROBLEM, b"application/problem+json"), id="another status inside"),
        pytest.param(CHAT, json_response(400, b"<html>"), id="no JSON"),
        pytest.param(CHAT, json_response(200, b'{"a":'), id="cut off"),
        pytest.param(CHAT, json_response(200, b'"Traceback (most recent call last)"'), id="traceback"),
        pytest.param(CHAT, json_response(200, b'"/srv/app/main.py"'), id="path of a file"),
        pytest.param(CHAT, json_response(200, b'"gwz_secret"'), id="key"),
        pytest.param(CHAT, Response(200, [], b"{}"), id="no trace id"),
        pytest.param(CHAT, stream_response(b'data: {"a":1}\n\n'), id="stream without an end"),
        pytest.param(CHAT, stream_response(b"data: [DONE]\n"), id="stream inside an event"),
        pytest.param(METRICS, Response(200, [(b"content-type", b"text/plain"), GZIPPED], b"a 1\n"), id="not gzip"),
        pytest.param(
            METRICS, Response(200, [(b"content-type", b"application/openmetrics-text")], b"a 1\n"), id="no EOF"
        ),
        pytest.param(METRICS, Response(200, [(b"content-type", b"text/html")], b"\n"), id="another type"),
    ],
)
def test_bad_responses_are_found(made: Input, response: Response) -> None:
    assert problems(made, response, KEYS)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: a\nb: c\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}HTTP/1.1 400 Bad Request\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200",
    ],
)
async def test_the_reader_takes_no_broken_responses(data: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    with pytest.raises(BadResponseError):
        await read_response(reader, "GET")


CONFIG = AppConfig(models=(ModelConfig(name="m", routes=(RouteConfig(provider="p", upstream_model="u"),)),))
KNOWN_SERIES = [
    (spec.name, tuple(sorted(labels.items())))
    for spec in CATALOGUE
    if spec.starts_at_zero and spec.kind is not Kind.HISTOGRAM
    for labels in known_label_sets(spec, LabelBounds.from_routes("gatewayz", (("p", "m"),)))
]


def test_the_bounded_set_holds_what_exists_at_the_start() -> None:
    assert len(KNOWN_SERIES) > 15
    assert SeriesBounds(CONFIG).unexpected(KNOWN_SERIES) == []


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("made_up_total", {}),
        ("tokens_used_total", {"provider": "p", "model": "x", "token_type": "input"}),
        ("tokens_used_total", {"provider": "p", "model": "m", "token_type": "x"}),
        ("tokens_used_total", {"provider": "p", "model": "m"}),
        ("fastapi_requests_total", {"app_name": "gatewayz", "method": "BREW", "path": "unmatched", "status_code": "200"}),
        ("fastapi_requests_total", {"app_name": "gatewayz", "method": "GET", "path": "/x", "status_code": "200"}),
        ("fastapi_requests_total", {"app_name": "gatewayz", "method": "GET", "path": "unmatched", "status_code": "500"}),
        ("gatewayz_cancelled_calls_total", {"provider": "other", "model": "m", "phase": "after_first_byte"}),
        ("provider_response_time_seconds_bucket", {"provider": "p", "le": "0.123"}),
        ("provider_response_time_seconds_count", {"provider": "p", "le": "0.5"}),
    ],
)  # fmt: skip
def test_a_series_outside_the_bounded_set_is_found(name: str, labels: dict[str, str]) -> None:
    series = (name, tuple(sorted(labels.items())))
    assert SeriesBounds(CONFIG).unexpected([*KNOWN_SERIES, series]) == [series]


def test_who_leaves_within_a_cached_response_leaves_no_provider() -> None:
    model = msgspec.structs.replace(CONFIG.models[0], cache_ttl_seconds=60.0)
    config = msgspec.structs.replace(CONFIG, models=(model,))
    series = ("gatewayz_cancelled_calls_total", (("model", "m"), ("phase", "after_first_byte"), ("provider", "other")))
    assert SeriesBounds(config).unexpected([series]) == []


def test_expositions_that_do_not_parse_are_found() -> None:
    for broken in ('a{b="c} 1\n', "a 1\na 1\n", "a one\n", 'a{b="x"\n1\n'):
        with pytest.raises(ValueError, match=r"."):
            read_text(broken)
    with pytest.raises(ValueError, match="exemplar"):
        read_openmetrics('# TYPE a counter\na_total 1 # {prompt="x"} 1\n# EOF\n')


def reading(count: int) -> Reading:
    labels = (("app_name", "g"), ("method", "GET"), ("path", "unmatched"), ("status_code", "404"))
    return Reading({("fastapi_requests_total", labels): float(count)})


def test_a_count_that_is_off_by_one_is_found() -> None:
    counters = ResponseCounters()
    counters.counted["GET", 404] = 2
    assert count_problems(reading(5), reading(7), counters, Counter()) == []
    assert count_problems(reading(5), reading(6), counters, Counter())
    assert count_problems(reading(5), reading(8), counters, Counter())
    assert wild_problems(reading(5), reading(7), Counter({404: 2}), 0) == []
    assert wild_problems(reading(5), reading(8), Counter({404: 2}), 1) == []
    assert wild_problems(reading(5), reading(6), Counter({404: 2}), 9)
    assert wild_problems(reading(5), reading(8), Counter({404: 2}), 0)


def test_a_canary_and_the_key_are_found_in_any_case() -> None:
    leaks = Leaks(KEYS)
    leaks.search("here", b"nothing")
    assert leaks.found == []
    leaks.search("log", PROMPT.upper().encode())
    leaks.search("span", b"x Metrics-Token y")
    assert [leak.partition(":")[0] for leak in leaks.found] == ["log", "span"]
