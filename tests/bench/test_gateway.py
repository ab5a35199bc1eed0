import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import msgspec
import pytest

from bench import canned_server, external_server, pass_through
from bench.closed_load import LoadResult
from bench.cores import Cores
from bench.gateway import enough_seconds, measure_all, parse
from bench.gateway_servers import BODIES, Bed, Plan, check
from bench.gateway_variants import Variant
from bench.load import PATH, Load
from demo.process import ChildFailedError, start_child

CANNED = "bench.canned_server"


def plan(**changes: object) -> Plan:
    return Plan(**({"rounds": 1, "seconds": 1, "connections": (1,), "variants": ()} | changes))  # type: ignore[arg-type]


def variant(name: str, *arguments: str, ready_line: str = canned_server.READY_LINE, required: bool = False) -> Variant:
    return Variant(name=name, arguments=arguments, environ={}, headers={}, ready_line=ready_line, required=required)


def bed(folder: Path, **changes: object) -> Bed:
    return Bed(plan=plan(**changes), load=Load(None), cores=Cores(), folder=folder)


def test_the_command_line_is_a_plan(tmp_path: Path) -> None:
    arguments = ["--rounds", "2", "--connections", "1,64", "--variants", "off,on", "--json", str(tmp_path / "a.json")]
    assert parse(arguments) == (
        Plan(rounds=2, seconds=1, connections=(1, 64), variants=("off", "on")),
        tmp_path / "a.json",
    )
    assert parse([]) == (Plan(rounds=3, seconds=1, connections=(1, 16, 64), variants=()), None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variants", "off,fastest"], "'fastest' is none of bare, off, on, console, Portkey, LiteLLM"),
        (["--connections", "1,x"], "at least 1"),
        (["--connections", "0"], "at least 1"),
        (["--rounds", "0"], "at least 1"),
    ],
)
def test_mistakes_on_the_command_line_are_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("responded", "connections", "seconds"),
    [(4000, 16, 1), (64, 16, 1), (32, 16, 2), (60, 64, 5), (2, 64, 10), (0, 1, 4)],
)
def test_a_slow_server_is_loaded_until_the_requests_in_flight_at_the_end_matter_little(
    responded: int, connections: int, seconds: int
) -> None:
    result = LoadResult(responded=responded, failed=0, seconds=1.0, p50_milliseconds=1.0, p99_milliseconds=1.0)
    assert enough_seconds(result, connections, 1) == seconds


def test_a_load_is_never_repeated_for_a_shorter_time() -> None:
    result = LoadResult(responded=0, failed=0, seconds=20.0, p50_milliseconds=0.0, p99_milliseconds=0.0)
    assert enough_seconds(result, 64, 20) == 20


@pytest.mark.live
async def test_a_baseline_that_fails_is_skipped_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    variants = [variant("LiteLLM", "bench.no_such_module"), variant("bare", CANNED, "0", required=True)]
    measured, failed = await measure_all(variants, bed(tmp_path))
    assert {(each.variant, each.kind, each.connections) for each in measured} == {
        ("bare", "whole", 1),
        ("bare", "streamed", 1),
    }
    assert all(each.per_second > 0 for each in measured)
    assert list(failed) == ["LiteLLM"]
    assert failed["LiteLLM"].startswith("it failed: LiteLLM ended with exit code 1")


@pytest.mark.live
async def test_a_required_server_that_fails_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ChildFailedError, match="on ended with exit code 1"):
        await measure_all([variant("on", "bench.no_such_module", required=True)], bed(tmp_path))


@pytest.mark.live
async def test_a_point_that_fails_takes_no_figure_of_another_point_away(tmp_path: Path) -> None:
    class FailsStreamed(Load, frozen=True):
        async def run(
            self, url: str, headers: Mapping[str, str], body: bytes, *, connections: int, seconds: float
        ) -> LoadResult:
            failed = int(body == BODIES["streamed"])
            return LoadResult(responded=100, failed=failed, seconds=seconds, p50_milliseconds=1.0, p99_milliseconds=2.0)

    portkey = variant("Portkey", CANNED, "0")
    beds = msgspec.structs.replace(bed(tmp_path), load=FailsStreamed(None))
    measured, failed = await measure_all([portkey], beds)
    assert [(each.kind, each.per_second) for each in measured] == [("whole", 100.0)]
    assert failed == {"Portkey in round 1, streamed at 1 connections": "1 of 101 requests failed"}
    with pytest.raises(ChildFailedError, match="streamed at 1 connections: 1 of 101 requests failed"):
        await measure_all([msgspec.structs.replace(portkey, required=True)], beds)


@pytest.mark.live
async def test_the_pass_through_relays_both_kinds_byte_for_byte(tmp_path: Path) -> None:
    upstream = await start_child("upstream", (CANNED, "0"), log_path=tmp_path / "upstream.log")
    try:
        await upstream.wait_ready(canned_server.READY_LINE)
        bare = variant("bare", "bench.pass_through", f"{upstream.url}/v1", ready_line=pass_through.READY_LINE)
        server = await start_child(bare.name, bare.arguments, log_path=tmp_path / "bare.log")
        try:
            await server.wait_ready(bare.ready_line)
            await check(server, bare)
            async with aiohttp.ClientSession() as session:
                for body in BODIES.values():
                    relayed, direct = [
                        await (await session.post(url + PATH, data=body)).read() for url in (server.url, upstream.url)
                    ]
                    assert relayed == direct
        finally:
            await server.stop()
    finally:
        await upstream.stop()


@pytest.mark.live
async def test_a_response_that_is_not_whole_is_found_before_anything_is_measured(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}")
    other = variant("Portkey", "bench.external_server", *command, ready_line=external_server.READY_LINE)
    server = await start_child(other.name, other.arguments, log_path=tmp_path / "other.log")
    try:
        await server.wait_ready(other.ready_line)
        with pytest.raises(ChildFailedError, match="Portkey returned 501"):
            await check(server, other)
    finally:
        assert await server.stop() != 0
