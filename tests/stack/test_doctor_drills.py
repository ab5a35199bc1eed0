"""The doctor against the real servers: each way to break the pipeline is named where it is, and nothing else is blamed.

One stack and one gateway serve all drills; a drill restarts the one server that it breaks. The
clock of a gateway is shifted inside its process: its Python reads the time through a
`sitecustomize` that adds to it, as if the host's clock were wrong.
"""

import asyncio
import json
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import msgspec
import pytest

from app.doctor.checks import CHECKS
from app.doctor.findings import Finding, State, judge_all
from app.doctor.observe import observe
from app.doctor.settings import Settings, otlp_from
from app.doctor.web import Web
from bench.environment import Bench, bench_environment
from compose.native.ports import free_ports
from compose.native.servers import COLLECTOR_FILES, ROOT, Choices
from compose.native.stack import Stack, make_stack, running_stack
from otel.delivery.build import build_sender
from tests.stack.gateway_process import GatewayProcess

PATIENCE_SECONDS = 8.0
"""What never comes is waited for this long."""

HEALTHY_PATIENCE_SECONDS = 60.0
"""Where everything comes the doctor ends by itself: a bound for a slow machine."""

SHIFT_SECONDS = 90
NOT_RUN_HERE = {"grafana.reachable", "grafana.data_sources", "grafana.links"}
TAKEN = {"export.traces_taken", "export.metrics_taken", "export.logs_taken"}
SHIFTED_CLOCK = """
import time
def shifted(read, by):
    return lambda: read() + by
time.time = shifted(time.time, {seconds})
time.time_ns = shifted(time.time_ns, {seconds} * 1_000_000_000)
"""


class Drill:
    """The running pipeline, and ways to break it that mend themselves."""

    def __init__(
        self, stack: Stack, binaries: Mapping[str, Path], choices: Choices, gateway: GatewayProcess, bench: Bench
    ) -> None:
        self.stack = stack
        self.gateway = gateway
        self.bench = bench
        self._binaries = binaries
        self._choices = choices

    @property
    def push(self) -> dict[str, str]:
        """What a gateway needs to push, often enough for a drill."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.stack.url("otelcol"), "OTEL_METRIC_EXPORT_INTERVAL": "1000"}

    def addresses(self, gateway_url: str | None = None) -> dict[str, str]:
        ports = self.stack.ports
        return {
            "gateway": gateway_url or self.gateway.url,
            "collector_health": f"http://127.0.0.1:{ports.collector_health}",
            "collector_metrics": f"http://127.0.0.1:{ports.collector_metrics}",
            **{name: self.stack.url(name) for name in ("prometheus", "loki", "tempo", "alertmanager")},
            "grafana": "",
        }

    async def findings(
        self,
        *,
        gateway_url: str | None = None,
        otlp_url: str | None = None,
        otel: Mapping[str, str] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> dict[str, Finding]:
        """Run the doctor, from the same parts as its command; `otel` are the variables it is started with."""
        settings = Settings(
            addresses=self.addresses(gateway_url),
            otlp=otlp_from(otlp_url or self.stack.url("otelcol"), otel or {}),
            api_key=self.bench.secret,
            timeout_seconds=patience_seconds,
        )
        async with Web(settings.request_seconds) as web:
            facts = await observe(settings, web, make_sender=build_sender, random_bytes=secrets.token_bytes, log=print)
        return {finding.check: finding for finding in judge_all(CHECKS, facts)}

    async def broken(self, **where: Any) -> dict[str, str]:
        """Return what is broken, and the fix that is proposed, by check."""
        findings = await self.findings(**where)
        return {name: f"{each.found} | {each.fix}" for name, each in findings.items() if each.state is State.BROKEN}

    @asynccontextmanager
    async def changed(
        self, server: str, extra: Mapping[str, str] | None = None, without: str = "", **choices: Any
    ) -> AsyncIterator[None]:
        """Run one server with another configuration; `without` is an argument that it starts without."""
        choice = msgspec.structs.replace(self._choices, **choices)
        await self.stack.stop(server)
        other = make_stack(self._binaries, self.stack.data, self.stack.ports, choice, extra)
        process = other[server]
        command = tuple(part for part in process.server.command if part != without)
        process.server = msgspec.structs.replace(process.server, command=command)
        try:
            await other.start(server)
            yield
        finally:
            await other.stop(server)
            make_stack(self._binaries, self.stack.data, self.stack.ports, self._choices)  # the files as they were
            await self.stack.start(server)

    @asynccontextmanager
    async def other_gateway(self, otel: Mapping[str, str]) -> AsyncIterator[str]:
        """Run a second gateway with these variables."""
        async with self.bench.gateway(self.bench.write_config(), otel) as child:
            yield child.url

    async def send(self, count: int) -> None:
        """Send requests, so that something is on the way."""
        async with aiohttp.ClientSession() as session:
            for _ in range(count):
                async with session.get(f"{self.gateway.url}/v1/models") as response:
                    await response.read()


def prometheus_file(folder: Path, name: str, *changes: tuple[str, str], source: str = "prometheus.yml") -> Path:
    """Write Prometheus' configuration with changes, each of which must change something."""
    text = (ROOT / "compose" / "prometheus" / source).read_text()
    for old, new in (("scrape_interval: 15s", "scrape_interval: 1s"), *changes):
        assert old in text, old
        text = text.replace(old, new)
    path = folder / f"prometheus-{name}.yml"
    path.write_text(text)
    return path


def overlay(folder: Path, name: str, text: str) -> Sequence[str | Path]:
    """Write a further file of the Collector; return all of them."""
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return (*COLLECTOR_FILES, path)


@asynccontextmanager
async def store_that_responds(status: int) -> AsyncIterator[str]:
    """Run a store that takes nothing."""

    async def response(request: aiohttp.web.BaseRequest) -> aiohttp.web.Response:
        await request.read()
        return aiohttp.web.Response(status=status)

    runner = aiohttp.web.ServerRunner(aiohttp.web.Server(response))
    await runner.setup()
    try:
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drills")


@pytest.fixture(scope="module")
async def drill(binaries: dict[str, Path], folder: Path) -> AsyncIterator[Drill]:
    ports = free_ports()
    async with bench_environment(folder) as bench:
        endpoint = f"http://127.0.0.1:{ports.collector_otlp_http}"
        gateway = GatewayProcess(
            bench,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "OTEL_METRIC_EXPORT_INTERVAL": "1000",
                "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "64",  # each fits the small queue of a drill
            },
        )
        choices = Choices(
            gateway_address=gateway.url.removeprefix("http://"), prometheus_file=prometheus_file(folder, "as it is")
        )
        async with running_stack(binaries, folder / "stack", ports, choices) as stack:
            await gateway.start()
            try:
                yield Drill(stack, binaries, choices, gateway, bench)
            finally:
                await gateway.stop()
                for name in stack.names:
                    await stack.kill(name)  # nothing of it is kept, and Tempo takes its time to end by itself


async def test_a_healthy_pipeline_has_no_finding(drill: Drill) -> None:
    findings = await drill.findings(patience_seconds=HEALTHY_PATIENCE_SECONDS)
    not_ok = {name: each.found for name, each in findings.items() if each.state is not State.OK}
    assert set(not_ok) == NOT_RUN_HERE, not_ok


async def test_the_command_says_so_by_its_exit_code(drill: Drill) -> None:
    flags = [part for name, url in drill.addresses().items() for part in (f"--{name.replace('_', '-')}", url or "off")]
    arguments = ["app", "doctor", *flags, "--otlp", drill.stack.url("otelcol"), "--json", "--timeout", "20"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "GATEWAYZ_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments,
        cwd=ROOT, env=environ | {"GATEWAYZ_DOCTOR_KEY": drill.bench.secret}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    document = json.loads(out)
    assert document["broken"] == []
    assert process.returncode == 0


@pytest.mark.parametrize("server", ["prometheus", "loki", "tempo", "alertmanager", "otelcol"])
async def test_a_server_that_is_down(drill: Drill, server: str) -> None:
    await drill.stack.kill(server)
    try:
        broken = await drill.broken()
    finally:
        await drill.stack.start(server)
    assert set(broken) == {"collector.reachable" if server == "otelcol" else f"{server}.reachable"}, broken


async def test_a_collector_that_hangs(drill: Drill) -> None:
    drill.stack.freeze("otelcol")
    try:
        broken = await drill.broken()
    finally:
        drill.stack.thaw("otelcol")
    assert set(broken) == {"collector.reachable"}, broken


async def test_the_gateway_is_down(drill: Drill) -> None:
    await drill.gateway.stop()
    try:
        broken = await drill.broken()
    finally:
        await drill.gateway.start()
    assert set(broken) == {"gateway.reachable"}, broken


@pytest.fixture(scope="module")
async def at_gateways(drill: Drill, folder: Path) -> dict[str, dict[str, str]]:
    """What is broken at each gateway that is set up in a wrong way; all of them at once."""
    shifted = folder / "shifted"
    shifted.mkdir()
    (shifted / "sitecustomize.py").write_text(SHIFTED_CLOCK.format(seconds=SHIFT_SECONDS))

    async def broken_at(otel: Mapping[str, str], number: int) -> dict[str, str]:
        await asyncio.sleep(number * 0.1)  # what is not pushed is told apart by the time at which its process started
        async with drill.other_gateway(otel) as url:
            return await drill.broken(gateway_url=url)

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        variables = {
            "wrong port": drill.push | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{nobody.getsockname()[1]}"},
            "wrong server": drill.push | {"OTEL_EXPORTER_OTLP_ENDPOINT": drill.stack.url("prometheus")},
            "nothing pushed": {},
            "no logs": drill.push | {"OTEL_LOGS_EXPORTER": "none"},
            "nothing sampled": drill.push | {"OTEL_TRACES_SAMPLER": "always_off"},
            "wrong clock": drill.push | {"PYTHONPATH": str(shifted)},
        }
        found = await asyncio.gather(*(broken_at(otel, number) for number, otel in enumerate(variables.values())))
    return dict(zip(variables, found, strict=True))


async def test_a_gateway_that_pushes_to_a_wrong_port(at_gateways: dict[str, dict[str, str]]) -> None:
    broken = at_gateways["wrong port"]
    assert set(broken) == TAKEN, broken
    assert all("where no Collector listens" in said for said in broken.values())


async def test_a_gateway_that_pushes_to_something_else(at_gateways: dict[str, dict[str, str]]) -> None:
    broken = at_gateways["wrong server"]
    assert set(broken) == TAKEN, broken
    assert all("sends elsewhere" in said for said in broken.values())


async def test_a_gateway_that_pushes_nothing(at_gateways: dict[str, dict[str, str]]) -> None:
    assert set(at_gateways["nothing pushed"]) == {"export.traces_on", "export.metrics_on", "export.logs_on"}


async def test_a_gateway_that_pushes_no_logs(at_gateways: dict[str, dict[str, str]]) -> None:
    assert set(at_gateways["no logs"]) == {"export.logs_on"}


async def test_a_gateway_that_samples_nothing(at_gateways: dict[str, dict[str, str]]) -> None:
    broken = at_gateways["nothing sampled"]
    assert set(broken) == {"export.traces_taken"}, broken
    assert "OTEL_TRACES_SAMPLER" in broken["export.traces_taken"]


async def test_a_gateway_whose_clock_is_ahead(at_gateways: dict[str, dict[str, str]]) -> None:
    broken = at_gateways["wrong clock"]
    assert set(broken) == {"clock.gateway"}, broken
    assert any(f"{SHIFT_SECONDS + off} s ahead" in broken["clock.gateway"] for off in (-1, 0, 1))


async def test_a_wrong_otlp_address_given_to_the_doctor(drill: Drill) -> None:
    broken = await drill.broken(otlp_url=drill.stack.url("alertmanager"))
    assert set(broken) == {"collector.otlp"}, broken


async def test_a_gateway_without_the_collectors_token(drill: Drill, folder: Path) -> None:
    files = overlay(
        folder,
        "tokens",
        """
extensions: { bearertokenauth: { scheme: Bearer, token: "${env:COLLECTOR_TOKEN}" } }
receivers: { otlp: { protocols: { http: { auth: { authenticator: bearertokenauth } } } } }
service:
  extensions: [health_check, file_storage/metrics, file_storage/traces, file_storage/logs, bearertokenauth]
""",
    )
    async with drill.changed("otelcol", {"COLLECTOR_TOKEN": "s3cret"}, collector_files=files):
        broken = await drill.broken()
        assert set(broken) == TAKEN, broken
        assert all("OTEL_EXPORTER_OTLP_HEADERS" in said for said in broken.values())
        token = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret"}
        async with drill.other_gateway(drill.push | token) as url:
            assert await drill.broken(gateway_url=url, patience_seconds=HEALTHY_PATIENCE_SECONDS) == {}


async def test_a_collector_without_a_traces_pipeline(drill: Drill) -> None:
    files = tuple(name for name in COLLECTOR_FILES if name != "traces.yaml")
    over_grpc = {
        "otlp_url": f"http://127.0.0.1:{drill.stack.ports.collector_otlp_grpc}",
        "otel": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    }
    async with drill.changed("otelcol", collector_files=files):
        found = await asyncio.gather(drill.broken(), drill.broken(**over_grpc))
    assert [set(broken) for broken in found] == [{"collector.traces_pipeline"}] * 2, found


async def test_lines_without_the_job_label(drill: Drill, folder: Path) -> None:
    text = (ROOT / "collector-config" / "logs.yaml").read_text()
    assert "key: job," in text
    path = folder / "logs-without-job.yaml"
    path.write_text(text.replace("key: job,", "key: task,"))
    files = tuple(path if name == "logs.yaml" else name for name in COLLECTOR_FILES)
    async with drill.changed("otelcol", collector_files=files):
        broken = await drill.broken()
    assert set(broken) == {"loki.job_label"}, broken


async def test_a_family_that_is_renamed_on_the_way(drill: Drill, folder: Path) -> None:
    files = overlay(
        folder,
        "rename",
        """
processors:
  transform/rename:
    metric_statements:
      - { context: metric, statements: ['set(name, "http_requests") where name == "fastapi_requests_total"'] }
service: { pipelines: { metrics: { processors: [memory_limiter, transform/rename] } } }
""",
    )
    async with drill.changed("otelcol", collector_files=files):
        broken = await drill.broken()
    assert set(broken) == {"prometheus.names"}, broken
    assert "fastapi_requests_total; instead: http_requests" in broken["prometheus.names"]
    assert "processor" in broken["prometheus.names"]


async def test_a_store_that_refuses_for_good(drill: Drill) -> None:
    async with store_that_responds(400) as url, drill.changed("otelcol", {"LOKI_URL": url}):
        broken = await drill.broken()
    assert set(broken) == {"collector.logs_sent"}, broken
    assert "permanently" in broken["collector.logs_sent"]


async def test_a_store_that_takes_nothing_for_now(drill: Drill) -> None:
    async with store_that_responds(503) as url, drill.changed("otelcol", {"LOKI_URL": url}):
        broken = await drill.broken()
    assert set(broken) == {"collector.logs_sent"}, broken
    assert "do not leave it" in broken["collector.logs_sent"]


async def test_a_queue_that_is_full(drill: Drill, folder: Path) -> None:
    small = "exporters: { otlp_http/loki: { sending_queue: { queue_size: 40000 } } }\n"
    files = overlay(folder, "small-queue", small)
    async with store_that_responds(503) as url, drill.changed("otelcol", {"LOKI_URL": url}, collector_files=files):
        await drill.send(250)
        broken = await drill.broken()
    assert set(broken) == {"collector.logs_sent"}, broken
    assert "is full" in broken["collector.logs_sent"]


async def test_a_prometheus_that_takes_no_otlp(drill: Drill) -> None:
    async with drill.changed("prometheus", without="--web.enable-otlp-receiver"):
        broken = await drill.broken()
    assert set(broken) == {"prometheus.otlp_receiver"}, broken


async def test_a_wrong_translation_strategy(drill: Drill, folder: Path) -> None:
    path = prometheus_file(folder, "suffixes", ("UnderscoreEscapingWithoutSuffixes", "UnderscoreEscapingWithSuffixes"))
    async with drill.changed("prometheus", prometheus_file=path):
        broken = await drill.broken()
    assert set(broken) == {"prometheus.names"}, broken
    assert "translation_strategy: UnderscoreEscapingWithoutSuffixes" in broken["prometheus.names"]


async def test_a_prometheus_that_only_scrapes_is_no_finding(drill: Drill, folder: Path) -> None:
    timeout = ("scrape_timeout: 10s", "scrape_timeout: 1s")
    path = prometheus_file(folder, "scrape-only", timeout, source="prometheus.scrape-only.yml")
    async with drill.other_gateway(drill.push | {"OTEL_METRICS_EXPORTER": "none"}) as url:
        address = url.removeprefix("http://")
        async with drill.changed("prometheus", prometheus_file=path, gateway_address=address):
            assert await drill.broken(gateway_url=url, patience_seconds=HEALTHY_PATIENCE_SECONDS) == {}


async def test_no_scrape_job_no_rules_and_no_alertmanager(drill: Drill, folder: Path) -> None:
    path = prometheus_file(
        folder,
        "bare",
        ("job_name: gatewayz-backend", "job_name: gateway"),
        ("rule_files: [rules/*.yml]", "rule_files: []"),
        ("files: [targets/alertmanager.yml] }]\n\nscrape", "files: [targets/nobody.yml] }]\n\nscrape"),
    )
    async with drill.changed("prometheus", prometheus_file=path):
        broken = await drill.broken()
    assert set(broken) == {"prometheus.target", "alerting.rules", "alertmanager.connected"}, broken


async def test_after_all_that_it_is_healthy_again(drill: Drill) -> None:
    assert await drill.broken(patience_seconds=HEALTHY_PATIENCE_SECONDS) == {}


async def test_samples_that_are_scraped_and_pushed(drill: Drill, folder: Path) -> None:
    """The last one: what was stored twice stays visible for five minutes."""
    drop = "    metric_relabel_configs: [{ source_labels: [__name__], regex: .+, action: drop }]\n"
    async with drill.changed("prometheus", prometheus_file=prometheus_file(folder, "twice", (drop, ""))):
        broken = await drill.broken()
    assert set(broken) == {"prometheus.counted_once"}, broken
