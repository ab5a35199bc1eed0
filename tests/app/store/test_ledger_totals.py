"""Sums over the ledger are exact, in both databases."""

import random
from collections import defaultdict

import pytest

from app.config.schema import LedgerConfig
from app.errors import StoreUnavailableError
from app.store.database import create_engine
from app.store.ledger import LedgerWriter
from app.store.ledger_totals import LedgerTotals, ledger_totals
from otel.noop import DisabledRecorder

SUMMED = ("attempts", "input_tokens", "output_tokens", "cost_nanousd", "credits_nanousd")


async def test_totals_equal_the_sums_over_the_rows(engine, recorder, make_row) -> None:
    chance = random.Random(7)
    rows = [
        make_row(
            number,
            provider=chance.choice(["alpha", "beta", None]),
            model=chance.choice(["small", "large"]),
            status=chance.choice(["success", "error", "cancelled"]),
            attempts=chance.randint(0, 3),
            input_tokens=chance.randint(0, 10**6),
            output_tokens=chance.randint(0, 10**4),
            cost_nanousd=chance.randint(0, 10**15),
            credits_nanousd=chance.randint(0, 10**15),
        )
        for number in range(3_000)
    ]
    ledger = LedgerWriter(engine, LedgerConfig(), recorder)
    ledger.start()
    for row in rows:
        ledger.append(row)
    assert await ledger.close(20) == 0

    expected = defaultdict(lambda: [0] * (1 + len(SUMMED)))
    for row in rows:
        sums = expected[row.model, row.provider or "", row.status]
        for place, value in enumerate((1, *(getattr(row, name) for name in SUMMED))):
            sums[place] += value
    totals = await ledger_totals(engine)
    assert {
        (each.model, each.provider or "", each.status): [each.calls, *(getattr(each, name) for name in SUMMED)]
        for each in totals
    } == expected
    assert all(type(each.cost_nanousd) is int for each in totals)
    assert totals == sorted(totals, key=lambda each: (each.model, each.provider or "", each.status))


async def test_a_window_holds_its_start_and_not_its_end(engine, recorder, make_row) -> None:
    ledger = LedgerWriter(engine, LedgerConfig(), recorder)
    ledger.start()
    for number in range(10):
        ledger.append(make_row(number))
    assert await ledger.close(5) == 0
    start = make_row(0).started_unix_ms
    (total,) = await ledger_totals(engine, since_unix_ms=start + 3, before_unix_ms=start + 7)
    assert total == LedgerTotals(
        provider="alpha",
        model="small",
        status="success",
        calls=4,
        attempts=4,
        input_tokens=40,
        output_tokens=20,
        cost_nanousd=28,
        credits_nanousd=36,
    )
    assert await ledger_totals(engine, since_unix_ms=start + 10) == []


async def test_a_database_that_is_away_is_one_error() -> None:
    engine = create_engine("postgresql+asyncpg://u@127.0.0.1:1/x", DisabledRecorder())
    with pytest.raises(StoreUnavailableError):
        await ledger_totals(engine)
    await engine.dispose()
