"""The promise under faults: 50 requests a second while servers and gateway are ended, killed and frozen; nothing lost, nothing twice.

FAULT_SECONDS sets how long a backend is unavailable (60), a Collector half of it.
"""

import asyncio
import os
import signal
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from bench.environment import bench_environment
from bench.open_load import COMPLETION_TOKENS, PROMPT_TOKENS, OpenLoad, Sent
from compose.native.servers import Choices
from tests.harness.polling import holds_within
from tests.reconcile.compare import read_ledger
from tests.stack.fault_story import Fault, Story
from tests.stack.gateway_process import GatewayProcess
from tests.stack.stores import Stores

PER_SECOND = 50.0
SETTLE_SECONDS = 120.0
TEMPO_KILL_SECONDS = 1.0
"""What Tempo may lose when it is killed itself: as many traces as it acknowledged in its last second."""

ON_THE_WAY_SECONDS = 3.0
"""From the end of a request to Tempo's acknowledgement: the gateway's batch, the Collector's queue and batch."""

NANO = 1_000_000_000


@pytest.fixture
def fault_seconds() -> float:
    return float(os.environ.get("FAULT_SECONDS") or 60.0)


async def backends(story: Story, seconds: float) -> None:
    """Each backend is ended and killed once; their outages overlap, as each has a queue of its own."""

    async def lane(server: str, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        await story.away(server, signal.SIGTERM, seconds)
        await story.away(server, signal.SIGKILL, seconds)

    async with asyncio.TaskGroup() as group:
        for number, server in enumerate(("prometheus", "loki", "tempo")):
            group.create_task(lane(server, number * seconds / 6))


async def collector(story: Story, seconds: float) -> None:
    """The Collector is killed twice and frozen once."""
    await story.away("otelcol", signal.SIGKILL, seconds / 2)
    await story.away("otelcol", signal.SIGKILL, seconds / 2)
    await story.frozen("otelcol", seconds)


async def gateway(story: Story, process: GatewayProcess, stack, seconds: float) -> None:
    """The gateway is restarted; then it is restarted while the Collector is down, so that its telemetry must wait on disk."""
    await story.during("gateway SIGTERM, restart", process.restart)

    async def restart_without_collector() -> None:
        await stack.kill("otelcol")
        await asyncio.sleep(seconds / 6)
        await process.restart()
        await asyncio.sleep(seconds / 6)
        await stack.start("otelcol")

    await story.during("gateway SIGTERM, restart, Collector away", restart_without_collector)


async def test_nothing_is_lost_and_nothing_comes_twice(stack_with, tmp_path: Path, fault_seconds: float, say) -> None:
    (folder := tmp_path / "gateway").mkdir()
    async with stack_with(Choices()) as stack, Stores(stack) as stores, bench_environment(folder) as bench:
        otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otelcol"), "OTEL_METRIC_EXPORT_INTERVAL": "2000"}
        process = GatewayProcess(bench, otel)
        await process.start()
        try:
            async with OpenLoad(process.url, bench.secret, per_second=PER_SECOND) as load:
                story = Story(stack, stores, load, say)
                await backends(story, fault_seconds)
                await collector(story, fault_seconds)
                await gateway(story, process, stack, fault_seconds)
            await _compare(stores, process, load.sent, story, say)
        finally:
            assert await process.stop() == 0


async def _compare(stores: Stores, process: GatewayProcess, sent: list[Sent], story: Story, say) -> None:
    """Hold every store against the driver's counters, and print the table."""
    faults = story.faults
    responded = {each.trace_id: each for each in sent if each.trace_id}
    count = len(responded)
    say(f"{len(sent)} requests sent, {count} answered; those while no gateway ran were refused their connection")
    # None of these faults is one of the gateway or of its providers: every request that reached it was served.
    assert Counter(each.status for each in responded.values()) == {200: count}

    async def is_all_there() -> bool:
        return (
            await stores.total("fastapi_requests_total") >= count
            and await stores.log_count() >= count
            and len(await stores.traces()) >= count
        )

    await holds_within(is_all_there, SETTLE_SECONDS)
    traces, logs = await stores.traces(), await stores.request_logs()
    say("fault                                       sent  traces    logs   lost  doubled  back to whole")
    for fault in faults:
        met = [each for each in responded.values() if fault.began_seconds <= each.due_seconds <= fault.ended_seconds]
        found_traces = sum(each.trace_id in traces for each in met)
        found_logs = sum(each.trace_id in logs for each in met)
        doubled = sum(logs[each.trace_id] > 1 for each in met)
        lost = 2 * len(met) - found_traces - found_logs
        say(
            f"{fault.what:40} {len(met):7} {found_traces:7} {found_logs:7} {lost:6} {doubled:8} {fault.catch_up_seconds:10.1f} s"
        )
    expected = _expected(list(responded.values()))
    counted = {name: await stores.total(name) for name in expected}
    for name, value in expected.items():
        say(f"{name:46} counters {value:14.9g}  Prometheus {counted[name]:14.9g}")
    cost = (await stores.total("gatewayz_cost_by_provider")) * NANO
    ledger = read_ledger(process.database_path)
    say(f"{'cost in nano-USD':46} ledger {ledger['cost (nano-USD)']:13}  Prometheus {cost:14.0f}\n")
    spans = {trace_id: 1 + each.attempts for trace_id, each in responded.items()}
    # A search counts the spans of one block; what a trace holds in all is asked for by its id.
    partial = [trace_id for trace_id, count in spans.items() if traces.get(trace_id, 0) < count]
    lacking = {each: missing for each in partial if (missing := spans[each] - await stores.span_count(each)) > 0}
    refused = {each: missing for each, missing in lacking.items() if _met_the_end("tempo", responded[each], faults)}
    said = story.refused_while_ending("otlp_grpc/tempo")
    say(f"spans that Tempo refused for good while it ended: {sum(refused.values())}, by the Collector's log {said}")
    assert sum(refused.values()) == said
    broken = [responded[each] for each in lacking.keys() - refused.keys()]
    say(
        f"traces that Tempo acknowledged and lost, or lost a part of: {len(broken)} ({len(broken) / PER_SECOND:.2f} s of traffic)"
    )
    assert [each for each in broken if not _was_taken_by_tempo(each, faults)] == []
    assert len(broken) <= PER_SECOND * TEMPO_KILL_SECONDS
    # Where the acknowledgement of a batch got lost with a killed server, the batch is sent again: the same spans under the same ids.
    odd = [trace_id for trace_id, count in traces.items() if count > spans[trace_id]]
    say(
        f"traces of which Tempo got spans a second time, under the same ids: {len(odd)} ({len(odd) / PER_SECOND:.2f} s of traffic)"
    )
    assert {trace_id: await stores.span_count(trace_id) for trace_id in odd} == {
        trace_id: spans[trace_id] for trace_id in odd
    }
    assert logs - Counter(responded.keys()) == Counter()
    unlogged = Counter(responded.keys()) - logs
    said = story.refused_while_ending("otlp_http/loki")
    say(
        f"request logs that Loki refused for good while it ended: {unlogged.total()}, of {said} lines by the Collector's log"
    )
    assert [each for each in unlogged if not _met_the_end("loki", responded[each], faults)] == []
    assert unlogged.total() <= said
    assert counted == expected
    assert round(cost) == ledger["cost (nano-USD)"]


def _was_taken_by_tempo(each: Sent, faults: list[Fault]) -> bool:
    """Whether a missing trace is one of those that a SIGKILL of Tempo may take."""
    return _ended_around("tempo SIGKILL", each, faults, before_seconds=TEMPO_KILL_SECONDS + ON_THE_WAY_SECONDS)


def _met_the_end(store: str, each: Sent, faults: list[Fault]) -> bool:
    """Whether what is missing of a request was on its way to a store when that got its SIGTERM."""
    on_the_way = ON_THE_WAY_SECONDS
    return _ended_around(f"{store} SIGTERM", each, faults, before_seconds=on_the_way, after_seconds=on_the_way)


def _ended_around(
    what: str, each: Sent, faults: list[Fault], *, before_seconds: float, after_seconds: float = 0.0
) -> bool:
    """Whether a request ended at most so long before or after a fault began."""
    ended_seconds = each.due_seconds + each.seconds
    return any(
        fault.what == what and -before_seconds <= ended_seconds - fault.began_seconds <= after_seconds
        for fault in faults
    )


def _expected(responded: list[Sent]) -> dict[str, float]:
    """Return what the driver's counters say of the sums in Prometheus."""
    attempts = sum(each.attempts for each in responded)
    return {
        "fastapi_requests_total": len(responded),
        "fastapi_requests_duration_seconds_count": len(responded),
        "model_inference_requests_total": attempts,
        "model_inference_duration_seconds_count": len(responded),
        "provider_response_time_seconds_count": attempts,
        "tokens_used_total": len(responded) * (PROMPT_TOKENS + COMPLETION_TOKENS),
    }


async def test_a_killed_gateway_loses_at_most_its_last_second(stack_with, tmp_path: Path, say) -> None:
    (folder := tmp_path / "gateway").mkdir()
    async with stack_with(Choices()) as stack, Stores(stack) as stores, bench_environment(folder) as bench:
        process = GatewayProcess(bench, {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otelcol")})
        await process.start()
        try:
            async with OpenLoad(process.url, bench.secret, per_second=PER_SECOND) as load:
                assert await holds_within(lambda: _has_sent(load, 400), 30.0)
                killed_seconds = asyncio.get_running_loop().time()
                await process.kill()
                await process.start()
                assert await holds_within(lambda: _has_sent(load, 800), 30.0)
            before = [each for each in load.sent if each.trace_id and each.due_seconds + each.seconds < killed_seconds]
            after = [each for each in load.sent if each.trace_id and each.due_seconds > killed_seconds]
            assert before
            assert after

            newer = {each.trace_id for each in after}

            async def has_newer() -> bool:
                return newer <= (await stores.request_logs()).keys() and newer <= (await stores.traces()).keys()

            assert await holds_within(has_newer, SETTLE_SECONDS)
            traces, logs = await stores.traces(), await stores.request_logs()
        finally:
            assert await process.stop() == 0
        ledger_ids = _ledger_ids(process.database_path)  # complete: the second process has ended in good order
    assert newer <= ledger_ids
    for what, found in (("traces", traces), ("logs", logs), ("ledger rows", ledger_ids)):
        gone = [each for each in before if each.trace_id not in found]
        oldest = max((killed_seconds - each.due_seconds - each.seconds for each in gone), default=0.0)
        say(f"gateway SIGKILL: {len(gone)} {what} of {len(before)} gone, the oldest {oldest:.2f} s before the kill")
        assert oldest <= 1.0
    # What the ledger has and the stores lack is what the kill took of telemetry alone.
    assert len([trace_id for trace_id in ledger_ids if trace_id not in logs]) <= PER_SECOND
    assert max(logs.values()) == 1


async def _has_sent(load: OpenLoad, count: int) -> bool:
    return sum(bool(each.trace_id) for each in load.sent) >= count


def _ledger_ids(path: Path) -> set[str]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return {row[0] for row in database.execute("SELECT trace_id FROM ledger")}
