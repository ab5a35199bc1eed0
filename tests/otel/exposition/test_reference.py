"""The reference page holds everything that the catalogue holds."""

import re

import pytest

from otel.catalogue import CATALOGUE, families_of
from otel.catalogue.conventions import CONVENTIONS
from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.exposition.reference import reference
from tests.harness.metered import OPENMETRICS, Metered

PAGE = reference(CATALOGUE)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each table row by its first cell."""
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in cells}


@pytest.mark.parametrize("category", Category)
def test_each_category_lists_its_families_in_order(category):
    assert list(rows(section(category.value.capitalize()))) == [spec.name for spec in families_of(category)]


def test_uncategorised_families_are_listed_too():
    assert list(rows(section("In /metrics only"))) == [spec.name for spec in CATALOGUE if not spec.categories]


@pytest.mark.parametrize("spec", CATALOGUE, ids=lambda spec: spec.name)
def test_a_family_is_described_completely(spec):
    title = spec.categories[0].value.capitalize() if spec.categories else "In /metrics only"
    type_, labels, help_, updated_by = rows(section(title))[spec.name]
    assert type_.startswith(spec.kind.prometheus_type)
    assert help_.replace("\\|", "|") == spec.help
    assert updated_by.replace("\\|", "|") == spec.updated_by
    for label in spec.labels:
        assert f"`{label.key}`" in labels
        assert all(f"`{value}`" in labels for value in label.values)
    assert all(query in section(title).splitlines() for query in spec.queries)


def test_every_endpoint_is_there():
    endpoints = section("Endpoints")
    for path in ("/metrics", "/prometheus/metrics/all", "/prometheus/metrics/summary", "/prometheus/metrics/docs"):
        assert f"`GET {path}`" in endpoints
    for category in Category:
        assert f"`GET /prometheus/metrics/{category}`" in endpoints


def test_the_deviation_from_openmetrics_names_the_counters_that_it_is_about():
    """The page and the exposition must agree on what is typed `unknown`."""
    metered = Metered()
    for spec in CATALOGUE:
        if spec.kind is Kind.COUNTER:
            metered.instruments.record(spec.name, 1, dict.fromkeys(spec.label_keys, "x"))
    unknown = re.findall(r"^# TYPE (\S+) unknown$", metered.scrape(OPENMETRICS).body.decode(), re.MULTILINE)
    assert unknown
    sentence = section("Formats").split("are typed `unknown`")[0]
    assert re.findall(r"`(\w+)`", re.split(r"so\s+there", sentence)[1]) == unknown


def test_other_families_are_escaped_for_a_table():
    spec = MetricSpec(
        name="custom_total", instrument="c", kind=Kind.COUNTER, unit="1", help="A | B\nC.",
        labels=(Label("k", bound_by="x | y"),),
    )  # fmt: skip
    assert "| `custom_total` | counter | `k`: x \\| y | A \\| B C. |" in reference([spec])


def test_families_of_conventions_are_listed_where_they_are_exposed():
    assert "Names of OpenTelemetry's conventions" not in PAGE
    page = reference((*CATALOGUE, *CONVENTIONS))
    assert page.startswith(PAGE)
    listed = rows(page.split("\n## Names of OpenTelemetry's conventions\n")[1])
    assert {name: (cells[0], cells[1]) for name, cells in listed.items()} == {
        spec.name: (f"`{spec.instrument}`", f"`{spec.convention}`") for spec in CONVENTIONS
    }
    assert all(cells[-1] for cells in listed.values())
