"""Finds the figures in one record of an invoice: its day, its model, tokens and cost.

Input: the fields of a record by plain names. Output: figures that can be added up; `LineError` where
one cannot be read for certain. docs/costs.md lists the names.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from app.gateway.openai.usage import whole_input

Record: TypeAlias = Mapping[str, Any]

DAY_COLUMNS: Final = (
    "date",
    "day",
    "usage_date_utc",
    "start_time",
    "starting_at",
    "start_date",
    "timestamp",
    "bucket_start",
)
MODEL_COLUMNS: Final = ("model", "model_version", "model_name", "snapshot_id", "upstream_model")
COST_COLUMNS: Final = ("cost_usd", "amount_usd", "cost", "amount", "amount_value", "total_cost", "usage_cost")
CURRENCY_COLUMNS: Final = ("currency", "currency_code", "amount_currency", "cost_currency", "billing_currency")

INPUT_COLUMN: Final = "input_tokens"
OUTPUT_COLUMNS: Final = ("output_tokens", "completion_tokens", "n_generated_tokens_total")
_INCLUSIVE: Final = ("prompt_tokens", "n_context_tokens_total")
_UNCACHED: Final = ("uncached_input_tokens", "input_tokens_no_cache")
_READ: Final = ("cache_read_input_tokens", "input_tokens_cache_read")
_WRITTEN: Final = ("cache_creation_input_tokens",)
_WRITTEN_SHORT: Final = ("cache_creation_ephemeral_5m_input_tokens", "input_tokens_cache_write_5m")
_WRITTEN_LONG: Final = ("cache_creation_ephemeral_1h_input_tokens", "input_tokens_cache_write_1h")
_TOTAL: Final = ("total_tokens",)

_MOST_SHOWN: Final = 40
_LARGEST: Final = Decimal(10) ** 15
_SMALLEST_EXPONENT: Final = -30
_UNIX_SECONDS: Final = re.compile(r"\d{9,10}(\.\d+)?")
_UNIX_MS: Final = re.compile(r"\d{12,13}")
_THOUSANDS: Final = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
_THOUSANDS_BY_DOTS: Final = re.compile(r"\d{1,3}(\.\d{3})+")


class LineError(Exception):
    """One line cannot be used."""


def first(record: Record, names: Iterable[str]) -> Any:
    """Return the first of the fields that is filled in; None where none is."""
    return next((record[name] for name in names if _has(record, name)), None)


def required(record: Record, names: tuple[str, ...], what: str) -> Any:
    """Return the first of the fields that is filled in; raises `LineError` where none is."""
    found = first(record, names)
    if found is None:
        raise LineError(f"has nothing for {what}: the column is called {', '.join(names)}")
    return found


def input_tokens(record: Record) -> int | None:
    """Return the input with what the cache held of it; None where the record has no count of it."""
    read, written = _count(record, _READ), _count(record, _WRITTEN)
    short, long = _count(record, _WRITTEN_SHORT), _count(record, _WRITTEN_LONG)
    # The two by time are parts of the other.
    cached = (read or 0) + (written or (short or 0) + (long or 0))
    uncached = _count(record, _UNCACHED)
    if uncached is not None and (uncached or cached):
        return uncached + cached
    inclusive = _count(record, _INCLUSIVE)
    whole = inclusive or _count(record, (INPUT_COLUMN,))
    if whole is None:
        return None if {inclusive, uncached, read, written, short, long} == {None} else cached
    output, total = _count(record, OUTPUT_COLUMNS), _count(record, _TOTAL)
    return whole_input(whole, cached, output or 0, total, is_apart=not inclusive)


def output_tokens(record: Record) -> int | None:
    """Return the output; None where the record has no count of it."""
    return _count(record, OUTPUT_COLUMNS)


def cost_usd(record: Record) -> Decimal | None:
    """Return the cost; None where the record has none. Raises `LineError` for another currency."""
    name = next((name for name in COST_COLUMNS if _has(record, name)), None)
    if name is None:
        return None
    for column in () if name.endswith("_usd") else CURRENCY_COLUMNS:
        if _has(record, column) and str(record[column]).strip().lower() not in ("usd", "$"):
            raise LineError(f"{column} {_shown(record[column])} is not USD: costs of the ledger are in USD")
    return _number(record[name], "cost")


def day_of(value: object) -> date:
    """Return the day, UTC, of a date, a time with a date, or a Unix time."""
    text = str(value).strip()
    try:
        if _UNIX_MS.fullmatch(text):
            return datetime.fromtimestamp(int(text) / 1_000, UTC).date()
        if _UNIX_SECONDS.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC).date()
        moment = datetime.fromisoformat(text.removesuffix(" UTC"))
        # A time on the first or the last day of the calendar may be outside of it in UTC.
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
    except (OverflowError, ValueError):
        raise LineError(f"date {_shown(text)} is not a day as in 2026-11-01") from None


def _has(record: Record, name: str) -> bool:
    return record.get(name) is not None and str(record[name]).strip() != ""


def _count(record: Record, names: Iterable[str]) -> int | None:
    """Return the first of the counts that is over 0, also of an object `usage`; else 0 where one is filled in, else None."""
    counts = [_tokens(record[each]) for name in names for each in (name, f"usage_{name}") if _has(record, each)]
    return next((count for count in counts if count), 0 if counts else None)


def _tokens(value: object) -> int:
    number = _number(value, "tokens")
    # 1.000 may be a thousand.
    is_whole = number == number.to_integral_value() and not _THOUSANDS_BY_DOTS.fullmatch(str(value).strip())
    if not is_whole or number < 0:
        raise LineError(f"tokens {_shown(value)} is not a whole number")
    return int(number)


def _number(value: object, what: str) -> Decimal:
    text = str(value).strip().removeprefix("$")
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if "," in text:
        raise LineError(f"{what} {_shown(value)} is not a number: a comma only separates thousands, as in 1,000.50")
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > _LARGEST or int(number.as_tuple().exponent) < _SMALLEST_EXPONENT:
        raise LineError(f"{what} {_shown(value)} is not a number")
    return number


def _shown(value: object) -> str:
    return repr(str(value)[:_MOST_SHOWN])
