"""A dashboard becomes Grafana's Classic JSON, the form that file provisioning reads in every version since 11.

Input: a `Dashboard`. Output: text, the same for the same dashboard. Data sources are named by
their fixed uid.
"""

import json
from typing import Any, Final

from dashboards.grafana.model import Dashboard, Panel, PanelKind, Query, Variable

SCHEMA_VERSION: Final = 39
_PROMETHEUS: Final = {"type": "prometheus", "uid": "prometheus"}
_REFRESH_WITH_TIME_RANGE: Final = 2


def render(dashboard: Dashboard) -> str:
    """Return the JSON of a dashboard, with a newline at its end."""
    document = {
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
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_variable(variable) for variable in dashboard.variables]},
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels, 1)],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _PROMETHEUS,
        "definition": variable.query,
        "query": {"query": variable.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": _REFRESH_WITH_TIME_RANGE,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "regex": "",
        "hide": 0,
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    place = panel.place
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "noValue": panel.no_value,
        "color": {"mode": _color_mode(panel.kind)},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": step.color, "value": step.value} for step in panel.steps],
        },
        "mappings": [],
        "custom": {},
    }
    if panel.minimum is not None:
        defaults["min"] = panel.minimum
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    return {
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "type": panel.kind.value,
        "datasource": _PROMETHEUS,
        "gridPos": {"x": place.x, "y": place.y, "w": place.width, "h": place.height},
        "targets": [_target(chr(ord("A") + position), query) for position, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel.kind),
    }


def _target(ref_id: str, query: Query) -> dict[str, Any]:
    return {
        "refId": ref_id,
        "datasource": _PROMETHEUS,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": query.instant,
        "range": not query.instant,
    }


def _color_mode(kind: PanelKind) -> str:
    """Values are coloured by thresholds where one value is the panel, by series where several are compared."""
    return "palette-classic" if kind in {PanelKind.TIME_SERIES, PanelKind.PIE_CHART} else "thresholds"


def _options(kind: PanelKind) -> dict[str, Any]:
    last_value = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match kind:
        case PanelKind.STAT:
            return {
                "reduceOptions": last_value,
                "colorMode": "background",
                "graphMode": "area",
                "textMode": "value_and_name",
            }
        case PanelKind.GAUGE:
            return {"reduceOptions": last_value, "showThresholdLabels": False, "showThresholdMarkers": True}
        case PanelKind.PIE_CHART:
            legend = {"displayMode": "table", "placement": "right", "showLegend": True, "values": ["value", "percent"]}
            return {"reduceOptions": last_value, "pieType": "donut", "legend": legend, "tooltip": {"mode": "single"}}
        case PanelKind.TIME_SERIES:
            legend = {
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
                "calcs": ["lastNotNull", "max"],
            }
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
