"""`docs/reference-corrections.md` is what the data of the reference says, and the queries that it recommends work."""

import pytest

from tests.checks.corrections_page import PAGE, page
from tests.checks.promql import problems_of
from tests.checks.queries import without_macros
from tests.reference.entries import read_reference

REFERENCE = read_reference()
QUERIES = {each.query: each for each in REFERENCE.prom_queries if each.corrected}


def test_the_page_is_what_the_data_says():
    assert PAGE.read_text() == page(REFERENCE)


def test_the_page_has_a_row_for_every_query_that_was_corrected():
    text = page(REFERENCE)
    for query, entry in QUERIES.items():
        assert f"| `{query.replace(chr(10), '')}` |" in text
        assert f"| `{entry.corrected}` |" in text


@pytest.mark.parametrize("query", QUERIES)
def test_a_corrected_query_is_sound_and_says_what_was_wrong(query):
    entry = QUERIES[query]
    assert problems_of(without_macros(entry.corrected)) == []
    assert query != entry.corrected
    assert bool(entry.why) != bool(entry.does_not_parse)
