"""RECONCILE BREAKERS: what can be compared where circuit breakers decide which providers are asked.

Comes in: the lines of the ordinary comparison, samples, the ledger, the upstream's books. Goes out:
lines and notes. How often a call failed before it was answered is not the client's to know: such
lines are left out, and the upstream, which has counted what reached it, is held against the gateway
instead, provider by provider.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from demo.books import Books, Series
from demo.gateway_config import CLOSED_PROVIDER, REAL_PROVIDER
from demo.others import Allowance
from demo.output.findings import Line

NOTES: Final = (
    "left out: failed attempts by model, attempts per call by model, because the circuit breakers decide which are made and no client",
    "sees it; by provider they are compared with what the upstream counted (left column of the lines that begin with `upstream:`)",
)
_REPLACED: Final = ("provider_response_time_seconds_count", "gatewayz_attempts_per_request_sum")
_UNSCRIPTED: Final = frozenset({REAL_PROVIDER, CLOSED_PROVIDER})


def is_certain(name: str, labels: Mapping[str, str]) -> bool:
    """Whether the client knows what a series must say although breakers had a say in it."""
    if name == "model_inference_requests_total":
        return labels["status"] != "error"
    return name not in _REPLACED


def compare_attempts(
    books: Books,
    rows: Mapping[str, int],
    samples: Mapping[Series, float],
    upstream: Mapping[str, Any],
    others: Allowance,
) -> Iterator[Line]:
    """Hold the upstream's books against the gateway's attempts."""
    personas: Mapping[str, Any] = upstream["personas"]
    providers = {dict(labels).get("provider", "") for _, labels in samples} - _UNSCRIPTED - {""}
    for name in sorted(providers | personas.keys()):
        page = personas.get(name, {"requests": 0, "with_traceparent": 0, "outcomes": {}})
        answered = page["outcomes"].get("status_200", 0)
        attempts = "model_inference_requests_total"
        yield Line(f"upstream: answered by {name}", answered, _sum(samples, attempts, provider=name, status="success"))
        failed = page["requests"] - answered
        errors = _sum(samples, attempts, provider=name, status="error")
        # An attempt that a caller cancelled is in the upstream's count of failures alone.
        yield Line(
            f"upstream: failed by {name}", failed - others.spare_attempts[name], errors, others.spare_attempts[name]
        )
        responses = _sum(samples, "provider_response_time_seconds_count", provider=name)
        least = page["requests"] - others.spare_attempts[name]
        yield Line(f"upstream: responses of {name}", least, responses, others.spare_attempts[name])
        yield Line(f"upstream: with traceparent at {name}", page["requests"], page["with_traceparent"])
    asked = sum(page["requests"] for page in personas.values()) + books.attempts[REAL_PROVIDER]
    asked += sum(others.attempts[name] for name in _UNSCRIPTED)
    spare = others.spare_attempts.total()
    yield Line("upstream: all attempts", asked, _sum(samples, "gatewayz_attempts_per_request_sum"), spare)
    yield Line("upstream: all attempts in the ledger", asked, rows.get("attempts", 0), spare)
    yield Line("upstream: requests in flight at the end", 0, upstream["in_hand"])


def _sum(samples: Mapping[Series, float], name: str, **labels: str) -> int:
    """Return the sum of a sample over all label sets that hold these labels."""
    wanted = set(labels.items())
    return round(sum(value for (found, pairs), value in samples.items() if found == name and wanted <= set(pairs)))
