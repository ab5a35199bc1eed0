"""Logs and traces: errors and slow requests as lines, the traces of the chosen time, and which service calls which."""

from typing import Final

from dashboards.grafana.definitions import parts
from dashboards.grafana.model import Column, Dashboard, Order, Panel, PanelKind, Query, Row, SeriesColor, Source

_CHOSEN: Final = '| provider=~"${provider:pipe}" | model=~"${model:pipe}"'
_SLOW_LINE: Final = (
    " | line_format `{{round .duration_ms 0}} ms, own {{round .overhead_ms 0}} ms: {{.status}} {{.operation}} {{.model}}"
    '{{if .provider}} at {{.provider}}{{end}}{{if eq .stream "true"}}, stream{{end}}`'
)
_EDGES: Final = "sum by (client, server) (increase(traces_service_graph_request_{}[$__range]))"

LOGS_AND_TRACES: Final = Dashboard(
    uid="gatewayz-logs-traces",
    title="Logs and traces",
    description="Error lines, slow requests, traces, and the service graph of the chosen time range.",
    folder=parts.FOLDER,
    variables=(parts.PROVIDER, parts.MODEL),
    logs=parts.LOGS_OF_CHOSEN,
    traces=parts.TRACES_OF_CHOSEN,
    rows=(
        Row(
            height=5,
            is_purpose=True,
            panels=(
                Panel(
                    title="Lines by level",
                    description="Log lines per minute of all gateways, by level.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        parts.loki(
                            'sum by (level) (rate({job="gatewayz"} | json | __error__="" [$__auto])) * 60',
                            "{{level}}",
                        ),
                    ),
                    unit="short",
                    is_stacked=True,
                    colors=(
                        SeriesColor("error|critical", "red"),
                        SeriesColor("warning", "yellow"),
                        SeriesColor("info", "green"),
                    ),
                    no_value="no lines",
                    width=24,
                ),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                Panel(
                    title="Errors",
                    description="The newest lines of level error of the chosen providers and models.",
                    kind=PanelKind.LOGS,
                    queries=(parts.loki(f"{parts.ERROR_LOGS} {_CHOSEN}{parts.ERROR_LINE}"),),
                    unit="none",
                    minimum=None,
                    no_value="no error in the time range",
                    empty_when_well=True,
                    logs=f"{parts.ERROR_LOGS} {_CHOSEN}",
                    traces=parts.FAILED_TRACES,
                    width=12,
                ),
                Panel(
                    title="Slow requests",
                    description="The newest request lines of more than 2 seconds.",
                    kind=PanelKind.LOGS,
                    queries=(
                        parts.loki(
                            f'{{job="gatewayz"}} | json | logger="gatewayz.request" | duration_ms>2000 {_CHOSEN}{_SLOW_LINE}'
                        ),
                    ),
                    unit="none",
                    minimum=None,
                    no_value="no request of more than 2 seconds",
                    empty_when_well=True,
                    traces='{ resource.service.name = "gatewayz" && kind = server && duration > 2s }',
                    width=12,
                ),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                Panel(
                    title="Traces",
                    description="The newest traces with an attempt at the chosen providers and models; the id opens the trace.",
                    kind=PanelKind.TABLE,
                    queries=(Query(expr=parts.TRACES_OF_CHOSEN, source=Source.TEMPO),),
                    unit="none",
                    minimum=None,
                    columns=parts.TRACE_COLUMNS,
                    no_value="no trace in the time range",
                    width=24,
                ),
            ),
        ),
        Row(
            height=10,
            panels=(
                Panel(
                    title="Service graph",
                    description="Which service calls which, with rates and durations; Tempo computes it from all spans.",
                    kind=PanelKind.NODE_GRAPH,
                    queries=(Query(expr='{client="gatewayz"}', source=Source.TEMPO, service_map=True),),
                    unit="none",
                    minimum=None,
                    no_value="no edge in the time range",
                    width=12,
                ),
                Panel(
                    title="Edges of the service graph",
                    description="Requests and failures between two services in the time range.",
                    kind=PanelKind.TABLE,
                    queries=(
                        Query(expr=_EDGES.format("total"), instant=True),
                        Query(expr=_EDGES.format("failed_total"), instant=True),
                    ),
                    unit="none",
                    minimum=None,
                    decimals=0,
                    columns=(
                        Column(field="client", title="From"),
                        Column(field="server", title="To"),
                        Column(field="Value #A", title="Requests"),
                        Column(field="Value #B", title="Failed"),
                    ),
                    order=(Order("Requests", is_descending=True),),
                    no_value="no edge in the time range",
                    width=12,
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                Panel(
                    title="Spans",
                    description="Spans per minute by name, from Tempo's span metrics.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                "topk(10, sum by (span_name) (rate(traces_spanmetrics_calls_total"
                                f'{{service="gatewayz"}}[{parts.WINDOW}])) * 60)'
                            ),
                            legend="{{span_name}}",
                        ),
                    ),
                    unit="opm",
                    no_value="no spans",
                    width=12,
                ),
                Panel(
                    title="Span duration p95",
                    description="95 % of the spans of a name were at most this long; points are traces.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=parts.quantile(0.95, "traces_spanmetrics_latency", "span_name", 'service="gatewayz"'),
                            legend="{{span_name}}",
                            exemplars=True,
                        ),
                    ),
                    unit="s",
                    no_value="no spans",
                    width=12,
                ),
            ),
        ),
    ),
)
