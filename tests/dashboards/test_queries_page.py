"""`docs/reference-corrections.md` names the documented queries as they are written, and queries that work in their place."""

import re
from pathlib import Path

import pytest

from tests.checks.documented_queries import AS_WRITTEN, REPLACED
from tests.checks.promql import problems_of

PAGE = (Path(__file__).parents[2] / "docs" / "reference-corrections.md").read_text()
ROWS = re.findall(r"^\| `(.+?)` \| .+? \| `(.+)` \|$", PAGE.partition("## Not PromQL")[0], re.MULTILINE)


def test_the_page_has_every_query_that_does_not_parse_with_its_replacement():
    assert len(ROWS) == 19
    assert REPLACED.items() <= dict(ROWS).items()


@pytest.mark.parametrize(("query", "ours"), ROWS)
def test_a_row_names_a_query_of_the_reference_and_one_that_works(query, ours):
    assert query in REPLACED or query in {each.replace("\n", "") for each in AS_WRITTEN}
    assert problems_of(ours) == []
    assert query != ours
