"""Requests of unexpected clients are allowed for as the log and the ledger report them; all else must agree."""

import json
import sqlite3
from pathlib import Path

import pytest

from demo.gateway_config import REAL_MODEL, DemoModel, RoutePrice
from demo.traffic.counters import KEY_LOOKUPS, TrafficCounters, series
from tests.reconcile.unexpected_clients import UnexpectedClients

MODELS = (
    DemoModel(name="m", routes=(RoutePrice("healthy", "1", "1"), RoutePrice("slow", "1", "1"))),
    DemoModel(name=REAL_MODEL, routes=(RoutePrice("local", "1", "1"),)),
)
CHAT = {"app_name": "gatewayz", "method": "POST", "path": "/v1/chat/completions"}
ROW = {
    "key_id": "theirs", "trace_id": "t1", "model": "m", "provider": "healthy", "status": "success", "error_kind": None,
    "stream": 0, "cached": 0, "attempts": 1, "input_tokens": 7, "output_tokens": 3, "usage_estimated": 0, "cost_source": "priced",
    "reported_nanousd": None, "exposure_nanousd": 0, "cached_tokens": 0, "reasoning_tokens": 0,
    "cost_nanousd": 10, "credits_nanousd": 12, "first_token_ms": None,
}  # fmt: skip


@pytest.fixture
def counters() -> TrafficCounters:
    return TrafficCounters(MODELS)


@pytest.fixture
def make_clients(tmp_path: Path):
    def make(*rows: dict[str, object], lines: tuple[object, ...] = ()) -> UnexpectedClients:
        connection = sqlite3.connect(tmp_path / "ledger.db")
        connection.execute(f"CREATE TABLE ledger ({', '.join(ROW)})")
        for row in rows:
            connection.execute(f"INSERT INTO ledger VALUES ({', '.join('?' * len(ROW))})", list((ROW | row).values()))  # noqa: S608  constant
        connection.commit()
        connection.close()
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        (tmp_path / "log").write_text(text)
        return UnexpectedClients(tmp_path / "log", tmp_path / "ledger.db", {"own"}, MODELS)

    return make


def _line(**fields: object) -> dict[str, object]:
    return {
        "logger": "gatewayz.request", "trace_id": "t1", "method": "POST", "path": "/v1/chat/completions", "status": 200,
    } | fields  # fmt: skip


def test_own_requests_are_not_allowed_for(counters: TrafficCounters, make_clients) -> None:
    counters.trace_ids.add("t2")
    clients = make_clients(
        {"key_id": "own"},
        {"key_id": "own", "model": REAL_MODEL, "trace_id": "t2"},
        lines=(_line(key_id="own"), _line(trace_id="t2", status=401), "gateway: listening", _line(logger="other")),
    )
    allowance = clients.read(counters)
    assert (allowance.requests, allowance.calls) == (0, 0)
    assert not allowance.least
    assert not allowance.spare


def test_a_call_of_another_client_is_allowed_for_exactly(counters: TrafficCounters, make_clients) -> None:
    allowance = make_clients({}, lines=(_line(key_id="theirs", model="m", provider="healthy"),)).read(counters)
    assert allowance.least[series("fastapi_requests_total", **CHAT, status_code="200")] == 1
    assert allowance.least[series(KEY_LOOKUPS, cache="api_key")] == 1
    assert allowance.least[series("gatewayz_cost_by_provider", provider="healthy")] == 10
    assert allowance.least[series("tokens_used_total", provider="healthy", model="m", token_type="input")] == 7
    assert allowance.ledger["cost (nano-USD)"] == 10
    assert allowance.attempts == {"healthy": 1}
    assert not +allowance.spare


def test_a_call_that_ended_before_a_provider_was_asked_is_of_the_provider_other(
    counters: TrafficCounters, make_clients
) -> None:
    left = _line(key_id="theirs", model="m", provider=None, status=499, cancel_phase="before_first_byte")
    row = {
        "provider": None,
        "status": "cancelled",
        "attempts": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_nanousd": 0,
    }
    allowance = make_clients(row, lines=(left,)).read(counters)
    cancelled = series("gatewayz_cancelled_calls_total", provider="other", model="m", phase="before_first_byte")
    assert allowance.least[cancelled] == 1


def test_failover_of_another_client_is_known_by_the_order_of_the_routes(
    counters: TrafficCounters, make_clients
) -> None:
    allowance = make_clients({"provider": "slow", "attempts": 2}).read(counters)
    failed = series("model_inference_requests_total", provider="healthy", model="m", status="error")
    assert allowance.least[failed] == 1
    assert allowance.attempts == {"healthy": 1, "slow": 1}
    # Which attempt the tokens belong to is open.
    assert allowance.spare[series("gatewayz_cost_by_provider", provider="healthy")] == 10
    assert allowance.spare[series("gatewayz_cost_by_provider", provider="slow")] == 10


def test_the_kind_of_an_only_attempt_is_known_and_of_several_it_may_be_any(
    counters: TrafficCounters, make_clients
) -> None:
    failed = {"status": "error", "error_kind": "rate_limited"}
    allowance = make_clients(failed, failed | {"provider": "slow", "attempts": 2}).read(counters)
    family = "gatewayz_attempt_failures_total"
    assert allowance.least[series(family, provider="healthy", model="m", error_kind="rate_limited")] == 1
    for provider in ("healthy", "slow"):
        kind = series(family, provider=provider, model="m", error_kind="connect_error")
        assert (allowance.least[kind], allowance.spare[kind]) == (0, 1)


def test_a_request_without_a_known_key_may_have_been_looked_up(counters: TrafficCounters, make_clients) -> None:
    allowance = make_clients(lines=(_line(status=401),)).read(counters)
    assert allowance.least[series("fastapi_requests_total", **CHAT, status_code="401")] == 1
    assert allowance.spare == {series(KEY_LOOKUPS, cache="api_key"): 1}


def test_a_dropped_call_to_the_real_model_counts_as_one_of_another_client(
    counters: TrafficCounters, make_clients
) -> None:
    row = {"key_id": "own", "model": REAL_MODEL, "provider": "local", "status": "cancelled"}
    allowance = make_clients(row).read(counters)
    assert allowance.calls == 1
    assert allowance.spare_attempts == {"local": 1}


def test_the_log_is_read_on_from_where_it_was_left(counters: TrafficCounters, make_clients, tmp_path: Path) -> None:
    clients = make_clients(lines=(_line(status=401),))
    assert clients.read(counters).requests == 1
    with (tmp_path / "log").open("a") as log:
        log.write(json.dumps(_line(status=404)) + "\n" + '{"logger": "gatewayz.req')
    assert clients.read(counters).requests == 2
