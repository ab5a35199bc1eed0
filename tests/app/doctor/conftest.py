"""A scripted pipeline: one server on loopback that responds for every server of it, below a path each, with scripted faults."""

import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import msgspec
import pytest
from aiohttp import web

from app.doctor.check_gateway import sample_names
from app.doctor.checks import CHECKS
from app.doctor.facts import Facts
from app.doctor.findings import Finding, State, judge_all
from app.doctor.observe import observe
from app.doctor.settings import DEFAULTS, SIGNALS, Settings, otlp_from
from app.doctor.web import Web
from otel.catalogue import CATALOGUE
from otel.catalogue.spec import Kind
from otel.delivery.build import build_sender

TRACE_ID = "ab" * 16
INSTANCE = "6d6a8f0e"
COLLECTED = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}
HISTOGRAM = '{name}_bucket{{{labels}le="+Inf"}} 1\n{name}_sum{{{labels}}} 1\n{name}_count{{{labels}}} 1\n'
GRAFANA = [
    {"type": "prometheus", "uid": "p", "jsonData": {"exemplarTraceIdDestinations": [{"datasourceUid": "t"}]}},
    {"type": "loki", "uid": "l", "jsonData": {"derivedFields": [{"datasourceUid": "t"}]}},
    {
        "type": "tempo",
        "uid": "t",
        "jsonData": {"tracesToLogsV2": {"datasourceUid": "l"}, "tracesToMetrics": {"datasourceUid": "p"}},
    },
]


class ScriptedPipeline:
    """Healthy, until its attributes say otherwise. `down`, `skew_seconds`: by server. `responses`: (status, body) by path."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.down: set[str] = set()
        self.skew_seconds: dict[str, float] = {}
        self.responses: dict[str, tuple[int, Any]] = {}
        self.pushed = set(SIGNALS)
        self.is_refused = False
        self.scrapes = 0
        self.scrapes_by_an_old_collection = 1
        self.refused_before_that = 0
        self.lost_on_the_way: set[str] = set()
        self.target_queries = 0
        self.target_queries_without_a_target = 0
        self.process_queries = 0
        self.process_queries_without_samples = 0
        self.extra_gateway_lines = ""
        self.extra_collector_lines = ""
        self.stored_name: Callable[[str], str | None] = lambda name: name
        self.line_labels = {"job": "gatewayz", "service_name": "gatewayz"}
        self.jobs = {"fastapi_app_info": ["gatewayz"]}
        self.strategy = "UnderscoreEscapingWithoutSuffixes"
        self.seen: list[web.Request] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        server, _, path = request.path.lstrip("/").partition("/")
        headers = {"Date": formatdate(time.time() + self.skew_seconds.get(server, 0.0), usegmt=True)}
        if server in self.down:
            request.transport.abort()
            return web.Response()
        if request.path in self.responses:
            status, body = self.responses[request.path]
            return _response(status, body, headers)
        if server == "gateway" and path == "v1/models":
            self.requests += 1
            headers["x-trace-id"] = request.headers["traceparent"].split("-")[1]
        body = await getattr(self, f"_{server}")(path, request)
        return _response(404 if body is None else 200, body, headers)

    async def _gateway(self, path: str, request: web.Request) -> Any:
        self.scrapes += path == "metrics"
        return self.gateway_metrics() if path == "metrics" else {"status": "ready", "dependencies": {}}

    def gateway_metrics(self) -> str:
        lines = []
        for spec in CATALOGUE:
            if spec.name.startswith("gatewayz_telemetry_") or spec.name == "process_start_time_seconds":
                continue
            if any(not label.values for label in spec.labels) and not spec.name.startswith("fastapi"):
                continue
            lines.append(f"# TYPE {spec.name} {spec.kind.prometheus_type}\n")
            labels = "".join(f'{label.key}="{label.values[0] if label.values else "x"}",' for label in spec.labels)
            if spec.kind is Kind.HISTOGRAM:
                lines.append(HISTOGRAM.format(name=spec.name, labels=labels))
            elif spec.name == "fastapi_requests_total":
                marked = 'method="GET",path="/v1/models",status_code="200"'
                lines.append(f'{spec.name}{{app_name="gatewayz",{marked}}} {7 + self.requests}\n')
            else:
                lines.append(f"{spec.name}{{{labels}}} 0\n")
        lines.append("process_start_time_seconds 1.5\n")
        is_old = self.scrapes <= self.scrapes_by_an_old_collection
        lines.append(f"gatewayz_telemetry_scrape_duration_seconds_count {4 if is_old else 4 + self.scrapes}\n")
        if self.refused_before_that:
            refused = 'gatewayz_telemetry_dropped_total{signal="metrics",reason="rejected"}'
            lines.append(f"{refused} {0 if is_old else self.refused_before_that}\n")
        taken = 10 + (0 if self.is_refused else 3 * self.requests)
        lines += [f'gatewayz_telemetry_exported_total{{signal="{signal}"}} {taken}\n' for signal in sorted(self.pushed)]
        return "".join(lines) + self.extra_gateway_lines.replace("N", str(self.requests))

    async def _otlp(self, path: str, request: web.Request) -> Any:
        return b""

    async def _collector_health(self, path: str, request: web.Request) -> Any:
        return {}

    async def _collector_metrics(self, path: str, request: web.Request) -> Any:
        lines = []
        for signal, items in COLLECTED.items():
            lines.append(f'otelcol_receiver_accepted_{items}{{receiver="otlp"}} {5 + self.requests}\n')
            lines.append(f'otelcol_exporter_sent_{items}{{exporter="{signal}"}} {5 + self.requests}\n')
            lines.append(f'otelcol_exporter_queue_size{{exporter="{signal}",data_type="{signal}"}} 0\n')
            lines.append(f'otelcol_exporter_queue_capacity{{exporter="{signal}",data_type="{signal}"}} 100\n')
        return "".join(lines) + self.extra_collector_lines.replace("N", str(self.requests))

    async def _prometheus(self, path: str, request: web.Request) -> Any:
        if path == "api/v1/query":
            rows = [{"metric": m, "value": [0, str(v)]} for m, v in self._vector(request.query["query"])]
            return {"data": {"resultType": "vector", "result": rows}}
        self.target_queries += path == "api/v1/targets"
        target = {
            "labels": {"job": "gatewayz-backend"},
            "scrapeUrl": "http://g/metrics",
            "health": "up",
            "lastError": "",
        }
        data = {
            "status/flags": {"web.enable-otlp-receiver": "true"},
            "status/config": {"yaml": f"otlp:\n  translation_strategy: {self.strategy}\n"},
            "rules": {"groups": [{"rules": [{"name": "HighErrorRate", "health": "ok"}]}]},
            "alertmanagers": {"activeAlertmanagers": [{"url": "http://a"}]},
            "status/tsdb": {"headStats": {"numSeries": 10}, "seriesCountByMetricName": [{"name": "up", "value": 6}]},
            "targets": {"activeTargets": [target] * (self.target_queries > self.target_queries_without_a_target)},
        }
        return {} if path == "-/ready" else {"data": data[path.removeprefix("api/v1/")]}

    def _vector(self, query: str) -> list[tuple[dict[str, str], float]]:
        if query.startswith("count by (__name__, job)"):
            return [({"__name__": name, "job": job}, 1) for name, jobs in self.jobs.items() for job in jobs]
        if "metrics" in self.lost_on_the_way or not self.requests:
            return []
        if query.startswith("process_start_time_seconds =="):
            self.process_queries += 1
            return [({"instance": INSTANCE}, 1.5)] * (self.process_queries > self.process_queries_without_samples)
        if query.startswith("fastapi_app_info unless"):
            return []
        assert f'instance="{INSTANCE}"' in query
        if query.startswith("count by (__name__)"):
            names = {name for spec in CATALOGUE for name in sample_names(spec)}
            return [({"__name__": stored}, 1) for name in sorted(names) if (stored := self.stored_name(name))]
        return (
            [({}, 7 + self.requests)] if self.stored_name("fastapi_requests_total") == "fastapi_requests_total" else []
        )

    async def _loki(self, path: str, request: web.Request) -> Any:
        if path == "ready":
            return {}
        if path == "loki/api/v1/labels":
            return {"data": ["__stream_shard__", *self.line_labels]}
        selector, _, rest = request.query["query"].partition(" | json | ")
        found = any(selector in (f'{{{k}="{v}"}}', f'{{{k}=~".+"}}') for k, v in self.line_labels.items())
        if not found or "logs" in self.lost_on_the_way or f'trace_id="{TRACE_ID}"' != rest:
            return {"data": {"result": []}}
        return {"data": {"result": [{"stream": self.line_labels, "values": [["1", "{}"]]}]}}

    async def _tempo(self, path: str, request: web.Request) -> Any:
        if path == "ready":
            return {}
        if path != f"api/traces/{TRACE_ID}" or "traces" in self.lost_on_the_way:
            return None
        return {"batches": [{"scopeSpans": [{"spans": [{}, {}]}]}]}

    async def _alertmanager(self, path: str, request: web.Request) -> Any:
        if path == "-/ready":
            return {}
        return {"config": {"original": "receivers:\n- name: webhook\n  webhook_configs:\n  - url_file: x\n"}}

    async def _grafana(self, path: str, request: web.Request) -> Any:
        return {} if path == "api/health" else GRAFANA

    def settings(self, **changes: Any) -> Settings:
        settings = Settings(
            addresses={name: f"{self.url}/{name}" for name in DEFAULTS},
            otlp=otlp_from(f"{self.url}/otlp", {}),
            timeout_seconds=12.0,
            poll_seconds=0.0,
        )
        return msgspec.structs.replace(settings, **changes)

    async def observe(self, **changes: Any) -> Facts:
        """Look at it by a clock that moves when it is read: rounds are counted, not timed."""
        settings = self.settings(**changes)
        ticks = itertools.count()
        logged: list[str] = []
        async with Web(10.0) as client:
            return await observe(
                settings,
                client,
                make_sender=build_sender,
                random_bytes=lambda count: b"\xab" * count,
                log=logged.append,
                clock=lambda: next(ticks) * 0.25,
            )

    async def findings(self, **changes: Any) -> dict[str, Finding]:
        return {finding.check: finding for finding in judge_all(CHECKS, await self.observe(**changes))}

    async def broken(self, **changes: Any) -> set[str]:
        return {name for name, finding in (await self.findings(**changes)).items() if finding.state is State.BROKEN}


def _response(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    if isinstance(body, str):
        return web.Response(status=status, text=body, headers=headers)
    return web.Response(
        status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode(), headers=headers
    )


@asynccontextmanager
async def _running(pipeline: ScriptedPipeline) -> AsyncIterator[None]:
    runner = web.ServerRunner(web.Server(pipeline.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    pipeline.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def pipeline() -> AsyncIterator[ScriptedPipeline]:
    scripted = ScriptedPipeline()
    async with _running(scripted):
        yield scripted
