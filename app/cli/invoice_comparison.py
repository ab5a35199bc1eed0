"""Compares a provider's invoice with the ledger by day and model, and names each difference.

The invoice has the provider's names of models, the ledger the public ones: the routes of the
configuration connect them. A cost agrees where it is equal within the digits of the invoice.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Final, Literal, TypeAlias

import msgspec

from app.cli.invoice import InvoiceLine
from app.config.schema import AppConfig
from app.store.usage_report import UsageSums
from console.csv_text import inert
from otel.events.usage import NANO

Kind: TypeAlias = Literal["missing here", "missing there", "input tokens", "output tokens", "cost USD"]

_MONTH_DAY: Final = r"(0[1-9]|1[0-2]){}(0[1-9]|[12]\d|3[01])"
_SNAPSHOT: Final = re.compile(
    rf"-(20\d\d)?{_MONTH_DAY.format('')}|-20\d\d-{_MONTH_DAY.format('-')}|[@:][^a-z]+", re.ASCII | re.IGNORECASE
)
"""What follows a model's name in that of a snapshot: a date, or a version after `@` or `:`."""


class Difference(msgspec.Struct, frozen=True):
    """One figure that differs: `here` is the ledger's, `there` the invoice's; None where the line is missing."""

    day: str
    model: str
    difference: Kind
    here: str | None
    there: str | None
    by: str | None = None


class Comparison(msgspec.Struct, frozen=True):
    """How many days and models were compared, and all differences."""

    compared: int
    differences: list[Difference]


def upstream_names(config: AppConfig, provider: str) -> dict[str, frozenset[str]]:
    """Return the provider's names of each public model that it serves: one for each of the model's routes to it."""
    return {
        model.name: names
        for model in config.models
        if (names := frozenset(route.upstream_model for route in model.routes if route.provider == provider))
    }


def compare(
    invoice: Mapping[tuple[date, str], InvoiceLine],
    ledger: Mapping[tuple[date, str], UsageSums],
    names: Mapping[str, frozenset[str]],
) -> Comparison:
    """Compare the two; the ledger is by day and public model, `names` gives the provider's names of each model.

    The ledger has one sum for a public model with two routes to the provider, and the invoice one for two
    public models with the same route: models that are linked by such names are one line.
    """
    lines = _lines_of(names)
    there = _merged_invoice(invoice, lines)
    here: dict[tuple[date, str], UsageSums] = defaultdict(UsageSums)
    for (day, model), sums in ledger.items():
        # A call that failed without using tokens is on no invoice.
        if sums.input_tokens or sums.output_tokens or sums.cost_nanousd:
            line = lines[min(names[model])] if model in names else model
            here[day, line] = here[day, line].plus(sums)
    keys = sorted(here.keys() | there.keys())
    differences = [each for key in keys for each in _differences(key, here.get(key), there.get(key))]
    return Comparison(len(keys), differences)


def _lines_of(names: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Return for each of the provider's names the line that it is compared in: all names that belong together."""
    groups: list[frozenset[str]] = []
    for of_model in names.values():
        linked = [group for group in groups if group & of_model]
        groups = [group for group in groups if not group & of_model] + [of_model.union(*linked)]
    return {name: " + ".join(sorted(group)) for group in groups for name in group}


def _merged_invoice(
    invoice: Mapping[tuple[date, str], InvoiceLine], lines: Mapping[str, str]
) -> dict[tuple[date, str], InvoiceLine]:
    """Add the lines of a model's snapshots, as in `gpt-4o-2024-08-06`, to those of the name that requests use."""
    merged: dict[tuple[date, str], InvoiceLine] = {}
    for (day, model), line in invoice.items():
        requested = _requested_name(model, lines.keys())
        key = (day, lines.get(requested, requested))
        merged[key] = _sum(merged[key], line) if key in merged else line
    return merged


def _requested_name(model: str, known: Collection[str]) -> str:
    if model in known:
        return model
    # Other numbers are other models: `claude-opus-4-1` is not `claude-opus-4`, nor `gpt-4o-mini` `gpt-4o`.
    stems = [name for name in known if model.startswith(name) and _SNAPSHOT.fullmatch(model, len(name))]
    return max(stems, key=len, default=model)


def _sum(one: InvoiceLine, two: InvoiceLine) -> InvoiceLine:
    return InvoiceLine(
        input_tokens=_plus(one.input_tokens, two.input_tokens),
        output_tokens=_plus(one.output_tokens, two.output_tokens),
        cost_nanousd=two.cost_nanousd if one.cost_nanousd is None else one.cost_nanousd + (two.cost_nanousd or 0),
        rounding_nanousd=one.rounding_nanousd + two.rounding_nanousd,
    )


def _plus(one: int | None, two: int | None) -> int | None:
    return two if one is None else one + (two or 0)


def _differences(key: tuple[date, str], here: UsageSums | None, there: InvoiceLine | None) -> Iterator[Difference]:
    day, model = key[0].isoformat(), key[1]
    if there is None and here is not None:
        counted = _line(here.input_tokens, here.output_tokens, Decimal(here.cost_nanousd))
        yield Difference(day, model, "missing there", counted, None)
    elif here is None and there is not None:
        billed = _line(there.input_tokens, there.output_tokens, there.cost_nanousd)
        yield Difference(day, model, "missing here", None, billed)
    elif here is not None and there is not None:
        counts: tuple[tuple[Kind, int, int | None], ...] = (
            ("input tokens", here.input_tokens, there.input_tokens),
            ("output tokens", here.output_tokens, there.output_tokens),
        )
        for kind, mine, other in counts:
            if other is not None and mine != other:
                yield Difference(day, model, kind, str(mine), str(other), f"{mine - other:+d}")
        if there.cost_nanousd is not None:
            by = here.cost_nanousd - there.cost_nanousd
            if abs(by) > there.rounding_nanousd:
                sign = "+" if by > 0 else ""
                yield Difference(
                    day, model, "cost USD", _usd(Decimal(here.cost_nanousd)), _usd(there.cost_nanousd), sign + _usd(by)
                )


def _line(inputs: int | None, outputs: int | None, cost: Decimal | None) -> str:
    parts = [f"{count} {what}" for count, what in ((inputs, "input"), (outputs, "output")) if count is not None]
    return ", ".join([*parts, *([] if cost is None else [f"{_usd(cost)} USD"])])


def _usd(nanousd: Decimal) -> str:
    return f"{(nanousd / NANO).normalize():f}"


def comparison_text(comparison: Comparison, form: str) -> str:
    """Return the differences as a table, as CSV or as JSON."""
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(comparison), indent=2).decode()
    if form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Difference.__struct_fields__)
        writer.writerows([inert(each or "") for each in msgspec.structs.astuple(row)] for row in comparison.differences)
        return text.getvalue().rstrip("\n")
    return "\n".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    for each in comparison.differences:
        where = f"{each.day} {each.model}: "
        if each.difference == "missing here":
            yield f"{where}missing in the ledger: the invoice has {each.there}"
        elif each.difference == "missing there":
            yield f"{where}missing in the invoice: the ledger has {each.here}"
        else:
            figures = f"{each.here} in the ledger, {each.there} in the invoice, difference {each.by}"
            yield f"{where}{each.difference}: {figures}"
    differing = len({(each.day, each.model) for each in comparison.differences})
    if comparison.compared == 1:
        yield f"the only line {'differs' if differing else 'agrees'}"
    elif differing:
        yield f"{differing} of {comparison.compared} lines differ"
    else:
        yield f"all {comparison.compared} lines agree"
