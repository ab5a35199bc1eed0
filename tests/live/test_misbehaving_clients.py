"""Some hundred clients that cut, reset, half-close, pipeline and stall leave every count exact; `make fuzz` sends thousands."""

import os
import random
import sys
from pathlib import Path

import pytest

from tests.fuzz.client_actors import Observations
from tests.fuzz.client_acts import BEHAVIOURS, acts
from tests.fuzz.client_counts import served_differences
from tests.fuzz.misbehave import misbehave

CLIENTS = 400
KEYS = {name: name for name in ("main", "unknown", "malformed", "revoked", "few-requests", "few-tokens")} | {
    "team-requests": "t", "team-tokens": "t", "none": None,
}  # fmt: skip


@pytest.mark.live
async def test_every_count_is_exact_whatever_clients_do(tmp_path: Path) -> None:
    seed = int(os.environ.get("FUZZ_SEED") or 0) or random.SystemRandom().randrange(1, 2**31)
    sys.stdout.write(f"FUZZ_SEED={seed} runs the same again\n")
    report = await misbehave(tmp_path, clients=CLIENTS, seed=seed, say=print)
    assert not report.problems, "\n".join(report.problems)
    assert set(report.behaviours) == set(BEHAVIOURS)
    assert report.requests_served > CLIENTS // 2
    assert report.calls > CLIENTS // 4
    assert {200, 400, 401, 404, 499} <= set(report.statuses)


def test_the_same_seed_makes_the_same_clients() -> None:
    assert list(acts(50, 7, KEYS)) == list(acts(50, 7, KEYS))
    assert list(acts(50, 7, KEYS)) != list(acts(50, 8, KEYS))


LINE = {
    "trace_id": "t1", "method": "POST", "path": "/v1/chat/completions", "status": 200, "model": "m", "provider": "p",
    "call_status": "success", "attempts": 1, "input_tokens": 3, "output_tokens": 2, "cost_usd": 7e-9,
}  # fmt: skip
CALL = ("t1", "m", "p", "success", 1, 3, 2, 7, 9)
ROUTE = (("method", "POST"), ("path", "/v1/chat/completions"))
SAMPLES = {
    ("fastapi_requests_total", (*ROUTE, ("status_code", "200"))): 1.0,
    ("fastapi_responses_total", (*ROUTE, ("status_code", "200"))): 1.0,
    ("fastapi_requests_duration_seconds_count", ROUTE): 1.0,
    ("fastapi_requests_in_progress", ROUTE): 0.0,
    ("gatewayz_attempts_per_request_count", ()): 1.0,
    ("gatewayz_attempts_per_request_sum", ()): 1.0,
    ("tokens_used_total", ()): 5.0,
    ("gatewayz_cost_by_provider", ()): 7e-9,
    ("credits_used_total", ()): 9e-9,
}


def observations(*trace_ids: str, requests: int = 1) -> Observations:
    seen = Observations()
    seen.requests, seen.trace_ids = requests, list(trace_ids)
    return seen


def test_counts_that_agree_have_no_difference() -> None:
    assert list(served_differences(SAMPLES, [LINE], [CALL], observations("t1"))) == []


@pytest.mark.parametrize("name", sorted({name for name, _ in SAMPLES}))
def test_a_metric_that_is_off_is_found(name: str) -> None:
    samples = {
        key: value + (1e-9 if value < 1e-3 else 1) if key[0] == name else value for key, value in SAMPLES.items()
    }
    samples |= {key: 1.0 for key in samples if key[0] == name == "fastapi_requests_in_progress"}
    (difference,) = served_differences(samples, [LINE], [CALL], observations("t1"))
    assert difference.startswith("requests: " if name == "fastapi_requests_total" else name)


@pytest.mark.parametrize(
    ("lines", "calls", "seen"),
    [
        ([LINE, LINE], [CALL], observations("t1", requests=2)),
        ([LINE], [CALL], observations("t1", "t2")),
        ([LINE], [CALL], observations("t1", "t1")),
        ([LINE], [CALL], observations("t1", requests=0)),
        ([LINE], [], observations("t1")),
        ([LINE], [(*CALL[:3], "error", *CALL[4:])], observations("t1")),
    ],
)
def test_lines_calls_and_responses_that_do_not_agree_are_found(lines, calls, seen) -> None:
    assert list(served_differences(SAMPLES, lines, calls, seen))
