"""Drills of the gateway's alerts: providers fail, refuse, are late and dear; each alert is told at the webhook and taken back.

A real gateway is driven into each of them, with the shipped rules, Prometheus and Alertmanager, their minutes made seconds.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.environment import DETOUR_MODEL, DIRECT_MODEL, bench_environment
from compose.native.ports import LOOPBACK, free_ports
from compose.native.stack import make_stack
from demo.environment import create_key
from tests.drills.act import Stage
from tests.drills.calls import Call, Calls
from tests.drills.entries import read_drills
from tests.drills.learned import keep_learned
from tests.drills.report import rows
from tests.drills.servers_in_seconds import choices_in_seconds
from tests.drills.watch import Watch
from tests.harness.polling import holds_within
from tests.stack.gateway_process import GatewayProcess

TOLD_SECONDS = 300.0
"""The anomaly detector judges whole minutes, three at a time."""

RESOLVED_SECONDS = 120.0
WELL_SECONDS = 20.0
"""For longer than an alert and Alertmanager wait together."""

ILL = "a provider fails, another is late and dear"
BURNING = "one request of twenty-three fails"
COSTLY = "a model costs 120 dollars an hour"
LATE = "a provider begins after 12 seconds"
REFUSED = "a provider refuses the key"
UNPAID = "a provider wants to be paid"
UNLISTED = "a provider lists the model no more"
WITHDRAWN = "a provider refuses calls for the model"
QUOTA = "a provider reports a small rest"
BUDGET = "a plan spends its budget"
UNPRICED = "a model has no price"
LOCKED = "the database is locked"

TIGHT_BUDGET = "plan_usd_per_day = 0.5"
RAISED_BUDGET = "plan_usd_per_day = 100000.0"
NEVER_OPENS = "enabled = false\n[[providers]]"
SETTINGS = f"""enabled = true
open_seconds = 2.0
max_open_seconds = 4.0
[anomalies]
interval_seconds = 1.0
[probes]
provider_interval_seconds = 2.0
model_interval_seconds = 2.0
timeout_seconds = 2.0
[ledger]
max_queued_rows = 300
[[plans]]
name = "free"
[[plans]]
name = "metered"
{TIGHT_BUDGET}
"""
"""Breakers and probes that come to a conclusion within the test, and a ledger that cannot wait."""

PRICED = "input_usd_per_million = 1.0\noutput_usd_per_million = 1.0\n"
DEAR = "input_usd_per_million = 245.0\noutput_usd_per_million = 245.0\n"
"""A call of the usual 34 tokens costs 0.00833 US dollars. More tokens at a usual price would be an anomaly."""

OTHERS = {"refused": "dying", "unpaid": "breaking", "withdrawn": "rate_limited", "late": "slow", "unpriced": "stalling"}
"""A model for each cause, and its provider."""

PRICES = {"late": DEAR, "unpriced": ""}


def settings(upstream_url: str) -> str:
    """Return the gateway's settings, and the providers and models of the causes."""
    text = SETTINGS
    for model, provider in OTHERS.items():
        text += f'[[providers]]\nname = "{provider}"\nbase_url = "{upstream_url}/{provider}/v1"\n'
        text += f'[[models]]\nname = "{model}"\n[[models.routes]]\nprovider = "{provider}"\n'
        text += f'upstream_model = "{provider}-1"\n{PRICES.get(model, PRICED)}'
    return f"{text}[[providers]]"


def burning(key: str) -> dict[str, Call]:
    """Return calls of which 4.4 % fail: too few for HighErrorRate, which would silence the alert of the budget, and too many for long.

    The provider "healthy" serves others meanwhile, so that its circuit breaker stays closed.
    """
    fails = {"flaky": {"status": 500}, "healthy": {"status": 500}}
    return {
        "well": Call(model=DETOUR_MODEL, per_second=9.45, key=key),
        "direct": Call(model=DIRECT_MODEL, per_second=2.5, key=key),
        "failing": Call(model=DETOUR_MODEL, per_second=0.55, key=key, script=fails),
    }


def costly(key: str) -> dict[str, Call]:
    """Return calls that cost 120 US dollars an hour: more than HighCostRate allows, and not for long enough for the page of CostBudgetBurn."""
    return {"costly": Call(model="late", per_second=4.0, key=key)}


def calls_of(main: str, metered: str) -> dict[str, dict[str, Call]]:
    """Return the calls of each act."""
    dear = {"delay_seconds": 0.8, "prompt_tokens": 100_000, "completion_tokens": 1}

    def refused(model: str, status: int) -> Call:
        return Call(model=model, per_second=1.0, key=main, script={OTHERS[model]: {"status": status}})

    return {
        ILL: {
            # The provider "healthy" alone serves this model. It gets no request before it fails, so that all of its requests fail.
            "failing": Call(model=DIRECT_MODEL, per_second=4.0, key=main, script={"healthy": {"status": 500}}),
            "dear": Call(model=DETOUR_MODEL, per_second=4.0, key=main, script={"flaky": dear}),
        },
        LATE: {
            "late": Call(model="late", per_second=2.0, key=main, script={"slow": {"delay_seconds": 12.0}}, stream=True)
        },
        REFUSED: {"refused": refused("refused", 401)},
        UNPAID: {"unpaid": refused("unpaid", 402)},
        WITHDRAWN: {"withdrawn": refused("withdrawn", 404)},
        BUDGET: {"spending": Call(model=DETOUR_MODEL, per_second=1.0, key=metered, script={"flaky": dear})},
        UNPRICED: {"unpriced": Call(model="unpriced", per_second=1.0, key=main)},
        UNLISTED: {},
        QUOTA: {},
    }


@asynccontextmanager
async def locked(database_path: Path) -> AsyncIterator[None]:
    """Keep everybody from writing, as a backup that hangs does."""
    database = await asyncio.to_thread(sqlite3.connect, database_path, isolation_level=None, check_same_thread=False)
    await asyncio.to_thread(database.execute, "BEGIN IMMEDIATE")
    try:
        yield
    finally:
        await asyncio.to_thread(database.execute, "ROLLBACK")
        await asyncio.to_thread(database.close)


async def test_each_alert_of_the_gateway_reaches_the_webhook_and_is_taken_back(
    binaries: dict[str, Path], tmp_path: Path, say: Any
) -> None:
    drills = [drill for drill in read_drills() if drill.run == "gateway"]
    watch = Watch()
    stage = Stage(drills, watch, told_seconds=TOLD_SECONDS, resolved_seconds=RESOLVED_SECONDS)
    async with AsyncExitStack() as ends:
        webhook_url = await ends.enter_async_context(watch.webhook())
        bench = await ends.enter_async_context(bench_environment(tmp_path))
        ports = free_ports()
        otel = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{ports.collector_otlp_http}",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }
        gateway = GatewayProcess(bench, otel, {NEVER_OPENS: settings(bench.upstream_url)})
        metered, _ = await create_key(gateway.config_path, "metered", "metered")
        stack = make_stack(binaries, tmp_path / "stack", ports, choices_in_seconds(tmp_path, gateway.url, webhook_url))
        routes = [("flaky", DETOUR_MODEL), ("healthy", DETOUR_MODEL), ("healthy", DIRECT_MODEL)]
        routes += [(provider, model) for model, provider in OTHERS.items()]
        keep_learned(gateway.database_path, routes, ("flaky", DETOUR_MODEL), time.time())
        ends.push_async_callback(stack.stop)
        ends.push_async_callback(gateway.stop)
        await gateway.start()
        await stack.start()
        session = await ends.enter_async_context(aiohttp.ClientSession(bench.upstream_url))
        await ends.enter_async_context(watch.watching(stack))
        calls = Calls(gateway.url)
        await ends.enter_async_context(calls.running())
        well = {"well": Call(model=DETOUR_MODEL, per_second=4.0, key=bench.secret)}
        calls.now = well
        await asyncio.sleep(WELL_SECONDS)
        assert [variant for variant, seen in watch.seen.items() if seen.told is not None] == []

        calls.now = burning(bench.secret)
        async with stage.act(BURNING):
            pass
        calls.now = costly(bench.secret)
        async with stage.act(COSTLY):
            pass
        acts = calls_of(bench.secret, metered)
        async with stage.act(*acts):
            await (await session.post("/_upstream/quota/500")).read()
            await (await session.post("/_upstream/withdrawn/rate_limited?model=rate_limited-1")).read()
            calls.now = {name: call for of_act in acts.values() for name, call in of_act.items()}
        await (await session.post("/_upstream/quota/9000")).read()
        await (await session.post("/_upstream/withdrawn/rate_limited")).read()
        calls.now = well

        calls.now = {"many": Call(model=DETOUR_MODEL, per_second=30.0, key=bench.secret)}
        async with stage.act(LOCKED), locked(gateway.database_path):
            assert await holds_within(lambda: not stage.untold(LOCKED), TOLD_SECONDS)

        calls.now = well
        # The spent budget is raised, as an operator raises it.
        gateway.config_path.write_text(gateway.config_path.read_text().replace(TIGHT_BUDGET, RAISED_BUDGET))
        await gateway.restart()
        try:
            await stage.resolved()
        finally:
            for line in rows(drills, watch, stage.began, stage.mended):
                say(line)
    assert watch.problems() == []
