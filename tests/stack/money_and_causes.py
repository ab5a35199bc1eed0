"""What Prometheus has of money and of causes after the mix, in PromQL, against the traffic's own counts and the ledger file."""

import sqlite3
from collections import Counter
from pathlib import Path

from demo.traffic.counters import TrafficCounters
from tests.stack.stores import Stores

COST = "gatewayz_cost_usd_total"
PROVIDER_COST = "gatewayz_cost_by_provider"
DETAILS = "gatewayz_tokens_detail_total"
FAILURES = "gatewayz_attempt_failures_total"
DRIVEN_KINDS = frozenset(
    {
        "bad_response", "connect_error", "first_byte_timeout", "idle_timeout", "model_unavailable", "rate_limited",
        "stream_broken", "upstream_4xx", "upstream_5xx", "upstream_auth", "upstream_quota", "whole_answer_timeout",
    }
)  # fmt: skip
"""Every way in which an upstream of the mix fails."""

_NANO = 1_000_000_000
_LEDGER_COST = "SELECT coalesce({column}, ''), sum(cost_nanousd) FROM ledger GROUP BY 1 HAVING sum(cost_nanousd) != 0"


async def assert_money(stores: Stores, counters: TrafficCounters, database_path: Path) -> list[str]:
    """Check cost by provider, model and source and tokens by detail; return a line for each. Nano-US-dollars."""
    by_provider = await _nano(stores, f"sum by (provider) ({COST})", "provider")
    by_model = await _nano(stores, f"sum by (model) ({COST})", "model")
    by_source = await _nano(stores, f"sum by (cost_source) ({COST})", "cost_source")
    details = Counter({name: int(value) for name, value in (await _values(stores, DETAILS, "token_detail")).items()})
    assert by_provider == await _nano(stores, f"sum by (provider) ({PROVIDER_COST})", "provider")
    assert by_provider == +_booked(counters, PROVIDER_COST, "provider")
    assert by_model == +_booked(counters, COST, "model") == _in_ledger(database_path, "model")
    assert by_source == +_booked(counters, COST, "cost_source")
    assert by_source.keys() == {"reported", "priced", "estimated"}
    # A call with an estimated attempt is a row with an estimated cost: what other attempts of it cost is in that row.
    total = sum(_in_ledger(database_path, "cost_source").values())
    assert by_provider.total() == by_model.total() == by_source.total() == total
    assert +details == +_booked(counters, DETAILS, "token_detail")
    assert (details["cached"], details["reasoning"]) == _details_in_ledger(database_path)
    assert min(details["cached"], details["reasoning"]) > 0
    parts = " + ".join(f"{amount} {source}" for source, amount in sorted(by_source.items()))
    return [
        f"cost: {total} nano-USD in Prometheus over {len(by_provider)} providers and over {len(by_model)} models = ledger = {parts}",
        f"token details: {details['cached']} cached, {details['reasoning']} reasoning, the same in the ledger",
    ]


async def assert_causes(stores: Stores, counters: TrafficCounters) -> str:
    """Check that each kind of failure has the traffic's own count; return a line."""
    values = await _values(stores, FAILURES, "error_kind")
    kinds = +Counter({kind: int(value) for kind, value in values.items()})
    assert kinds == _booked(counters, FAILURES, "error_kind")
    assert kinds.keys() == DRIVEN_KINDS
    return f"failed attempts: {kinds.total()} = " + ", ".join(f"{kind} {kinds[kind]}" for kind in sorted(kinds))


async def _values(stores: Stores, name: str, label: str) -> dict[str, float]:
    return await _query(stores, f"sum by ({label}) ({name})", label)


async def _nano(stores: Stores, query: str, label: str) -> Counter[str]:
    """Return US dollars in whole nano-US-dollars by a label, without those of 0."""
    return +Counter({value: round(usd * _NANO) for value, usd in (await _query(stores, query, label)).items()})


async def _query(stores: Stores, query: str, label: str) -> dict[str, float]:
    return {each["metric"][label]: float(each["value"][1]) for each in await stores.prometheus(query)}


def _booked(counters: TrafficCounters, name: str, label: str) -> Counter[str]:
    """Add up the traffic's own counts of a family for each value of a label."""
    sums: Counter[str] = Counter()
    for (found, labels), amount in counters.counts.items():
        if found == name:
            sums[dict(labels)[label]] += amount
    return sums


def _in_ledger(path: Path, column: str) -> Counter[str]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return Counter(dict(connection.execute(_LEDGER_COST.format(column=column)).fetchall()))
    finally:
        connection.close()


def _details_in_ledger(path: Path) -> tuple[int, int]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        cached, reasoning = connection.execute(
            "SELECT sum(cached_tokens), sum(reasoning_tokens) FROM ledger"
        ).fetchone()
    finally:
        connection.close()
    return cached, reasoning
