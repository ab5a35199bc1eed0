"""No statement of any route reads a whole table of telemetry: a million rows cost as little as a thousand."""

import re
import sqlite3
from contextlib import contextmanager

import pytest

from console.http.json_routes import ROUTES
from console.store.readers import Readers
from tests.harness.console import logs, metrics, traces
from tests.harness.console_metrics import counter, exponential, gauge, histogram, summary
from tests.harness.gateway_lines import attempt_line, attempt_span, request_line, server_span

LARGE = {
    "spans", "span_events", "span_links", "log_records", "requests", "number_points", "histogram_points",
    "exponential_points", "summary_points", "exemplars",
}  # fmt: skip
FILTERS = (
    "provider=a", "model=m&status=5xx", "key_id=k", "plan=p", "outcome=error", "latency_min=1", "tokens_max=5",
    "cost_min=0.1", "q=words", "q=words&provider=a", "service=none", "trace_id=" + "5" * 32, "service=shop", "stream=true", "limit=500",
    "cursor=1900000000000000000-5",
)  # fmt: skip
URLS = (
    *(path for path in ROUTES if path != "/api/metrics/range"),
    *(f"/api/requests?{each}" for each in FILTERS),
    *(
        f"/api/logs?{each}"
        for each in ("severity=WARN", "logger=x", "q=words", "trace_id=" + "5" * 32, "service=shop", "service=none")
    ),
    *(f"/api/traces?{each}" for each in ("status=error", "name=x", "latency_min=1", "service=shop", "service=none")),
    *(f"/api/failures?{each}" for each in ("provider=a", "error_kind=x", "service=shop", "service=none")),
    *(f"/api/cost?{each}" for each in ("period=month", "period=range", "period=range&range=100")),
    *(f"/api/metrics/range?name={name}" for name in ("c", "g", "h", "e", "s")),
    f"/api/traces/{5:032x}",
    "/api/requests.csv",
    "/api/cost.csv",
)


@pytest.fixture
def statements(monkeypatch):
    """Every statement that a reader runs, with its values in place."""
    found: set[str] = set()
    lend = Readers.connection

    @contextmanager
    def traced(self, *arguments):
        with lend(self, *arguments) as connection:
            connection.set_trace_callback(found.add)
            yield connection
            connection.set_trace_callback(None)

    monkeypatch.setattr(Readers, "connection", traced)
    return found


async def test_no_statement_reads_a_whole_table(site, statements):
    await site.console.send(traces(server_span(5), attempt_span(5, 1, "a", "upstream_5xx"), attempt_span(5, 2, "b")))
    await site.console.send(
        logs(request_line(-5, 5, provider="a", operation="chat"), attempt_line(5, "a", "upstream_5xx", "words"))
    )
    labels = {"provider": "a", "model": "m", "status": "success", "error_kind": "x"}
    await site.console.send(
        metrics(
            *(counter(name, (-20, 1, labels), (-10, 2, labels)) for name in ("c", "model_inference_requests_total")),
            counter("gatewayz_attempt_failures_total", (-20, 1, labels), (-10, 2, labels)),
            gauge("g", (-10, 2.5, {})),
            histogram("h", (-20, [1, 2, 3], {}), (-10, [2, 2, 3], {})),
            exponential("e", (-20, [1, 2], {}), (-10, [2, 2], {})),
            summary("s", (-10, {0.5: 1.0})),
        )
    )
    for url in URLS:
        assert (await site.get(url)).status_code == 200, url
    assert len(statements) > 100
    with sqlite3.connect(site.console.store.path) as connection:
        scans = {
            sql: step
            for sql in statements
            if sql.lstrip().startswith(("SELECT", "WITH"))
            for _, _, _, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
            if not _is_bounded(sql, step)
        }
    connection.close()
    assert scans == {}


def _is_bounded(sql: str, step: str) -> bool:
    """A step is a lookup, or a walk in the order of an index or of the ids that a LIMIT or a single minimum ends."""
    if step == "USE TEMP B-TREE FOR ORDER BY":
        # Sorting is for the rows of one trace, or of ids that were found before.
        return re.search(r"trace_id = |GROUP BY| IN \(|spans_failed", sql) is not None
    scan = re.match(r"SCAN (\w+)", step)
    table = scan and next((name for name in LARGE if re.search(rf"\b{name}( AS)? {scan[1]}\b", sql)), scan[1])
    if table not in LARGE:
        return True
    is_ordered = "INDEX" in step or re.search(r"ORDER BY (id|log)\b.* LIMIT 1$", sql) is not None
    return is_ordered and ("LIMIT" in sql or re.search(r"\b(min|max)\(", sql) is not None)
