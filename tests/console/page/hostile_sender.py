"""A sender whose every text is markup, script or worse: spans, log records and metrics over OTLP, some in the gateway's own words."""

import json
from typing import Any, Final

import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

RAN: Final = "window.ran=1"
_TEMPLATES: Final = (
    f"<script>{RAN}</script>",
    f"<img src=x onerror={RAN}>",
    f"<svg/onload={RAN}>",
    f"\"><iframe srcdoc='<script>parent.{RAN}</script>'>",
    f"'-({RAN})-'",
    f"javascript:{RAN}",
    f"data:text/html,<script>{RAN}</script>",
    f"</title><body onload={RAN}>",
    f"<a href=javascript:{RAN}>open</a>",
    f"<style>@import '//elsewhere.invalid';*{{background:url(javascript:{RAN})}}</style>",
    f"{{{{constructor.constructor('{RAN}')()}}}}",
    f"${{{RAN}}}",
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={RAN}>",
    f"\u202e{RAN}\u2066<b>",
    "__proto__",
    "constructor",
    f"<base href=//elsewhere.invalid><script src=/x>{RAN}</script>",
    f"]]><x:script xmlns:x='http://www.w3.org/1999/xhtml'>{RAN}</x:script>",
    "\x00\x1b[31m\x7f" + RAN,
    "W" * 2_000,
)
STRINGS: Final = tuple(f"{template}{number}" for number in range(50) for template in _TEMPLATES)
"""1 000 of them."""

TRACE_ID: Final = bytes(range(16))
SPANS: Final = 20
FAMILIES: Final = 20


class HostileSender:
    """Sends every signal. `now_ns` is the time that it claims, in nanoseconds of the Unix epoch."""

    def __init__(self, otlp_url: str, now_ns: int) -> None:
        self._url = otlp_url
        self._now_ns = now_ns
        self._next = 0

    def send(self) -> None:
        """Send all of it; raises where the console refuses a request."""
        self._post("traces", self._traces())
        self._post("logs", self._logs())
        self._post("metrics", self._metrics())

    def _post(self, signal: str, message: Any) -> None:
        headers = {"content-type": "application/x-protobuf"}
        response = httpx.post(
            f"{self._url}/v1/{signal}", content=message.SerializeToString(), headers=headers, timeout=60
        )
        response.raise_for_status()

    def _text(self) -> str:
        self._next += 1
        return STRINGS[self._next % len(STRINGS)]

    def _pair(self, key: str | None = None) -> KeyValue:
        return KeyValue(key=key or self._text(), value=AnyValue(string_value=self._text()))

    def _resource(self) -> Resource:
        return Resource(attributes=[self._pair("service.name"), self._pair("service.instance.id"), self._pair()])

    def _traces(self) -> ExportTraceServiceRequest:
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add(resource=self._resource())
        scoped = group.scope_spans.add()
        scoped.scope.name = self._text()
        for number in range(SPANS):
            span = scoped.spans.add(
                trace_id=TRACE_ID,
                span_id=(number + 1).to_bytes(8, "big"),
                parent_span_id=b"" if number == 0 else (1).to_bytes(8, "big"),
                name=self._text(),
                kind=3,
                start_time_unix_nano=self._now_ns + number * 1_000_000,
                end_time_unix_nano=self._now_ns + (number + 5) * 1_000_000,
                attributes=[self._pair() for _ in range(len(STRINGS) // SPANS)],
            )
            span.status.code = 2
            span.status.message = self._text()
            span.events.add(name=self._text(), time_unix_nano=span.start_time_unix_nano, attributes=[self._pair()])
            span.links.add(trace_id=TRACE_ID, span_id=b"\x01" * 8, attributes=[self._pair()])
            for key in ("gen_ai.provider.name", "gen_ai.request.model", "error.type", "gatewayz.fault"):
                span.attributes.append(self._pair(key))
        return request

    def _logs(self) -> ExportLogsServiceRequest:
        request = ExportLogsServiceRequest()
        scoped = request.resource_logs.add(resource=self._resource()).scope_logs.add()
        scoped.scope.name = self._text()
        for number in range(40):
            body = self._request_line() if number % 2 else self._text()
            scoped.log_records.add(
                time_unix_nano=self._now_ns + number,
                severity_number=17,
                severity_text=self._text(),
                body=AnyValue(string_value=body),
                attributes=[self._pair(), self._pair()],
                trace_id=TRACE_ID,
                span_id=(1).to_bytes(8, "big"),
            )
        return request

    def _request_line(self) -> str:
        """Return a line in the gateway's words whose every text is hostile."""
        names = (
            "message",
            "method",
            "path",
            "outcome",
            "model",
            "provider",
            "error_kind",
            "key_id",
            "plan",
            "operation",
        )
        texts = {name: self._text() for name in names}
        return json.dumps(
            {
                "logger": "gatewayz.request",
                "status": 502,
                "duration_ms": 5,
                **texts,
                "tags": {self._text(): self._text()},
            }
        )

    def _metrics(self) -> ExportMetricsServiceRequest:
        request = ExportMetricsServiceRequest()
        scoped = request.resource_metrics.add(resource=self._resource()).scope_metrics.add()
        scoped.scope.name = self._text()
        for number in range(FAMILIES):
            metric = scoped.metrics.add(
                name=f"hostile_{number}_{self._text()}", description=self._text(), unit=self._text()
            )
            point = metric.gauge.data_points.add(
                time_unix_nano=self._now_ns, as_double=number, attributes=[self._pair(), self._pair()]
            )
            point.exemplars.add(
                time_unix_nano=self._now_ns,
                as_double=1,
                trace_id=TRACE_ID,
                span_id=b"\x01" * 8,
                filtered_attributes=[self._pair()],
            )
        for name in ("gatewayz_provider_health_score", "provider_availability", "provider_error_rate"):
            metric = scoped.metrics.add(name=name)
            metric.gauge.data_points.add(
                time_unix_nano=self._now_ns, as_double=0.1, attributes=[self._pair("provider")]
            )
        counter = scoped.metrics.add(name="gatewayz_cost_usd_total", unit="USD")
        counter.sum.is_monotonic = True
        counter.sum.aggregation_temporality = 2
        for _ in range(20):
            labels = [self._pair(name) for name in ("provider", "model", "cost_source")]
            counter.sum.data_points.add(
                start_time_unix_nano=self._now_ns - 10**9, time_unix_nano=self._now_ns, as_double=0.5, attributes=labels
            )
        return request
