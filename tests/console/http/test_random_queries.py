"""No query string makes the API fail: each is served, or refused with what is wrong."""

import random
from urllib.parse import quote_from_bytes

from console.http.json_routes import ROUTES
from tests.harness.console import logs, metrics, traces
from tests.harness.console_metrics import counter, exponential, gauge, histogram, summary
from tests.harness.gateway_lines import attempt_span, request_line, server_span

REQUESTS = 400
NAMES = (
    "from", "to", "range", "limit", "cursor", "provider", "model", "status", "outcome", "key_id", "stream", "cached",
    "latency_min", "latency_max", "tokens_min", "cost_max", "q", "service", "trace_id", "severity", "logger", "name", "fn",
    "by", "match", "step", "window", "exemplars", "type", "period", "kind", "field", "error_kind", "x",
)  # fmt: skip
VALUES = (
    "", "0", "1", "-1", "1.5", "1e308", "-1e308", "nan", "inf", "true", "false", "c", "g", "h", "e", "s", "a=b", "a!=b", "=",
    "*", "resource.service.name", "provider", "rate", "increase", "value", "quantile", "buckets", "average", "5xx", "502", "999", "error",
    "WARN", "today", "month", "logs", "0.5", "1900000000", "1899999000", "9" * 30, "1900000000000000000-5", "-", "5" * 32,
    "' OR 1=1 --", "\x00", "\ud800", "é", "%", "a" * 300, "NEAR(", '"', "*" * 50, "٣", "1_000", " 7 ", "0x10",
)  # fmt: skip


async def test_no_query_string_makes_the_api_fail(site):
    await site.console.send(traces(server_span(5), attempt_span(5, 1, "a", "upstream_5xx")))
    await site.console.send(logs(request_line(-5, 5, provider="a", operation="chat")))
    await site.console.send(
        metrics(
            counter("c", (-20, 1, {"provider": "a"}), (-10, 2, {"provider": "a"})),
            gauge("g", (-10, 2.5, {})),
            histogram("h", (-20, [1, 2, 3], {}), (-10, [2, 2, 3], {})),
            exponential("e", (-20, [1, 2], {}), (-10, [2, 2], {})),
            summary("s", (-10, {0.5: 1.0})),
        )
    )
    rng = random.Random(13)
    statuses = set()
    paths = (*ROUTES, *(["/api/metrics/range"] * 5), f"/api/traces/{5:032x}", "/api/requests.csv", "/api/cost.csv")
    for _ in range(REQUESTS):
        pairs = [(rng.choice(NAMES), rng.choice(VALUES)) for _ in range(rng.randrange(4))]
        path = rng.choice(paths)
        if path.endswith("range") and rng.random() < 0.9:
            pairs = [("name", rng.choice("cghes")), *(pair for pair in pairs if pair[0] != "name")]
        query = "&".join(f"{name}={quote_from_bytes(value.encode('utf-8', 'surrogatepass'))}" for name, value in pairs)
        response = await site.get(f"{path}?{query}")
        statuses.add(response.status_code)
        assert response.status_code in {200, 400, 404}, f"{path}?{query}: {response.text}"
    assert statuses >= {200, 400}
