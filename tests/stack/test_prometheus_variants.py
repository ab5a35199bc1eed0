"""One gateway, one traffic, three ways into Prometheus: OTLP, remote write, and a scrape. All give the same responses."""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import promql_parser

from bench.environment import DIRECT_MODEL, Bench, bench_environment
from bench.open_load import BODIES
from compose.native.ports import free_ports
from compose.native.servers import ROOT, Choices
from compose.native.stack import make_stack
from dashboards.grafana.definitions.overview import OVERVIEW
from otel.catalogue import CATALOGUE, DOCUMENTED_FAMILIES
from tests.checks.documented_queries import AS_WRITTEN, EXAMPLE_MODEL, EXAMPLE_PROVIDER, REPLACED
from tests.checks.promql import families_in, foreign_in
from tests.checks.queries import panel_queries, variable_queries
from tests.harness.polling import holds_within
from tests.stack.gateway_process import GatewayProcess
from tests.stack.prometheus_servers import Prometheus, Result, everywhere

WINDOW_SECONDS = 300.0
"""The range of nearly all of the documented queries."""

TOLERANCE = 0.06
"""A rate is extrapolated to its window, by up to an interval of a second on either side of half a minute of samples."""

MAIN_SECONDS = 25.0
SETTLE_SECONDS = 30.0
MOVING = re.compile(
    r"process_|gatewayz_provider_probes|gatewayz_telemetry_|gatewayz_event_loop|gatewayz_job|database_query_"
)
"""Families that go on without traffic: two moments give two values."""
WINDOWED = re.compile(r"provider_availability|provider_error_rate|gatewayz_provider_health_score")
"""Gauges over the time until now: they change a little from one sample to the next."""

FAILING = msgspec.json.encode(
    {"model": DIRECT_MODEL, "messages": [{"role": "user", "content": "x"}], "x_script": {"healthy": {"status": 500}}}
)


@asynccontextmanager
async def three_ways(
    binaries: dict[str, Path], folder: Path
) -> AsyncIterator[tuple[dict[str, Prometheus], GatewayProcess, Bench]]:
    """Run the gateway with a Collector that pushes by OTLP, a second one that gets the same and remote-writes it, and a scrape."""
    async with AsyncExitStack() as ends:
        bench_folder = folder / "gateway"
        bench_folder.mkdir()
        bench = await ends.enter_async_context(bench_environment(bench_folder))
        ports = {"otlp": free_ports(), "remote write": free_ports(), "scrape": free_ports()}
        forward = folder / "forward.yaml"
        forward.write_text(
            f"exporters: {{otlp_http/second: {{endpoint: 'http://127.0.0.1:{ports['remote write'].collector_otlp_http}'}}}}\n"
            "service: {pipelines: {metrics: {exporters: [otlp_http/prometheus, otlp_http/second]}}}\n"
        )
        otel = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{ports['otlp'].collector_otlp_http}/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        }
        # With a breaker, so that one is open.
        gateway = GatewayProcess(bench, otel, {"enabled = false\n[[providers]]": "enabled = true\n[[providers]]"})
        address = gateway.url.removeprefix("http://")
        choices = {
            "otlp": Choices(collector_files=("base.yaml", "metrics.yaml", forward), gateway_address=address),
            "remote write": Choices(
                collector_files=("base.yaml", "remote-write.yaml"),
                prometheus_file="prometheus.remote-write.yml",
                gateway_address=address,
            ),
            "scrape": Choices(
                prometheus_file=_each_second(folder, "prometheus.scrape-only.yml"), gateway_address=address
            ),
        }
        session = await ends.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        servers = {}
        for name, choice in choices.items():
            stack = make_stack(binaries, folder / name.replace(" ", "-"), ports[name], choice)
            ends.push_async_callback(stack.stop)
            await stack.start("prometheus", *(() if name == "scrape" else ("otelcol",)))
            servers[name] = Prometheus(name, stack.url("prometheus"), session)
        ends.push_async_callback(gateway.stop)
        await gateway.start()
        yield servers, gateway, bench


def _each_second(folder: Path, name: str) -> Path:
    """Return the shipped file with a scrape every second."""
    text = (ROOT / "compose" / "prometheus" / name).read_text()
    path = folder / name
    path.write_text(re.sub(r"scrape_(interval|timeout): \d+s", r"scrape_\1: 1s", text))
    return path


async def send(url: str, secret: str, rounds: int, seconds: float = 0.0) -> int:
    """Send rounds of eight requests that differ in kind; return how many were sent."""
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    posts: list[tuple[str, bytes, dict[str, str]]] = [
        *(("/v1/chat/completions", BODIES[kind], headers) for kind in ("plain", "plain", "stream", "detour")),
        ("/v1/chat/completions", FAILING, headers),
        ("/v1/chat/completions", BODIES["plain"], {"authorization": "Bearer wrong"}),
        ("/nowhere", b"{}", headers),
    ]
    async with aiohttp.ClientSession() as session:
        for _ in range(rounds):
            for path, body, own in posts:
                async with session.post(url + path, data=body, headers=own) as response:
                    await response.read()
            async with session.get(f"{url}/v1/models", headers=headers) as response:
                await response.read()
            await asyncio.sleep(seconds / rounds)  # spreads the traffic over the time
    return rounds * (len(posts) + 1)


async def settled(servers: dict[str, Prometheus], requests: int) -> None:
    """Wait until every server knows of all requests, and of nothing older than them."""

    async def all_there() -> bool:
        counted = await everywhere(servers, "sum(fastapi_requests_total)")
        return [result.get(()) for result in counted.values()] == [requests] * len(servers)

    assert await holds_within(all_there, SETTLE_SECONDS), await everywhere(servers, "sum(fastapi_requests_total)")
    counted_at = time.time()

    async def newer() -> bool:
        ages = [await server.age_seconds("fastapi_app_info") for server in servers.values()]
        return max(ages) < time.time() - counted_at - 0.2

    assert await holds_within(newer, SETTLE_SECONDS)


def as_asked_here(query: str) -> str:
    """Return a documented query for the provider and the model that there are."""
    return query.replace(EXAMPLE_PROVIDER, "healthy").replace(EXAMPLE_MODEL, DIRECT_MODEL)


def may_be_empty(query: str) -> bool:
    """Whether a query filters by a comparison, or by another query that does, so that no result is a response."""
    return _filters(promql_parser.parse(query))


def _filters(tree: Any) -> bool:
    if not isinstance(tree, promql_parser.BinaryExpr):
        return False
    return str(tree.op) in {"<", ">", "=="} or (str(tree.op) == "and" and (_filters(tree.lhs) or _filters(tree.rhs)))


def is_of_the_window(query: str) -> bool:
    """Whether a panel's query reads the gateway's metrics alone, and not those of before all series were born."""
    return not foreign_in(query) and re.search(r"\[(?!5m\])\w+\]", query) is None


def differences(query: str, families: set[str], responses: dict[str, Result]) -> list[str]:
    """Return how the servers' results of a query differ."""
    (first, expected), *others = responses.items()
    moving = any(MOVING.match(family) for family in families)
    extrapolated = re.search(r"rate\(|increase\(", query) or any(WINDOWED.match(family) for family in families)
    tolerance = TOLERANCE if extrapolated else 1e-9
    found = []
    for name, result in others:
        if moving:
            if len(result) != len(expected):
                found.append(f"{query}: {first} has {len(expected)} series, {name} has {len(result)}")
        elif result.keys() != expected.keys():
            found.append(f"{query}: {first} has {sorted(expected)}, {name} has {sorted(result)}")
        else:
            found += [
                f"{query} {labels}: {first} {value!r}, {name} {result[labels]!r}"
                for labels, value in expected.items()
                if not (math.isnan(value) and math.isnan(result[labels]))
                and not math.isclose(value, result[labels], rel_tol=tolerance, abs_tol=1e-12)
            ]
    return found


async def written_families(server: Prometheus) -> set[str]:
    """Return the names of the catalogue's families that the gateway has samples of."""
    names = await server.get("label/__name__/values", **{"match[]": '{job="gatewayz-backend"}'})
    return {spec.name for spec in CATALOGUE for name in names if re.fullmatch(f"{spec.name}(_bucket)?", name)}


async def compare_series(servers: dict[str, Prometheus], written: set[str]) -> tuple[int, list[str]]:
    """Compare the current samples of each family that rests without traffic; return how many, and what differs."""
    compared, problems = 0, []
    for family in sorted(written):
        if not MOVING.match(family):
            selector = f'{{__name__=~"{family}(_bucket|_sum|_count)?"}}'
            responses = await everywhere(servers, selector)
            compared += len(responses["otlp"])
            problems += differences(selector, {family}, responses)
    return compared, problems


async def compare_responses(
    servers: dict[str, Prometheus], queries: list[str], written: set[str], at_seconds: float
) -> tuple[int, list[str]]:
    """Compare the responses to each query; return how many have data, and what differs or should have data."""
    responded, problems = 0, []
    for query in queries:
        families = families_in(query)
        responses = await everywhere(servers, query, at_seconds)
        problems += differences(query, families, responses)
        if responses["otlp"]:
            responded += 1
        elif families <= written and not may_be_empty(query):
            problems.append(f"{query}: no result")
    return responded, problems


async def stored_twice(servers: dict[str, Prometheus]) -> list[str]:
    """Return the families that a server has under more than one job."""
    names = "|".join(spec.name for spec in DOCUMENTED_FAMILIES)
    query = f'count by (__name__) (count by (__name__, job) ({{__name__=~"({names})(_bucket|_sum|_count)?"}})) > 1'
    found = await everywhere(servers, query)
    return [f"{name}: {labels} under several jobs" for name, result in found.items() for labels in result]


async def test_otlp_remote_write_and_scrape_give_the_same_responses(
    binaries: dict[str, Path], tmp_path: Path, say: Callable[[str], None]
) -> None:
    async with three_ways(binaries, tmp_path) as (servers, gateway, bench):

        async def all_see_the_gateway() -> bool:
            return max([await server.age_seconds("fastapi_app_info") for server in servers.values()]) < 3

        assert await holds_within(all_see_the_gateway, SETTLE_SECONDS)
        # Series without a known label set are born with their first event. From here on all exist.
        sent = await send(gateway.url, bench.secret, rounds=2)
        await settled(servers, sent)
        born_seconds = time.time()
        await asyncio.sleep(2.0)  # two samples of every series before anything moves
        sent += await send(gateway.url, bench.secret, rounds=12, seconds=MAIN_SECONDS)
        await settled(servers, sent)

        written = await written_families(servers["scrape"])
        compared, problems = await compare_series(servers, written)
        every = [
            *(as_asked_here(query) for query in (*AS_WRITTEN, *REPLACED.values())),
            *(query for spec in CATALOGUE for query in spec.queries),
            *(query for _, query in (*panel_queries(), *variable_queries()) if is_of_the_window(query)),
        ]
        # `process_*` is what every server says of itself: whose it is, only `job` tells.
        asked = [query for query in dict.fromkeys(every) if "process_" not in query]
        # The window of the documented queries begins when all series are born, though its end is still to come.
        responded, more = await compare_responses(servers, asked, written, born_seconds + WINDOW_SECONDS)
        problems += more
        problems += await stored_twice(servers)

        say(f"{sent} requests; {compared} series equal; {responded} of {len(asked)} queries with data")
        say(
            f"without samples: {', '.join(spec.name for spec in DOCUMENTED_FAMILIES if spec.name not in written) or 'none'}"
        )
        assert not problems, "\n".join(problems)
        assert compared > 200
        for variable in OVERVIEW.variables:
            values = [await server.label_values(variable.family, variable.label_key) for server in servers.values()]
            assert values[0] == values[1] == values[2] != []
            say(f"variable {variable.name}: {', '.join(values[0])}")
        for name in ("otlp", "remote write"):
            assert await servers[name].get("label/deployment_environment_name/values") == ["test"]
            assert "otel_scope_name" not in await servers[name].get("labels")
        up = await everywhere(servers, 'up{job="gatewayz-backend"}')
        assert [list(result.values()) for result in up.values()] == [[1.0]] * 3
