"""How pictures of boards write values: by Grafana's ids of units. Runs the sources in Node; skipped where it is not installed."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dashboards.grafana.definitions import DASHBOARDS

UNITS = Path(__file__).parents[2] / "dashboards" / "pictures" / "src" / "units.js"
RUN = """
const [, , module, name, texts] = process.argv;
const found = await import(module);
console.log(JSON.stringify(JSON.parse(texts).map((values) => found[name](...values))));
"""


def results(name: str, *calls: list[Any]) -> list[Any]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    command = [node, "--input-type=module", "-", UNITS.as_uri(), name, json.dumps(calls)]
    ended = subprocess.run(command, input=RUN, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: list[Any] = json.loads(ended.stdout)
    return found


WRITTEN = {
    "none": {0: "0", 0.12345: "0.123", 12: "12", 1234.5: "1235"},
    "short": {0: "0", 999: "999", 1234: "1.23 K", 2_500_000: "2.5 Mil", 3e9: "3 Bil", 4e12: "4 Tri"},
    "percent": {0: "0%", 12.345: "12.3%", 100: "100%"},
    "percentunit": {0: "0%", 0.12345: "12.3%", 1: "100%"},
    "currencyUSD": {0: "$0", 0.0456: "$0.0456", -3.5: "-$3.5", 12_345: "$12.3K"},
    "s": {0: "0 s", 2e-9: "2 ns", 0.00004: "40 µs", 0.0125: "12.5 ms", 2: "2 s", 90: "1.5 mins", 7200: "2 hours"},
    "bytes": {0: "0 B", 512: "512 B", 1536: "1.5 KiB", 3 * 2**20: "3 MiB", 5 * 2**30: "5 GiB"},
    "reqpm": {12.34: "12.3 req/m", 1200: "1.2 K req/m"},
    "opm": {0.5: "0.5 ops/m"},
    "cps": {7: "7 c/s"},
}


def test_values_have_the_unit_that_the_panel_names() -> None:
    cases = [(value, unit, text) for unit, texts in WRITTEN.items() for value, text in texts.items()]
    found = results("format", *([value, unit] for value, unit, _ in cases))
    assert found == [text for _, _, text in cases]


def test_decimals_that_a_panel_sets_are_kept() -> None:
    assert results("format", [0.5, "currencyUSD", {"decimals": 2}], [99.95, "percent", {"decimals": 1}]) == ["$0.50", "100.0%"]  # fmt: skip
    assert results("format", [1234.5678, "short", {"decimals": 0}], [0.98765, "none", {"decimals": 2}]) == ["1 K", "0.99"]  # fmt: skip


def test_a_time_is_written_as_its_age() -> None:
    ages = [
        [1_000_000 - seconds * 1000, "dateTimeFromNow", {"now": 1000}] for seconds in (1, 59, 60, 400, 7200, 90_000)
    ]
    assert results("format", *ages) == [
        "1 second ago", "59 seconds ago", "1 minute ago", "7 minutes ago", "2 hours ago", "1 day ago",
    ]  # fmt: skip


def test_what_is_not_a_number_has_no_text() -> None:
    assert results("format", [None, "s"], [None, "short"]) == ["", ""]


def test_every_unit_of_the_boards_has_its_text() -> None:
    panels = [panel for dashboard in DASHBOARDS for panel in dashboard.panels]
    units = {panel.unit for panel in panels} | {column.unit for panel in panels for column in panel.columns}
    assert all(results("format", *([12.5, unit, {"now": 1000}] for unit in sorted(units))))
