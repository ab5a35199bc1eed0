"""Holds the panels and variables of the reference to the generated dashboards, and the variables' values to the stored series."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from demo.gateway_config import MODELS
from tests.reference.entries import Panel, Reference, Variable
from tests.reference.findings import Finding
from tests.reference.gauges import PROVIDERS
from tests.stack.prometheus_servers import Prometheus

FOLDER: Final = Path(__file__).resolve().parents[2] / "dashboards" / "grafana" / "json"
_LABEL_VALUES: Final = re.compile(r"label_values\((?P<family>\w+), (?P<label>\w+)\)")


def check_panels(reference: Reference, queries: list[Finding]) -> list[Finding]:
    """Check each panel: that its query has the expected value, and that a dashboard shows it as documented, with sound thresholds."""
    found = []
    for panel in reference.panels:
        results = [each for each in queries if each.query in {panel.query, panel.in_use}]
        problems = [line for each in results for line in (*each.problems, each.refusal) if line]
        problems += panel_problems(panel)
        value = next((each.value for each in results if each.form == "corrected"), "")
        found.append(
            Finding(
                part="panel",
                name=panel.title,
                form="as written",
                query=panel.query,
                value=value,
                problems=tuple(dict.fromkeys(problems) if results else ["its query was not asked"]),
            )
        )
    return found


def panel_problems(panel: Panel) -> list[str]:
    """Return how the dashboards differ from what the document says of a panel."""
    shown = [each for each in _panels() if each["title"] == panel.title]
    if not shown:
        return [f"no dashboard has a panel called {panel.title}"]
    lines = []
    for each in shown:
        defaults = each["fieldConfig"]["defaults"]
        if each["type"] != panel.kind:
            lines.append(f"{panel.title} is a {each['type']} instead of a {panel.kind}")
        if defaults.get("unit") != panel.unit:
            lines.append(f"{panel.title} has the unit {defaults.get('unit')} instead of {panel.unit}")
        steps = [(step["color"], step.get("value")) for step in defaults.get("thresholds", {}).get("steps", ())]
        wanted = [(step[0], step[1] if len(step) > 1 else None) for step in panel.steps]
        if wanted and steps != wanted:
            lines.append(f"{panel.title} has the thresholds {steps} instead of {wanted}")
    return lines


async def check_variables(server: Prometheus, reference: Reference) -> list[Finding]:
    """Ask for each variable what Grafana asks."""
    expected = {"provider": set(PROVIDERS), "model": {model.name for model in MODELS}}
    found = []
    for variable in reference.variables:
        matched = _LABEL_VALUES.fullmatch(variable.query)
        if matched is None:
            raise ValueError(f"{variable.query} is not label_values(family, label)")
        values = await server.label_values(matched["family"], matched["label"])
        problems = [f"{name} differs" for name in sorted(set(values) ^ expected[variable.name])]
        problems += variable_problems(variable)
        found.append(
            Finding(
                part="variable",
                name=variable.name,
                form="as written",
                query=variable.query,
                value=f"{len(values)} values: {', '.join(values[:3])} and others",
                problems=tuple(problems),
            )
        )
    return found


def variable_problems(variable: Variable) -> list[str]:
    """Return an error where no dashboard has the variable with this query."""
    asked = {
        (each["name"], each["query"]["query"] if isinstance(each.get("query"), dict) else each.get("query"))
        for dashboard in _dashboards()
        for each in dashboard["templating"]["list"]
    }
    if (variable.name, variable.query) not in asked:
        return [f"no dashboard has the variable {variable.name} with {variable.query}"]
    return []


def _dashboards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(FOLDER.rglob("*.json"))]


def _panels() -> Iterator[dict[str, Any]]:
    for dashboard in _dashboards():
        for panel in dashboard["panels"]:
            yield panel
            yield from panel.get("panels", ())
