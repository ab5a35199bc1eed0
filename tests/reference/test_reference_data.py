"""The data file has the whole document, says truly what parses, and every query in it has a value to be compared with."""

from collections import Counter

import promql_parser
import pytest

from tests.reference.entries import read_reference
from tests.reference.expected import ALERTS, AS_WRITTEN, CORRECTED, expected_of
from tests.reference.grafana_check import panel_problems, variable_problems

REFERENCE = read_reference()
QUERIES = REFERENCE.prom_queries
DIFFERENT = list({each.query: each for each in QUERIES}.values())
"""Eight are written twice."""


def parses(query: str) -> bool:
    try:
        promql_parser.parse(query)
    except ValueError:
        return False
    return True


def test_the_document_has_as_many_of_each() -> None:
    counts = (QUERIES, REFERENCE.logql, REFERENCE.alerts, REFERENCE.panels, REFERENCE.variables)
    assert [len(each) for each in counts] == [55, 4, 6, 5, 2]
    assert sum(bool(each.does_not_parse) for each in QUERIES) == 4


@pytest.mark.parametrize("entry", DIFFERENT, ids=lambda entry: entry.query)
def test_an_entry_says_truly_whether_it_parses_and_its_corrected_form_does(entry) -> None:
    assert parses(entry.query) == (not entry.does_not_parse)
    assert parses(entry.in_use)
    assert bool(entry.corrected) == bool(entry.why or entry.does_not_parse)


@pytest.mark.parametrize("entry", DIFFERENT, ids=lambda entry: entry.query)
def test_each_form_of_a_query_has_an_expected_value(entry) -> None:
    if not entry.does_not_parse:
        assert expected_of(entry.name, corrected=False)
    assert expected_of(entry.name, corrected=True)


def test_no_expected_value_is_left_over() -> None:
    names = {each.name for each in QUERIES}
    assert AS_WRITTEN.keys() == {each.name for each in QUERIES if not each.does_not_parse}
    assert CORRECTED.keys() <= names
    assert ALERTS.keys() == {each.name for each in REFERENCE.alerts}


def test_queries_of_one_name_are_the_same_query_or_ask_for_the_same() -> None:
    forms = {(each.name, each.query, each.corrected) for each in QUERIES}
    twice = [name for name, count in Counter(name for name, *_ in forms).items() if count > 1]
    assert twice == []


@pytest.mark.parametrize("panel", REFERENCE.panels, ids=lambda panel: panel.title)
def test_a_dashboard_shows_the_documented_panel(panel) -> None:
    assert panel_problems(panel) == []


@pytest.mark.parametrize("variable", REFERENCE.variables, ids=lambda variable: variable.name)
def test_a_dashboard_has_the_documented_variable(variable) -> None:
    assert variable_problems(variable) == []
