"""Reads a provider's export of usage or costs: CSV with a header, or JSON lines.

Input: a file. Output: its figures summed by day and model, exact. Columns are found by the names that
OpenAI and Anthropic use; docs/costs.md lists them. Lines are read one at a time.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from otel.events.usage import NANO

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
INPUT_COLUMNS: Final = ("input_tokens", "prompt_tokens", "n_context_tokens_total")
INPUT_PART_COLUMNS: Final = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation_ephemeral_5m_input_tokens",
    "cache_creation_ephemeral_1h_input_tokens",
    "usage_input_tokens_no_cache",
    "usage_input_tokens_cache_read",
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
)
OUTPUT_COLUMNS: Final = ("output_tokens", "completion_tokens", "n_generated_tokens_total", "usage_output_tokens")
COST_COLUMNS: Final = ("cost", "cost_usd", "amount", "amount_value", "amount_usd", "total_cost")

_MOST_LINE_CHARACTERS: Final = 1_000_000
_MOST_SHOWN: Final = 40
_LARGEST: Final = Decimal(10) ** 15
_SMALLEST_EXPONENT: Final = -30
_HALF_CENT_NANOUSD: Final = Decimal(NANO) / 200
_NAME: Final = re.compile(r"[^a-z0-9]+")
_UNIX_SECONDS: Final = re.compile(r"\d{9,10}(\.\d+)?")
_UNIX_MS: Final = re.compile(r"\d{12,13}")


class InvoiceError(Exception):
    """The file cannot be used; `str()` is one line."""


class _LineError(Exception):
    """One line cannot be used."""


class InvoiceLine(msgspec.Struct):
    """The sums of one day and model; None for what the file has no column for.

    `rounding_nanousd`: by how much the cost may be off because the file has so many digits.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nanousd: Decimal | None = None
    rounding_nanousd: Decimal = Decimal(0)


def read_invoice(path: Path) -> dict[tuple[date, str], InvoiceLine]:
    """Return the figures by day and the provider's name of the model; raises `InvoiceError`."""
    lines: dict[tuple[date, str], InvoiceLine] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, record in _records(file):
                try:
                    _add(lines, record)
                except _LineError as error:
                    raise InvoiceError(f"{path}: line {number}: {error}") from None
    except OSError as error:
        raise InvoiceError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvoiceError(f"{path}: is not UTF-8 text") from None
    except (csv.Error, RecursionError) as error:
        raise InvoiceError(f"{path}: is not CSV: {error}") from None
    except _LineError as error:
        raise InvoiceError(f"{path}: {error}") from None
    if not lines:
        raise InvoiceError(f"{path}: has no lines of usage")
    return lines


def _records(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line number and the fields of each record, by plain names."""
    numbered = _bounded(file)
    first = next((each for each in numbered if each[1].strip()), None)
    if first is None:
        return
    number, line = first
    if line.lstrip().startswith(("{", "[")):
        for number, text in chain([first], numbered):
            if text.strip():
                yield number, _json_record(number, text)
        return
    reader = csv.reader(text for _, text in chain([first], numbered))
    names = [_plain(name) for name in next(reader)]
    for row in reader:
        if any(cell.strip() for cell in row):
            if len(row) > len(names):
                raise _LineError(f"line {number + reader.line_num - 1}: has more cells than the header")
            yield number + reader.line_num - 1, dict(zip(names, row, strict=False))


def _bounded(file: TextIO) -> Iterator[tuple[int, str]]:
    number = 0
    while line := file.readline(_MOST_LINE_CHARACTERS):
        number += 1
        if len(line) == _MOST_LINE_CHARACTERS:
            raise _LineError(f"line {number} is longer than {_MOST_LINE_CHARACTERS:,} characters")
        yield number, line


def _json_record(number: int, text: str) -> dict[str, Any]:
    """Return the fields of an object; those of an object inside it have both names."""
    try:
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _LineError(f"line {number} is not a JSON object: a file of JSON has one on each line")
    record: dict[str, Any] = {}
    for name, value in found.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        record |= {_plain(f"{name}_{key}" if key else name): each for key, each in inner}
    return record


def _plain(name: str) -> str:
    return _NAME.sub("_", name.lower()).strip("_")


def _add(lines: dict[tuple[date, str], InvoiceLine], record: Mapping[str, Any]) -> None:
    """Add one record to the sums of its day and model."""
    day = _day(_required(record, DAY_COLUMNS, "the day"))
    model = str(_required(record, MODEL_COLUMNS, "the model")).strip()
    parts = [record[name] for name in INPUT_PART_COLUMNS if _has(record, name)]
    whole = _first(record, INPUT_COLUMNS)
    inputs = [*parts, *([] if whole is None else [whole])]
    output, cost = _first(record, OUTPUT_COLUMNS), _first(record, COST_COLUMNS)
    if not inputs and output is None and cost is None:
        names = (INPUT_COLUMNS[0], OUTPUT_COLUMNS[0], COST_COLUMNS[0])
        raise _LineError(f"has no tokens and no cost: they are called {', '.join(names)}, or as docs/costs.md lists")
    line = lines.setdefault((day, model), InvoiceLine())
    if inputs:
        line.input_tokens = (line.input_tokens or 0) + sum(_tokens(each) for each in inputs)
    if output is not None:
        line.output_tokens = (line.output_tokens or 0) + _tokens(output)
    if cost is not None:
        amount = _number(cost, "cost")
        exponent = int(amount.as_tuple().exponent)
        line.cost_nanousd = (line.cost_nanousd or Decimal(0)) + amount * NANO
        line.rounding_nanousd += min(Decimal(10) ** exponent * NANO / 2, _HALF_CENT_NANOUSD)


def _has(record: Mapping[str, Any], name: str) -> bool:
    return record.get(name) is not None and str(record[name]).strip() != ""


def _first(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((record[name] for name in names if _has(record, name)), None)


def _required(record: Mapping[str, Any], names: tuple[str, ...], what: str) -> Any:
    found = _first(record, names)
    if found is None:
        raise _LineError(f"has nothing for {what}: the column is called {', '.join(names)}")
    return found


def _tokens(value: object) -> int:
    number = _number(value, "tokens")
    if number != number.to_integral_value() or number < 0:
        raise _LineError(f"tokens {str(value)[:_MOST_SHOWN]!r} is not a whole number")
    return int(number)


def _number(value: object, what: str) -> Decimal:
    text = str(value).strip().removeprefix("$").replace(",", "")
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > _LARGEST or int(number.as_tuple().exponent) < _SMALLEST_EXPONENT:
        raise _LineError(f"{what} {str(value)[:_MOST_SHOWN]!r} is not a number")
    return number


def _day(value: object) -> date:
    """Return the day, UTC, of a date, a time with a date, or a Unix time."""
    text = str(value).strip()
    try:
        if _UNIX_MS.fullmatch(text):
            return datetime.fromtimestamp(int(text) / 1_000, UTC).date()
        if _UNIX_SECONDS.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC).date()
        moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        raise _LineError(f"date {text[:_MOST_SHOWN]!r} is not a day as in 2026-11-01") from None
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
