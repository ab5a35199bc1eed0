"""Reads a provider's export of usage or costs: CSV with a header, or JSON lines.

file -> lines -> records by plain names -> invoice_fields -> sums by day and model, exact

Columns are found by the names that OpenAI and Anthropic use; docs/costs.md lists them. Lines are read one at a time.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from app.cli.invoice_fields import (
    COST_COLUMNS,
    DAY_COLUMNS,
    INPUT_COLUMN,
    MODEL_COLUMNS,
    OUTPUT_COLUMNS,
    LineError,
    cost_usd,
    day_of,
    input_tokens,
    output_tokens,
    required,
)
from otel.events.usage import NANO

_MOST_LINE_CHARACTERS: Final = 1_000_000
_MOST_NESTED: Final = 3
_HALF_CENT_NANOUSD: Final = Decimal(NANO) / 200
# "Cost (€)" is not "cost", which is in USD.
_NAME: Final = re.compile(r"[^a-z0-9€£¥₹]+")


class InvoiceError(Exception):
    """The file cannot be used; `str()` is one line."""


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
                except LineError as error:
                    raise InvoiceError(f"{path}: line {number}: {error}") from None
    except OSError as error:
        raise InvoiceError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvoiceError(f"{path}: is not UTF-8 text") from None
    except (csv.Error, RecursionError) as error:
        raise InvoiceError(f"{path}: is not CSV: {error}") from None
    except LineError as error:
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
                raise LineError(f"line {number + reader.line_num - 1}: has more cells than the header")
            yield number + reader.line_num - 1, dict(zip(names, row, strict=False))


def _bounded(file: TextIO) -> Iterator[tuple[int, str]]:
    number = 0
    while line := file.readline(_MOST_LINE_CHARACTERS):
        number += 1
        if len(line) == _MOST_LINE_CHARACTERS:
            raise LineError(f"line {number} is longer than {_MOST_LINE_CHARACTERS:,} characters")
        yield number, line


def _json_record(number: int, text: str) -> dict[str, Any]:
    """Return the fields of an object; those of an object inside it have the names of both."""
    try:
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise LineError(f"line {number} is not a JSON object: a file of JSON has one on each line")
    return _flat(found)


def _flat(found: Mapping[str, Any], prefix: str = "", depth: int = 1) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, value in found.items():
        both = f"{prefix}{name}"
        if isinstance(value, dict):
            record |= _flat(value, f"{both}_", depth + 1) if depth < _MOST_NESTED else {}
        else:
            record[_plain(both)] = value
    return record


def _plain(name: str) -> str:
    return _NAME.sub("_", name.lower()).strip("_")


def _add(lines: dict[tuple[date, str], InvoiceLine], record: Mapping[str, Any]) -> None:
    """Add one record to the sums of its day and model."""
    day = day_of(required(record, DAY_COLUMNS, "the day"))
    model = str(required(record, MODEL_COLUMNS, "the model")).strip()
    inputs, outputs, cost = input_tokens(record), output_tokens(record), cost_usd(record)
    if inputs is None and outputs is None and cost is None:
        raise LineError(
            f"has no tokens and no cost: they are called {INPUT_COLUMN}, {OUTPUT_COLUMNS[0]}, {COST_COLUMNS[0]}, "
            "or as docs/costs.md lists"
        )
    line = lines.setdefault((day, model), InvoiceLine())
    if inputs is not None:
        line.input_tokens = (line.input_tokens or 0) + inputs
    if outputs is not None:
        line.output_tokens = (line.output_tokens or 0) + outputs
    if cost is not None:
        exponent = int(cost.as_tuple().exponent)
        line.cost_nanousd = (line.cost_nanousd or Decimal(0)) + cost * NANO
        line.rounding_nanousd += min(Decimal(10) ** exponent * NANO / 2, _HALF_CENT_NANOUSD)
