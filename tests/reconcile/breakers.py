"""Compares attempts where circuit breakers decide which providers are tried.

A client cannot know the failed attempts before its response. The upstream has counted them, so its counts are compared
with the gateway's, provider by provider.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from demo.gateway_config import CLOSED_PROVIDER, REAL_PROVIDER
from demo.traffic.counters import Series, TrafficCounters
from tests.reconcile.findings import Line
from tests.reconcile.unexpected_clients import Allowance

NOTES: Final = (
    "left out: failed attempts by model, attempts per call by model, because the circuit breakers decide which are made and no client",
    "sees it; by provider they are compared with what the upstream counted (left column of the lines that begin with `upstream:`)",
)
_REPLACED: Final = (
    "gatewayz_attempt_failures_total",
    "provider_response_time_seconds_count",
    "gatewayz_attempts_per_request_sum",
)
_UNSCRIPTED: Final = frozenset({REAL_PROVIDER, CLOSED_PROVIDER})


def is_certain(name: str, labels: Mapping[str, str]) -> bool:
    """Whether the client knows the value of a series although breakers are on."""
    if name == "model_inference_requests_total":
        return labels["status"] != "error"
    return name not in _REPLACED


def compare_attempts(
    counters: TrafficCounters,
    rows: Mapping[str, int],
    samples: Mapping[Series, float],
    upstream: Mapping[str, Any],
    unexpected: Allowance,
) -> Iterator[Line]:
    """Compare the upstream's counters with the gateway's attempts."""
    personas: Mapping[str, Any] = upstream["personas"]
    providers = {dict(labels).get("provider", "") for _, labels in samples} - _UNSCRIPTED - {""}
    for name in sorted(providers | personas.keys()):
        counted = personas.get(name, {"requests": 0, "with_traceparent": 0, "outcomes": {}})
        responded = counted["outcomes"].get("status_200", 0)
        attempts = "model_inference_requests_total"
        yield Line(f"upstream: answered by {name}", responded, _sum(samples, attempts, provider=name, status="success"))
        failed = counted["requests"] - responded
        errors = _sum(samples, attempts, provider=name, status="error")
        # An attempt that a caller cancelled is in the upstream's count of failures alone.
        yield Line(
            f"upstream: failed by {name}",
            failed - unexpected.spare_attempts[name],
            errors,
            unexpected.spare_attempts[name],
        )
        responses = _sum(samples, "provider_response_time_seconds_count", provider=name)
        least = counted["requests"] - unexpected.spare_attempts[name]
        yield Line(f"upstream: responses of {name}", least, responses, unexpected.spare_attempts[name])
        yield Line(f"upstream: with traceparent at {name}", counted["requests"], counted["with_traceparent"])
    asked = sum(counted["requests"] for counted in personas.values()) + counters.attempts[REAL_PROVIDER]
    asked += sum(unexpected.attempts[name] for name in _UNSCRIPTED)
    spare = unexpected.spare_attempts.total()
    yield Line("upstream: all attempts", asked, _sum(samples, "gatewayz_attempts_per_request_sum"), spare)
    yield Line("upstream: all attempts in the ledger", asked, rows.get("attempts", 0), spare)
    yield Line("upstream: requests in flight at the end", 0, upstream["in_flight"])


def _sum(samples: Mapping[Series, float], name: str, **labels: str) -> int:
    """Return the sum of a sample over all label sets that hold these labels."""
    wanted = set(labels.items())
    return round(sum(value for (found, pairs), value in samples.items() if found == name and wanted <= set(pairs)))
