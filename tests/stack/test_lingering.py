"""What a gateway leaves in Prometheus: gauges end with it, counters stay; what a killed one leaves is told apart by its age and by `up`."""

import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from bench.environment import DIRECT_MODEL, bench_environment
from compose.native.ports import LOOPBACK, free_ports
from compose.native.servers import PROMETHEUS_FILE, ROOT, Choices
from compose.native.stack import Stack, make_stack
from otel.catalogue import CATALOGUE
from otel.catalogue.spec import Kind
from otel.config.environ import telemetry_config_from_environ
from otel.labels import LabelBounds
from otel.pipeline import PipelineSettings, build_pipeline
from tests.harness.polling import holds_within
from tests.stack.gateway_process import GatewayProcess
from tests.stack.stores import Stores

SECONDS = 30.0
PUSH_SECONDS = 1
GAUGES = "|".join(spec.name for spec in CATALOGUE if spec.kind in {Kind.OBSERVABLE_GAUGE, Kind.UP_DOWN_COUNTER})
GAUGE_SERIES = f'{{__name__=~"{GAUGES}", job="gatewayz"}}'
COUNTERS = "fastapi_requests_total|tokens_used_total|gatewayz_cost_by_provider|fastapi_requests_duration_seconds_count"
COUNTER_SERIES = f'{{__name__=~"{COUNTERS}", job="gatewayz"}}'


class Harness:
    """Prometheus and the Collector, and one gateway with its requests."""

    def __init__(
        self, stack: Stack, stores: Stores, process: GatewayProcess, otel: Mapping[str, str], secret: str
    ) -> None:
        self.stack = stack
        self.stores = stores
        self.process = process
        self.otel = otel
        self._secret = secret

    async def chat(self) -> None:
        async with (
            aiohttp.ClientSession(headers={"authorization": f"Bearer {self._secret}"}) as session,
            session.post(
                f"{self.process.url}/v1/chat/completions",
                json={"model": DIRECT_MODEL, "messages": [{"role": "user", "content": "hello"}]},
            ) as response,
        ):
            assert response.status == 200
            await response.read()

    async def gauges(self) -> Counter[tuple[tuple[str, str], ...]]:
        """Return how many instances show each gauge series."""
        return Counter(
            tuple(sorted((name, value) for name, value in each["metric"].items() if name != "instance"))
            for each in await self.stores.prometheus(GAUGE_SERIES)
        )

    async def instances(self) -> set[str]:
        """Return the instances that show any gauge."""
        return {each["metric"]["instance"] for each in await self.stores.prometheus(GAUGE_SERIES)}

    async def counters(self) -> dict[str, float]:
        return {str(each["metric"]): float(each["value"][1]) for each in await self.stores.prometheus(COUNTER_SERIES)}

    async def has_pushed(self) -> bool:
        """Whether a push has arrived that counts the request."""
        return await self.stores.total("fastapi_requests_total") > 0


@pytest.fixture
async def harness(binaries: dict[str, Path], tmp_path: Path) -> AsyncIterator[Harness]:
    ports = free_ports()
    async with bench_environment(tmp_path) as bench:
        otel = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{ports.collector_otlp_http}",
            "OTEL_METRIC_EXPORT_INTERVAL": str(PUSH_SECONDS * 1_000),
        }
        process = GatewayProcess(bench, otel)
        often = tmp_path / "prometheus.yml"
        often.write_text(
            (ROOT / "compose" / "prometheus" / PROMETHEUS_FILE).read_text().replace("interval: 15s", "interval: 1s")
        )
        choices = Choices(prometheus_file=often, gateway_address=process.url.removeprefix("http://"))
        stack = make_stack(binaries, tmp_path / "stack", ports, choices)
        try:
            await stack.start("prometheus", "otelcol")
            async with Stores(stack) as stores:
                yield Harness(stack, stores, process, otel, bench.secret)
        finally:
            await process.stop()
            await stack.stop("prometheus", "otelcol")


def documented_query(name: str) -> str:
    """Return a query of the operations page: the line after the comment `# name`, for this file's push interval."""
    page = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(rf"^# {re.escape(name)}\n(.+)$", page, re.MULTILINE)
    assert found is not None, name
    assert " 45" in found[1], "three pushes at the default interval of 15 s"
    return found[1].replace(" 45", f" {3 * PUSH_SECONDS}")


async def test_gauges_end_with_the_gateway_and_counters_stay(harness: Harness) -> None:
    await harness.process.start()
    await harness.chat()
    assert await holds_within(harness.has_pushed, SECONDS)
    before = await harness.gauges()
    assert len(before) >= 10
    assert await harness.process.stop() == 0

    async def are_gone() -> bool:
        return not await harness.gauges()

    began = time.monotonic()
    assert await holds_within(are_gone, 60.0), await harness.gauges()
    assert time.monotonic() - began < 60.0, "the stale markers, not the five minutes after which Prometheus forgets"
    final = await harness.counters()
    assert await harness.stores.number("sum(fastapi_requests_total)") == 1
    assert await harness.stores.number("sum(gatewayz_cost_by_provider)") > 0
    assert {name: value for name, value in final.items() if "duration_seconds_count" in name and value == 1}
    assert await harness.stores.number('count(target_info{job="gatewayz"})') == 1, (
        "final counters can still be joined with it"
    )

    await harness.process.start()
    await harness.chat()

    async def are_back() -> bool:
        return (await harness.gauges()).keys() >= before.keys() and await harness.stores.total(
            "fastapi_requests_total"
        ) == 2

    assert await holds_within(are_back, SECONDS)
    assert set((await harness.gauges()).values()) == {1}
    assert (await harness.counters()).items() >= final.items()


async def test_gauges_end_also_when_the_last_push_waited_on_disk(harness: Harness) -> None:
    await harness.process.start()
    await harness.chat()
    assert await holds_within(harness.has_pushed, SECONDS)
    before = await harness.instances()
    await harness.stack.stop("otelcol")
    assert await harness.process.stop() == 0
    assert await harness.instances() == before, "the marks have not arrived"
    await harness.stack.start("otelcol")
    await harness.process.start()

    async def are_those_of_another() -> bool:
        now = await harness.instances()
        return len(now) == 1 and now != before

    assert await holds_within(are_those_of_another, SECONDS), await harness.instances()
    assert await harness.stores.total("fastapi_requests_total") == 1, "the final counters were in the same push"


async def test_what_a_killed_gateway_leaves_is_told_apart(harness: Harness) -> None:
    await harness.process.start()
    await harness.chat()
    assert await holds_within(harness.has_pushed, SECONDS)
    before = await harness.gauges()
    alive, left = documented_query("instances that push"), documented_query("gauges of instances that push no more")
    assert len(await harness.stores.prometheus(alive)) == 1
    assert await harness.stores.prometheus(left) == []
    assert await holds_within(lambda: is_up(harness.stores), SECONDS)
    await harness.process.kill()

    async def is_seen_down() -> bool:
        return await harness.stores.number(
            'min(up{job="gatewayz-backend"})'
        ) == 0 and not await harness.stores.prometheus(alive)

    assert await holds_within(is_seen_down, SECONDS)
    assert (await harness.gauges()).keys() == before.keys(), "no process could mark them as ended"
    assert len(await harness.stores.prometheus(left)) > 0
    await harness.process.start()

    async def is_back() -> bool:
        return len(await harness.stores.prometheus(alive)) == 1 and await is_up(harness.stores)

    assert await holds_within(is_back, SECONDS)
    assert max((await harness.gauges()).values()) == 2, "the dead one's and the new one's"


async def is_up(stores: Stores) -> bool:
    return await stores.number('min(up{job="gatewayz-backend"})') == 1


async def test_a_gauge_that_has_no_value_any_more_is_gone_at_the_next_push(harness: Harness) -> None:
    shown = [(0.5, {"provider": "p1"}), (1.0, {"provider": "p2"})]
    telemetry = build_pipeline(
        telemetry_config_from_environ(harness.otel),
        PipelineSettings(
            bounds=LabelBounds.from_routes("gw", (("p1", "m1"), ("p2", "m1")), paths=frozenset()),
            version="1",
            instance_id="vanishing",
            clock=time.monotonic,
            unix_ns=time.time_ns,
            rng=random.Random(1),
        ),
    )
    telemetry.observe("gatewayz_provider_health_score", lambda: shown)
    telemetry.start()

    async def providers() -> set[str]:
        result = await harness.stores.prometheus('gatewayz_provider_health_score{instance="vanishing"}')
        return {each["metric"]["provider"] for each in result}

    async def are(*names: str) -> bool:
        return await providers() == set(names)

    try:
        assert await holds_within(lambda: are("p1", "p2"), SECONDS)
        del shown[1]
        assert await holds_within(lambda: are("p1"), 5.0)
    finally:
        telemetry.shutdown(2.0)
    assert await holds_within(are, 5.0)
