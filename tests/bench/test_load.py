import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from bench import canned_server, external_server
from bench.closed_load import LoadResult
from bench.load import Load, find_load, parse_wrk
from demo.process import ChildFailedError, start_child

SUMMARY = '{"requests":5022,"failed":2,"duration_us":2001500,"p50_us":3050,"p99_us":8811}\n'
HEADING = "Running 2s test @ http://127.0.0.1:8000/\n  1 threads and 16 connections\nRequests/sec:   2509.20\n"
NO_POST = ("bench.external_server", sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}")
"""A server that returns 501 to every request of a load."""

RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def test_the_summary_behind_the_output_of_wrk_is_read_in_milliseconds_and_without_failures() -> None:
    assert parse_wrk(HEADING + SUMMARY) == LoadResult(
        responded=5020, failed=2, seconds=2.0015, p50_milliseconds=3.05, p99_milliseconds=8.811
    )


def test_more_failures_than_requests_are_no_negative_number_of_responses() -> None:
    assert parse_wrk('{"requests":0,"failed":7,"duration_us":1000000,"p50_us":0,"p99_us":0}').responded == 0


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1 Connection refused\n", SUMMARY[:20]])
def test_output_without_a_summary_is_an_error_that_quotes_it(output: str) -> None:
    with pytest.raises(ChildFailedError, match="wrk printed no summary") as raised:
        parse_wrk(output)
    assert output.strip() in str(raised.value)


def test_wrk_is_found_on_the_path_and_the_python_program_stands_in_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_load().name == "bench.closed_load (wrk is not installed)"
    program = tmp_path / "wrk"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_load() == Load(str(program))
    assert find_load().name == "wrk"


async def test_the_url_the_headers_and_the_body_reach_wrk(tmp_path: Path) -> None:
    program = tmp_path / "wrk"
    program.write_text(
        f'#!/bin/sh\nprintf \'%s\\n\' "$@" "$BENCH_HEADERS" "$BENCH_BODY" >{tmp_path}/given\necho \'{SUMMARY.strip()}\'\n'
    )
    program.chmod(0o755)
    result = await Load(str(program)).run("http://127.0.0.1:9", {"a": "1", "b": "2"}, b"{}", connections=16, seconds=3)
    given = (tmp_path / "given").read_text().splitlines()
    assert result.responded == 5020
    assert given[:3] == ["-t1", "-c16", "-d3s"]
    assert given[-4:] == ["http://127.0.0.1:9/v1/chat/completions", "a: 1", "b: 2", "{}"]


async def test_wrk_that_fails_is_an_error_with_its_words(tmp_path: Path) -> None:
    program = tmp_path / "wrk"
    program.write_text("#!/bin/sh\necho 'invalid number of connections' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(ChildFailedError, match="invalid number of connections"):
        await Load(str(program)).run("http://127.0.0.1:9", {}, b"{}", connections=0, seconds=1)


async def test_the_python_program_sends_the_headers_and_the_body() -> None:
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):  # the load has ended
            while True:
                received.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2))
                writer.write(RESPONSE)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await Load(None).run(
            url, {"authorization": "Bearer a", "x-b": "c"}, b"{}", connections=1, seconds=0.05
        )
    assert result.failed == 0
    assert result.responded == len(received)
    assert received[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer a\r\nx-b: c\r\ncontent-length: 2\r\n\r\n{}" in received[0]


@pytest.mark.live
@pytest.mark.skipif(find_load().wrk is None, reason="wrk is not installed")
@pytest.mark.parametrize(("module", "fails"), [(("bench.canned_server", "0"), False), (NO_POST, True)])
async def test_the_script_makes_wrk_post_and_count_error_responses(
    module: tuple[str, ...], fails: bool, tmp_path: Path
) -> None:
    server = await start_child("server", module, log_path=tmp_path / "server.log")
    try:
        await server.wait_ready(external_server.READY_LINE if fails else canned_server.READY_LINE)
        result = await find_load().run(server.url, {"x-a": "b"}, b'{"stream":true}', connections=2, seconds=1)
    finally:
        await server.stop()
    assert (result.failed > 0) is fails
    assert (result.responded > 0) is not fails
    assert result.p50_milliseconds > 0
