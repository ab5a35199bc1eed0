"""What the Collector's log says of a batch that met the end of a store."""

import pytest

from tests.stack.fault_story import count_refused_while_ending

LINE = (
    '2026-11-30T13:41:15.914Z\terror\tinternal/queue_sender.go:62\tExporting failed. Dropping data.\t{{"resource": {{"service.name": '
    '"otelcol-gatewayz"}}, "otelcol.component.id": "{exporter}", "otelcol.component.kind": "exporter", "otelcol.signal": "traces", '
    '"error": "not retryable error: Permanent error: rpc error: code = {reason}", "dropped_items": {items}}}\n'
)
OF_TEMPO = "Unknown desc = Ingester is shutting down"
OF_LOKI = (
    "Internal desc = error exporting items, request to http://127.0.0.1:3100/otlp/v1/logs responded with HTTP Status Code 500,"
    " Message=Ingester is shutting down, Details=[]"
)


@pytest.mark.parametrize(
    ("exporter", "reason", "items"),
    [
        ("otlp_grpc/tempo", OF_TEMPO, 56),
        ("otlp_http/loki", OF_LOKI, 0),
        ("otlp_grpc/tempo", "InvalidArgument desc = it cannot be read", 0),
        ("otlp_grpc/other", OF_TEMPO, 0),
    ],
)
def test_only_what_one_store_refused_while_it_ended_is_counted(exporter: str, reason: str, items: int) -> None:
    log = "".join(LINE.format(exporter=exporter, reason=reason, items=count) for count in (52, 4))
    assert count_refused_while_ending(log, "otlp_grpc/tempo") == items


def test_loki_says_it_by_http() -> None:
    log = LINE.format(exporter="otlp_http/loki", reason=OF_LOKI, items=7) * 2
    assert count_refused_while_ending(log, "otlp_http/loki") == 14
