"""The variables at the top of a board, the inputs of its import, and its annotations.

Each data source is a variable: panels name `${prometheus_datasource}` and not a uid. Its first
value is an input, which the import of a board replaces by the data source that the user chose.
Provisioning does not: there Grafana looks for a data source of the variable's text, and takes the
first of the type where none is called so.
"""

from typing import Any, Final

from dashboards.grafana.model import Choice, Dashboard, Source, Variable

_REFRESH_ON_TIME_RANGE_CHANGE: Final = 2
_HIDDEN: Final = 2


def reference(source: Source) -> dict[str, str]:
    """Return how a panel or query names its data source."""
    return {"type": source.value, "uid": f"${{{source.variable}}}"}


def import_inputs() -> list[dict[str, str]]:
    """Return what Grafana asks for when a board is imported."""
    return [
        {
            "name": source.import_input,
            "label": source.name.capitalize(),
            "description": f"The {source.name.capitalize()} data source of the gateway's stack.",
            "type": "datasource",
            "pluginId": source.value,
            "pluginName": source.name.capitalize(),
        }
        for source in Source
    ]


def variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    """Return the variables: data sources first. One that no panel reads is hidden; links still use it."""
    shown = {query.source for panel in dashboard.panels for query in panel.queries}
    return [
        *(_data_source(source, is_hidden=source not in shown) for source in Source),
        *(_label_values(variable) for variable in dashboard.variables),
        *(_fixed(choice) for choice in dashboard.choices),
    ]


def annotations() -> list[dict[str, Any]]:
    """Return the marks on the time axis of every board: alerts, anomalies, starts of gateways."""
    return [
        _annotation(
            name="Alerts",
            color="red",
            expr='max by (alertname, severity) (ALERTS{alertstate="firing"})',
            title="{{alertname}}",
            text="severity {{severity}}",
        ),
        _annotation(
            name="Anomalies",
            color="orange",
            expr="sum by (type) (increase(gatewayz_detected_anomalies[1m])) > 0",
            title="Anomaly: {{type}}",
            text="The log line of gatewayz.anomaly names the subject and the numbers.",
        ),
        _annotation(
            name="Deployments",
            color="blue",
            expr=(
                "1000 * max by (instance, version) (process_start_time_seconds"
                " * on (job, instance) group_left (version) fastapi_app_info)"
            ),
            title="Gateway {{version}} started",
            text="instance {{instance}}",
            is_value_the_time=True,
        ),
    ]


def _data_source(source: Source, *, is_hidden: bool) -> dict[str, Any]:
    name = source.name.capitalize()
    return {
        "name": source.variable,
        "label": f"{name} data source",
        "type": "datasource",
        "query": source.value,
        "current": {"selected": False, "text": name, "value": f"${{{source.import_input}}}"},
        "options": [],
        "refresh": 1,
        "regex": "",
        "multi": False,
        "includeAll": False,
        "hide": _HIDDEN if is_hidden else 0,
    }


def _label_values(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": reference(Source.PROMETHEUS),
        "definition": variable.query,
        "query": {"query": variable.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": _REFRESH_ON_TIME_RANGE_CHANGE,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "regex": "",
        "hide": 0,
    }


def _fixed(choice: Choice) -> dict[str, Any]:
    options = [{"selected": number == 0, "text": value, "value": value} for number, value in enumerate(choice.values)]
    return {
        "name": choice.name,
        "label": choice.label,
        "type": "custom",
        "query": ",".join(choice.values),
        "current": options[0],
        "options": options,
        "multi": False,
        "includeAll": False,
        "hide": 0,
    }


def _annotation(
    *, name: str, color: str, expr: str, title: str, text: str, is_value_the_time: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "datasource": reference(Source.PROMETHEUS),
        "expr": expr,
        "step": "30s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "",
        "useValueForTime": is_value_the_time,
    }
