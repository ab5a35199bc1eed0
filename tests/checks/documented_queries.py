"""The documented PromQL queries, verbatim, from `tests/reference/reference.toml`.

`AS_WRITTEN` are the queries that parse: each is to be answered as it stands. `REPLACED` are those
that do not parse, with the query that says what was meant. The panels' queries, which have a variable
of Grafana's, are not among them.
"""

from typing import Final

from demo.gateway_config import EXAMPLE_MODEL, EXAMPLE_PROVIDER
from tests.reference.entries import read_reference

__all__ = ["AS_WRITTEN", "EXAMPLE_MODEL", "EXAMPLE_PROVIDER", "REPLACED"]

_QUERIES: Final = read_reference().promql
AS_WRITTEN: Final = tuple(dict.fromkeys(each.query for each in _QUERIES if not each.does_not_parse))
REPLACED: Final = {each.query: each.corrected for each in _QUERIES if each.does_not_parse}
