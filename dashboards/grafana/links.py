"""Links of a panel to the logs, the traces and the board behind it; they carry the chosen values and the time range.

A link to Explore holds its query as JSON in the URL. Grafana replaces `${name}` in the URL's text
before the browser reads it, so everything is percent-encoded except these.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from dashboards.grafana.model import Dashboard, Panel, Source

_VARIABLE: Final = re.compile(r"(\$\{[^}]*\})")
_TIME: Final = {"from": "${__from}", "to": "${__to}"}
NEWEST: Final = " with (most_recent=true)"
"""Ends a TraceQL query: without it Tempo returns those of the matching traces that it finds first, often the oldest."""

BOARD_OF: Final[Mapping[str, str]] = {"provider": "gatewayz-providers", "model": "gatewayz-models"}
"""The board about a value of a label, by the label."""


def panel_links(dashboard: Dashboard, panel: Panel) -> list[dict[str, Any]]:
    """Return the links in a panel's header."""
    logs, traces = panel.logs or dashboard.logs, panel.traces or dashboard.traces
    return [
        _link("Logs", explore_url(Source.LOKI, {"expr": logs, "queryType": "range"})),
        _link("Traces", explore_url(Source.TEMPO, {"query": traces + NEWEST, "queryType": "traceql", "limit": 20})),
    ]


def series_links(panel: Panel) -> list[dict[str, Any]]:
    """Return the links of each series: to the board of its provider or model."""
    if panel.by not in BOARD_OF:
        return []
    value = f"${{__field.labels.{panel.by}}}"
    url = f"/d/{BOARD_OF[panel.by]}?${{__url_time_range}}&var-{panel.by}={value}"
    return [{"title": f"{panel.by.capitalize()} {value}", "url": url, "targetBlank": False}]


def explore_url(source: Source, query: Mapping[str, Any]) -> str:
    """Return the URL that opens a query in Explore, for the board's time range."""
    reference = {"type": source.value, "uid": f"${{{source.variable}}}"}
    pane = {
        "datasource": reference["uid"],
        "queries": [{"refId": "A", "datasource": reference, **query}],
        "range": _TIME,
    }
    text = json.dumps({"a": pane}, separators=(",", ":"), ensure_ascii=False)
    encoded = "".join(part if part.startswith("${") else quote(part, safe="") for part in _VARIABLE.split(text))
    return f"/explore?schemaVersion=1&orgId=1&panes={encoded}"


def _link(title: str, url: str) -> dict[str, Any]:
    return {
        "title": title,
        "type": "link",
        "icon": "external link",
        "tooltip": "",
        "url": url,
        "tags": [],
        "asDropdown": False,
        "targetBlank": True,
        "includeVars": False,
        "keepTime": False,
    }
