"""The comparison: equal counters pass, and any one wrong number on either side is found and named."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from demo.gateway_config import DemoModel, RoutePrice
from demo.traffic.counters import TrafficCounters, series
from demo.traffic.plan import CHAT_PATH, Observed, Planned, PlannedAttempt
from tests.harness.exposition import read_exposition
from tests.reconcile.compare import FAILURES, compare_ledger, compare_metrics, compare_upstream, notes_on, read_ledger
from tests.reconcile.findings import Findings, Line
from tests.reconcile.report import table, verdict
from tests.reconcile.unexpected_clients import Allowance

MODELS = (DemoModel(name="m", routes=(RoutePrice("healthy", "0.15", "0.6"),)),)
EXPOSITION = """\
# HELP fastapi_requests_total HTTP requests.
# TYPE fastapi_requests_total counter
fastapi_requests_total{app_name="gatewayz",method="POST",path="/v1/chat/completions",status_code="200"} 1
fastapi_responses_total{app_name="gatewayz",method="POST",path="/v1/chat/completions",status_code="200"} 1
fastapi_requests_duration_seconds_bucket{app_name="gatewayz",method="POST",path="/v1/chat/completions",le="+Inf"} 1
fastapi_requests_duration_seconds_count{app_name="gatewayz",method="POST",path="/v1/chat/completions"} 1
fastapi_requests_duration_seconds_sum{app_name="gatewayz",method="POST",path="/v1/chat/completions"} 0.0123
fastapi_requests_in_progress{app_name="gatewayz",method="POST",path="/v1/chat/completions"} 0
provider_response_time_seconds_count{provider="healthy"} 1
model_inference_requests_total{provider="healthy",model="m",status="success"} 1
model_inference_requests_total{provider="healthy",model="m",status="error"} 0
model_inference_duration_seconds_count{provider="healthy",model="m"} 1
gatewayz_attempts_per_request_count{model="m"} 1
gatewayz_attempts_per_request_sum{model="m"} 1
tokens_used_total{provider="healthy",model="m",token_type="input"} 7
tokens_used_total{provider="healthy",model="m",token_type="output"} 3
gatewayz_cost_by_provider{provider="healthy"} 2.85e-06
gatewayz_cost_usd_total{provider="healthy",model="m",cost_source="priced"} 2.85e-06
gatewayz_exposure_usd_total{provider="healthy",model="m"} 0
credits_used_total{provider="healthy",model="m"} 3.563e-06
cache_hits_total{cache="api_key"} 0
cache_misses_total{cache="api_key"} 1
process_cpu_seconds_total 1.5
"""
UPSTREAM = {"personas": {"healthy": {"requests": 1, "with_traceparent": 1, "outcomes": {}}}, "in_flight": 0}


@pytest.fixture
def counters() -> TrafficCounters:
    attempt = PlannedAttempt(
        provider="healthy", status="success", has_content=True, tokens="reported", input_tokens=7, output_tokens=3
    )
    planned = Planned(
        number=1,
        at_seconds=0.0,
        kind="answer",
        target=CHAT_PATH,
        route=CHAT_PATH,
        status_code=200,
        model="m",
        attempts=(attempt,),
    )
    counters = TrafficCounters(MODELS)
    counters.add(planned, Observed(status_code=200, provider="healthy", usage=(7, 3), is_whole=True))
    return counters


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE ledger (status, cached, attempts, input_tokens, output_tokens, cost_nanousd, credits_nanousd,"
        " reported_nanousd, exposure_nanousd, cached_tokens, reasoning_tokens, model, provider, cost_source)"
    )
    connection.execute(
        "INSERT INTO ledger VALUES ('success', 0, 1, 7, 3, 2850, 3563, NULL, 0, 0, 0, 'm', 'healthy', 'priced')"
    )
    connection.commit()
    connection.close()
    return path


def _differences(counters: TrafficCounters, text: str) -> list[Line]:
    return [line for line in compare_metrics(counters, read_exposition(text)) if not line.is_equal]


def test_equal_counters_have_no_difference(counters: TrafficCounters, ledger_path: Path) -> None:
    samples = read_exposition(EXPOSITION)
    lines = (
        *compare_metrics(counters, samples),
        *compare_ledger(counters, read_ledger(ledger_path), samples),
        *compare_upstream(counters, UPSTREAM),
    )
    findings = Findings(lines)
    assert findings.differences == ()
    assert findings.is_good
    assert len(lines) > 25
    assert verdict(findings) == f"{len(lines)} lines compared, no difference"


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ('status_code="200"} 1', 'status_code="200"} 2', "fastapi_requests_total"),
        ('status_code="200"} 1', 'status_code="500"} 1', "fastapi_requests_total"),
        ('token_type="output"} 3', 'token_type="output"} 4', "tokens_used_total"),
        ("2.85e-06", "2.851e-06", "gatewayz_cost_by_provider"),
        ('status="error"} 0', 'status="error"} 1', "model_inference_requests_total"),
        ('completions"} 0\n', 'completions"} 1\n', "fastapi_requests_in_progress"),
        ('cache_misses_total{cache="api_key"} 1', 'cache_misses_total{cache="api_key"} 2', "cache_hits_total + "),
        (
            "gatewayz_attempts_per_request_sum",
            "gatewayz_attempts_per_request_total",
            "gatewayz_attempts_per_request_sum",
        ),
        ("process_cpu", 'cache_hits_total{cache="response"} 1\nprocess_cpu', "cache_hits_total"),
    ],
)
def test_a_wrong_count_is_found_and_named(counters: TrafficCounters, right: str, wrong: str, named: str) -> None:
    assert right in EXPOSITION
    differences = _differences(counters, EXPOSITION.replace(right, wrong, 1))
    assert differences
    assert all(line.what.startswith(named) for line in differences)
    findings = Findings(tuple(differences))
    assert not findings.is_good
    assert "<- DIFFERENT" in "\n".join(table(findings))
    assert "differ" in verdict(findings)


def test_a_failure_of_another_kind_is_found_although_the_sum_is_right(counters: TrafficCounters) -> None:
    route = {"provider": "healthy", "model": "m"}
    counters.counts[series("model_inference_requests_total", **route, status="error")] += 1
    counters.counts[series(FAILURES, **route, error_kind="upstream_5xx")] += 1
    text = EXPOSITION.replace('status="error"} 0', 'status="error"} 1')
    right = f'{text}{FAILURES}{{provider="healthy",model="m",error_kind="upstream_5xx"}} 1\n'
    assert _differences(counters, right) == []
    differences = _differences(counters, right.replace("upstream_5xx", "rate_limited"))
    assert [line.what.partition("{")[0] for line in differences] == [FAILURES, FAILURES]


@pytest.mark.parametrize("column", ["model", "provider", "cost_source"])
def test_a_cost_that_the_ledger_has_under_another_name_is_found(
    counters: TrafficCounters, ledger_path: Path, column: str
) -> None:
    connection = sqlite3.connect(ledger_path)
    connection.execute(f"UPDATE ledger SET {column} = 'other'")  # noqa: S608  a column of the parametrisation
    connection.commit()
    connection.close()
    lines = compare_ledger(counters, read_ledger(ledger_path), read_exposition(EXPOSITION))
    assert [line for line in lines if not line.is_equal]


@pytest.mark.parametrize(
    "column", ["attempts", "input_tokens", "output_tokens", "cost_nanousd", "credits_nanousd", "cached_tokens"]
)
def test_a_wrong_ledger_is_found(counters: TrafficCounters, ledger_path: Path, column: str) -> None:
    connection = sqlite3.connect(ledger_path)
    connection.execute(f"UPDATE ledger SET {column} = {column} + 1")  # noqa: S608  a column of the parametrisation
    connection.commit()
    connection.close()
    lines = compare_ledger(counters, read_ledger(ledger_path), read_exposition(EXPOSITION))
    assert [line for line in lines if not line.is_equal]


def test_a_missing_row_is_found(counters: TrafficCounters, ledger_path: Path) -> None:
    connection = sqlite3.connect(ledger_path)
    connection.execute("DELETE FROM ledger")
    connection.commit()
    connection.close()
    lines = compare_ledger(counters, read_ledger(ledger_path), read_exposition(EXPOSITION))
    assert Line("ledger: rows success", 1, 0) in list(lines)


@pytest.mark.parametrize(
    "upstream",
    [
        {"personas": {}, "in_flight": 0},
        {"personas": {"healthy": {"requests": 2, "with_traceparent": 2, "outcomes": {}}}, "in_flight": 0},
        {"personas": {"healthy": {"requests": 1, "with_traceparent": 0, "outcomes": {}}}, "in_flight": 0},
        {"personas": {"healthy": {"requests": 1, "with_traceparent": 1, "outcomes": {}}}, "in_flight": 1},
        {
            "personas": {"healthy": {"requests": 1, "with_traceparent": 1, "outcomes": {"client_left": 1}}},
            "in_flight": 0,
        },
        {
            "personas": UPSTREAM["personas"] | {"slow": {"requests": 1, "with_traceparent": 1, "outcomes": {}}},
            "in_flight": 0,
        },  # type: ignore[operator]  JSON
    ],
)
def test_an_attempt_that_the_upstream_saw_otherwise_is_found(
    counters: TrafficCounters, upstream: dict[str, Any]
) -> None:
    assert [line for line in compare_upstream(counters, upstream) if not line.is_equal]


def test_a_mismatch_or_an_empty_table_is_no_success() -> None:
    equal = Line("x", 1, 1)
    assert Findings((equal,)).is_good
    assert not Findings((equal,), ("request 1: late",)).is_good
    assert not Findings(()).is_good
    assert "mismatch: request 1: late" in table(Findings((equal,), ("request 1: late",)))


def test_a_count_that_is_not_whole_is_refused(counters: TrafficCounters) -> None:
    with pytest.raises(ValueError, match=r"counts 1\.5"):
        _differences(counters, EXPOSITION.replace('status_code="200"} 1', 'status_code="200"} 1.5', 1))


def test_the_exposition_is_read_with_its_escapes() -> None:
    text = 'x{a="one \\"two\\" \\\\ three\\nfour",b="{}, "} 1e3\ny 2\nz{} NaN\n'
    samples = read_exposition(text)
    assert samples[series("x", a='one "two" \\ three\nfour', b="{}, ")] == 1000.0
    assert samples[series("y")] == 2.0
    assert samples[series("z")] != samples[series("z")]  # NaN


@pytest.mark.parametrize("text", ["x{a=1} 1", "x", "1x 2", 'x{a="1} 1', "x 1\nx 2"])
def test_what_is_no_exposition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"sample|label"):
        read_exposition(text)


@pytest.mark.parametrize(
    ("requests", "calls", "words"),
    [
        (1, 1, "1 request that"),
        (1, 1, "(1 call to a model)"),
        (2, 0, "2 requests that"),
        (2, 0, "(0 calls to a model)"),
    ],
)
def test_a_note_counts_what_other_clients_sent(requests: int, calls: int, words: str) -> None:
    unexpected = Allowance()
    unexpected.requests, unexpected.calls = requests, calls
    (note,) = notes_on(unexpected)
    assert words in note
