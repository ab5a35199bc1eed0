"""Telemetry as the gateway sends it, for the console: a request's server span, its attempts, its log line, and its metrics.

`requests` makes any number of batches from a seed; each has new ids and times.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

PROVIDERS = ("openai", "anthropic", "mistral", "local")
MODELS = ("small", "large", "embed", "chat-long-name-2030")
ERRORS = ("rate_limited", "upstream_5xx", "connect_timeout", "first_byte_timeout", "upstream_quota")
NS = 1_000_000_000


def _pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value)


def resource(instance: int = 1) -> Resource:
    """Return a gateway's resource."""
    return Resource(
        attributes=_pairs(
            {
                "service.name": "gatewayz",
                "service.version": "0.2.0",
                "service.instance.id": f"instance-{instance}",
                "host.name": "bench",
                "process.pid": 100 + instance,
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
            }
        )
    )


class GatewayTraffic:
    """Makes batches. `spacing_ns` is the time between two requests, from `start_ns` on."""

    def __init__(self, seed: int, start_ns: int, spacing_ns: int) -> None:
        self._random = random.Random(seed)
        self._now_ns = start_ns
        self._spacing_ns = spacing_ns
        self._totals: dict[tuple[str, str, str], int] = {}
        self._start_ns = start_ns

    def batches(self, requests: int) -> tuple[ExportTraceServiceRequest, ExportLogsServiceRequest]:
        """Return the spans and the log lines of so many requests; two spans for most, three where an attempt failed."""
        traces, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
        spans = traces.resource_spans.add(resource=resource()).scope_spans.add()
        spans.scope.name = "gatewayz"
        records = logs.resource_logs.add(resource=resource()).scope_logs.add()
        records.scope.name = "gatewayz"
        for _ in range(requests):
            self._request(spans, records)
        return traces, logs

    def metrics(self, series: int) -> ExportMetricsServiceRequest:
        """Return one cumulative push of so many series, a quarter of them histograms."""
        push = ExportMetricsServiceRequest()
        scoped = push.resource_metrics.add(resource=resource()).scope_metrics.add()
        scoped.scope.name = "gatewayz"
        times = {"start_time_unix_nano": self._start_ns, "time_unix_nano": self._now_ns}
        for number in range(series):
            labels = _pairs({"provider": PROVIDERS[number % 4], "model": f"model-{number // 16}", "status": "success"})
            metric = scoped.metrics.add(name=f"bench_family_{number % 16}", unit="1")
            if number % 16 < 4:
                metric.histogram.aggregation_temporality = 2
                point = metric.histogram.data_points.add(attributes=labels, **times)
                point.explicit_bounds.extend((0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120))
                point.bucket_counts.extend(self._random.randrange(1_000) for _ in range(15))
                point.count, point.sum = sum(point.bucket_counts), self._random.random() * 1_000
            else:
                metric.sum.aggregation_temporality, metric.sum.is_monotonic = 2, True
                metric.sum.data_points.add(attributes=labels, as_double=self._random.random() * 1_000, **times)
        return push

    def _request(self, spans: Any, records: Any) -> None:
        rng = self._random
        self._now_ns += self._spacing_ns
        provider, model = rng.choice(PROVIDERS), rng.choice(MODELS)
        failed = rng.random() < 0.05
        trace_id, root_id = rng.randbytes(16), rng.randbytes(8)
        duration_ns = int(rng.lognormvariate(0, 0.6) * 0.4 * NS)
        inputs, outputs, cost_usd = rng.randrange(20, 4_000), rng.randrange(1, 800), rng.randrange(10**7) / NS
        error = rng.choice(ERRORS) if failed else None
        end_ns = self._now_ns + duration_ns
        for number in (1, 2) if failed else (1,):
            span = spans.spans.add(
                trace_id=trace_id,
                span_id=rng.randbytes(8),
                parent_span_id=root_id,
                name=f"chat {model}",
                kind=3,
                start_time_unix_nano=self._now_ns + number * 1_000_000,
                end_time_unix_nano=end_ns - 1_000_000,
                flags=0x101,
            )
            attributes: dict[str, Any] = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": model,
                "gen_ai.request.stream": True,
                "gatewayz.upstream_model": f"{model}-upstream",
                "gatewayz.attempt.number": number,
                "peer.service": provider,
                "server.address": "127.0.0.1",
                "server.port": 8_001,
                "gatewayz.attempt.status": "error" if error and number == 1 else "success",
            }
            if error and number == 1:
                attributes |= {"error.type": error, "gatewayz.fault": "provider", "http.response.status_code": 429}
                span.status.code = 2
            else:
                attributes |= {
                    "http.response.status_code": 200,
                    "gen_ai.response.model": f"{model}-upstream",
                    "gen_ai.response.id": f"chatcmpl-{rng.randrange(10**12)}",
                    "gen_ai.response.time_to_first_chunk": rng.random(),
                    "gen_ai.usage.input_tokens": inputs,
                    "gen_ai.usage.output_tokens": outputs,
                    "gatewayz.cost_usd": cost_usd,
                    "gatewayz.cost_source": "priced",
                }
            span.attributes.extend(_pairs(attributes))
        root = spans.spans.add(
            trace_id=trace_id,
            span_id=root_id,
            name="POST /v1/chat/completions",
            kind=2,
            start_time_unix_nano=self._now_ns,
            end_time_unix_nano=end_ns,
            flags=0x101,
        )
        root.attributes.extend(
            _pairs(
                {
                    "http.request.method": "POST",
                    "url.scheme": "http",
                    "http.route": "/v1/chat/completions",
                    "url.path": "/v1/chat/completions",
                    "network.protocol.version": "1.1",
                    "gatewayz.api_key.id": f"key_{rng.randrange(50)}",
                    "gatewayz.plan": "free",
                    "gatewayz.model": model,
                    "gatewayz.call.status": "success",
                    "gatewayz.call.attempts": 2 if failed else 1,
                    "gatewayz.provider": provider,
                    "gatewayz.cost_usd": cost_usd,
                    "gatewayz.overhead_seconds": 0.0012,
                    "http.response.status_code": 200,
                    "http.response.body.size": 5_000,
                }
            )
        )
        body = {
            "timestamp": "2030-01-01T00:00:00.000000Z",
            "level": "info",
            "logger": "gatewayz.request",
            "message": "POST /v1/chat/completions 200",
            "method": "POST",
            "path": "/v1/chat/completions",
            "status": 200,
            "outcome": "ok",
            "duration_ms": round(duration_ns / 1e6, 3),
            "overhead_ms": 1.2,
            "response_bytes": 5_000,
            "key_id": f"key_{rng.randrange(50)}",
            "plan": "free",
            "operation": "chat",
            "model": model,
            "provider": provider,
            "call_status": "success",
            "stream": True,
            "cached": False,
            "attempts": 2 if failed else 1,
            "input_tokens": inputs,
            "output_tokens": outputs,
            "cost_usd": cost_usd,
            "cost_source": "priced",
        }
        records.log_records.add(
            time_unix_nano=end_ns,
            observed_time_unix_nano=end_ns,
            severity_number=9,
            severity_text="info",
            body=AnyValue(string_value=json.dumps(body, separators=(",", ":"))),
            trace_id=trace_id,
            span_id=root_id,
            flags=1,
        )


def uploads(traffic: GatewayTraffic, requests: int, each: int) -> Iterator[tuple[str, bytes, int]]:
    """Yield path, body and number of items of as many uploads as these requests need."""
    for _ in range(-(-requests // each)):
        traces, logs = traffic.batches(each)
        yield "/v1/traces", traces.SerializeToString(), len(traces.resource_spans[0].scope_spans[0].spans)
        yield "/v1/logs", logs.SerializeToString(), each
