"""A board becomes Grafana's Classic JSON, the form that file provisioning and import read in every version since 11.

Input: a `Dashboard`. Output: text, the same for the same board.
"""

import json
from typing import Any, Final

from dashboards.grafana.layout import Place, places
from dashboards.grafana.links import NEWEST, panel_links, series_links
from dashboards.grafana.model import Column, Dashboard, Panel, PanelKind, Query, Source
from dashboards.grafana.panel_options import field_settings, panel_options
from dashboards.grafana.templating import annotations, import_inputs, reference, variables

SCHEMA_VERSION: Final = 39
_TRACES: Final = 20
_LOG_LINES: Final = 100


def render(dashboard: Dashboard) -> str:
    """Return the JSON of a board, with a newline at its end."""
    document = {
        "__inputs": import_inputs(),
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": list(dashboard.tags),
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "",
        "refresh": dashboard.refresh,
        "time": {"from": dashboard.time_from, "to": "now"},
        "timepicker": {},
        "annotations": {"list": annotations()},
        "links": [_other_boards()],
        "templating": {"list": variables(dashboard)},
        "panels": [
            _panel(dashboard, number, panel, place) for number, (panel, place) in enumerate(places(dashboard), 1)
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _other_boards() -> dict[str, Any]:
    """Return the list of boards in a board's header; it keeps the time range and the chosen values."""
    return {
        "title": "Boards",
        "type": "dashboards",
        "icon": "external link",
        "tooltip": "",
        "url": "",
        "tags": ["gatewayz"],
        "asDropdown": True,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }


def _panel(dashboard: Dashboard, number: int, panel: Panel, place: Place) -> dict[str, Any]:
    sources = {query.source for query in panel.queries}
    if len(sources) != 1:
        raise ValueError(f"{dashboard.uid}: {panel.title}: queries of one panel have one data source")
    document = {
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "type": panel.kind.value,
        "datasource": reference(sources.pop()),
        "gridPos": {"x": place.x, "y": place.y, "w": place.width, "h": place.height},
        "targets": [_target(panel, chr(ord("A") + number), query) for number, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field_defaults(panel), "overrides": _overrides(panel)},
        "options": panel_options(panel),
        "links": panel_links(dashboard, panel),
    }
    if panel.transforms_columns:
        document["transformations"] = _transformations(panel)
    return document


def _field_defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "noValue": panel.no_value,
        **field_settings(panel),
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": step.color, "value": step.value} for step in panel.steps],
        },
        "mappings": _mappings(panel),
        "links": series_links(panel),
    }
    bounds = {"min": panel.minimum, "max": panel.maximum, "decimals": panel.decimals}
    return defaults | {name: value for name, value in bounds.items() if value is not None}


def _mappings(panel: Panel) -> list[dict[str, Any]]:
    if not panel.meanings:
        return []
    options = {
        str(each.value): {"text": each.text, "color": each.color, "index": index}
        for index, each in enumerate(panel.meanings)
    }
    return [{"type": "value", "options": options}]


def _target(panel: Panel, ref_id: str, query: Query) -> dict[str, Any]:
    target: dict[str, Any] = {"refId": ref_id, "datasource": reference(query.source)}
    match query.source:
        case Source.PROMETHEUS:
            return target | _prometheus_target(panel, query)
        case Source.LOKI:
            kind = "instant" if query.instant else "range"
            lines = {"maxLines": _LOG_LINES} if panel.kind is PanelKind.LOGS else {"legendFormat": query.legend}
            return target | {"editorMode": "code", "expr": query.expr, "queryType": kind, **lines}
        case Source.TEMPO:
            if query.service_map:
                return target | {"queryType": "serviceMap", "serviceMapQuery": query.expr, "filters": []}
            return target | {
                "queryType": "traceql",
                "query": query.expr + NEWEST,
                "limit": _TRACES,
                "tableType": "traces",
                "filters": [],
            }


def _prometheus_target(panel: Panel, query: Query) -> dict[str, Any]:
    formats = {PanelKind.TABLE: "table", PanelKind.HEATMAP: "heatmap"}
    target = {
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": query.instant,
        "range": not query.instant,
        "format": formats.get(panel.kind, "time_series"),
    }
    return target | ({"exemplar": True} if query.exemplars else {})


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    colors = [
        {
            "matcher": {"id": "byRegexp", "options": f"/^(?:{each.pattern})$/"},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": each.color}}],
        }
        for each in panel.colors
    ]
    return [*(_override(each) for each in panel.columns), *colors]


def _override(column: Column) -> dict[str, Any]:
    """Return the settings of one column, which is found by its title."""
    properties: list[dict[str, Any]] = [{"id": "unit", "value": column.unit}] if column.unit else []
    if column.width_pixels is not None:
        properties.append({"id": "custom.width", "value": column.width_pixels})
    if column.url:
        links = [{"title": column.link_title, "url": column.url, "targetBlank": True}]
        properties.append({"id": "links", "value": links})
    return {"matcher": {"id": "byName", "options": column.title}, "properties": properties}


def _transformations(panel: Panel) -> list[dict[str, Any]]:
    """Return what makes columns of a table: the results joined by their labels, in order, with titles."""
    order = {column.field: index for index, column in enumerate(panel.columns)}
    titles = {column.field: column.title for column in panel.columns}
    organize = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": titles}
    merge = [{"id": "merge", "options": {}}] if len(panel.queries) > 1 else []
    return [*merge, {"id": "organize", "options": organize}]
