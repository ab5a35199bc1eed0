"""What Grafana draws for each kind of panel: its options, and how its fields are drawn."""

from typing import Any, Final

from dashboards.grafana.model import Panel, PanelKind

_LAST_VALUE: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_TABLE_LEGEND: Final = {
    "displayMode": "list",
    "placement": "bottom",
    "showLegend": True,
    "calcs": ["lastNotNull"],
}
_BY_SERIES: Final = frozenset({PanelKind.TIME_SERIES, PanelKind.PIE_CHART, PanelKind.NODE_GRAPH})
"""Kinds that compare series, so that each series has its colour. Elsewhere the thresholds colour values."""


def field_settings(panel: Panel) -> dict[str, Any]:
    """Return the colours and the kind's own settings of each field."""
    mode = "palette-classic" if panel.kind in _BY_SERIES else "thresholds"
    return {"color": {"mode": mode}, "custom": _custom(panel)}


def _custom(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case PanelKind.TIME_SERIES:
            return {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 25 if panel.is_stacked else 8,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if len(panel.steps) > 1 else "off"},
            }
        case PanelKind.STATE_TIMELINE:
            return {"fillOpacity": 80, "lineWidth": 0}
        case PanelKind.TABLE:
            return {"align": "auto", "filterable": True, "cellOptions": {"type": "auto"}, "inspect": False}
        case _:
            return {}


def panel_options(panel: Panel) -> dict[str, Any]:
    """Return the options of a panel's kind."""
    if panel.kind is PanelKind.STAT:
        return _SINGLE_VALUES[panel.kind] | {"textMode": "value_and_name" if _has_names(panel) else "value"}
    return _SINGLE_VALUES[panel.kind] if panel.kind in _SINGLE_VALUES else _series_options(panel)


def _has_names(panel: Panel) -> bool:
    """Whether names of values say more than the panel's title: they differ by a label, or by what a variable holds."""
    return any("{{" in query.legend or "$" in query.legend for query in panel.queries)


_SINGLE_VALUES: Final[dict[PanelKind, dict[str, Any]]] = {
    PanelKind.STAT: {
        "reduceOptions": _LAST_VALUE,
        "colorMode": "background",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
    },
    PanelKind.GAUGE: {
        "reduceOptions": _LAST_VALUE,
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
        "orientation": "auto",
    },
    PanelKind.BAR_GAUGE: {
        "reduceOptions": _LAST_VALUE,
        "displayMode": "gradient",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "orientation": "horizontal",
    },
    PanelKind.PIE_CHART: {
        "reduceOptions": _LAST_VALUE,
        "pieType": "donut",
        "legend": {
            "displayMode": "table",
            "placement": "right",
            "showLegend": True,
            "calcs": [],
            "values": ["value", "percent"],
        },
        "tooltip": {"mode": "single", "sort": "none"},
    },
}


def _series_options(panel: Panel) -> dict[str, Any]:
    match panel.kind:
        case PanelKind.HEATMAP:
            return _heatmap(panel)
        case PanelKind.STATE_TIMELINE:
            return {
                "showValue": "never",
                "rowHeight": 0.85,
                "mergeValues": True,
                "alignValue": "left",
                "legend": _TABLE_LEGEND | {"calcs": []},
                "tooltip": {"mode": "single", "sort": "none"},
            }
        case PanelKind.TABLE:
            order = [{"displayName": each.title, "desc": each.is_descending} for each in panel.order]
            return {"showHeader": True, "cellHeight": "sm", "sortBy": order}
        case PanelKind.LOGS:
            return {
                "showTime": True,
                "showLabels": False,
                "showCommonLabels": False,
                "wrapLogMessage": True,
                "prettifyLogMessage": False,
                "enableLogDetails": True,
                "dedupStrategy": "none",
                "sortOrder": "Descending",
            }
        case PanelKind.NODE_GRAPH:
            return {"nodes": {}, "edges": {}}
        case _:
            return {"legend": _TABLE_LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}}


def _heatmap(panel: Panel) -> dict[str, Any]:
    """Return the options of a heat map whose rows are the buckets of a histogram."""
    return {
        "calculate": False,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "fill": "dark-orange",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "cellGap": 1,
        "cellValues": {"unit": "short"},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": False},
        "yAxis": {"unit": panel.unit, "axisPlacement": "left", "reverse": False},
    }
