"""Alters one number, comparison, window or duration of the rules at a time; a case must notice each.

`python -m tests.dashboards.rule_mutations` prints the table. It needs the natively built promtool.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "dashboards" / "rules"
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+)([smhd])")
_WINDOW = re.compile(r"(?<=\[)\d+[smhd]|(?<=offset )\d+[smhd]")
_COMPARISON = re.compile(r"(?P<operator>==|!=|>=|<=|>|<) (?P<number>\d+(?:\.\d+)?)\b")
_QUANTILE = re.compile(r"(?<=histogram_quantile\()0\.\d+")
_STRING = re.compile(r'"[^"]*"')
_OPPOSITE = {">": "<", "<": ">", "==": "!=", "!=": "=="}
_BOUNDARY = {">": ">=", "<": "<="}

EQUIVALENT = frozenset(
    {
        "HighErrorRate",
        "HighLatency",
        "HighCostRate",
        "ProviderSlow",
        "AvailabilityBudgetBurn",
        "FirstTokenBudgetBurn",
        "CostBudgetBurn",
    }
)
"""Alerts on rates and quantiles: these are equal to a limit only by the chance of rounding, so no case tells `>=` from `>`."""


class Mutant(NamedTuple):
    """One altered rule: the alert or record, what is altered, and the altered rule."""

    rule: str
    what: str
    before: str
    after: str
    altered: dict[str, Any]


def mutants() -> Iterator[Mutant]:
    """Yield every alteration of every rule."""
    for rule in shipped_rules():
        for what, before, after, altered in alterations(rule):
            yield Mutant(name_of(rule), what, before, after, altered)


def rewritten(name: str, before: str, after: str) -> Mutant:
    """Return the rule of a name that has a text, with another in its place; raises ValueError where none has it."""
    for rule in shipped_rules():
        if name_of(rule) == name and before in rule["expr"]:
            return Mutant(name, "expression", before, after, rule | {"expr": rule["expr"].replace(before, after)})
    raise ValueError(f"{name} no longer has what is to be got wrong: {before}")


def shipped_rules() -> list[dict[str, Any]]:
    """Return every rule in the order of the files: what a rule reads is recorded before it."""
    return [
        rule
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def name_of(rule: Mapping[str, Any]) -> str:
    """Return the name of an alert or of a recorded series."""
    name: str = rule.get("alert") or rule["record"]
    return name


def alterations(rule: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield what is altered, the text before and after, and the altered rule."""
    for what, span, after in _expression_alterations(rule["expr"]):
        start, end = span
        altered = rule | {"expr": rule["expr"][:start] + after + rule["expr"][end:]}
        yield what, rule["expr"][start:end], after, altered
    if "for" in rule:
        for factor in (2.0, 0.5):
            after = _scaled(rule["for"], factor)
            yield "for", rule["for"], after, rule | {"for": after}


def _expression_alterations(expression: str) -> Iterator[tuple[str, tuple[int, int], str]]:
    bare = _STRING.sub(lambda match: "_" * len(match[0]), expression)
    for match in _WINDOW.finditer(bare):
        yield "window", match.span(), _scaled(match[0], 2.0)
        yield "window", match.span(), _scaled(match[0], 0.5)
    for match in _QUANTILE.finditer(bare):
        yield "quantile", match.span(), "0.9"
        yield "quantile", match.span(), "0.99"
    for match in _COMPARISON.finditer(bare):
        operator, number = match["operator"], match["number"]
        yield "comparison", match.span(), f"{_OPPOSITE[operator]} {number}"
        if operator in _BOUNDARY:
            yield "comparison", match.span(), f"{_BOUNDARY[operator]} {number}"
        for other in _other_numbers(operator, float(number)):
            yield "threshold", match.span(), f"{operator} {other:g}"


def _other_numbers(operator: str, number: float) -> tuple[float, ...]:
    """Return a higher and a lower threshold; for a state, the other state."""
    if operator in {"==", "!="}:
        return (1.0 - number,)
    return (number * 1.25, number * 0.8) if number else (2.0, -1.0)


def _scaled(duration: str, factor: float) -> str:
    """Return a duration times a factor, in whole seconds."""
    seconds = sum(int(count) * _SECONDS[unit] for count, unit in _DURATION.findall(duration))
    return f"{round(seconds * factor)}s"


def is_equivalent(mutant: Mutant) -> bool:
    """Whether no case can tell it from the rule."""
    return mutant.rule in EQUIVALENT and mutant.after == mutant.before.replace("> ", ">= ")


def main() -> int:
    """Print the table; return 1 where a mutant survives that is not equivalent."""
    from compose.native.build import build, cache_folder, say_on_stderr  # noqa: PLC0415  only the command needs the servers
    from compose.native.programs import SERVERS  # noqa: PLC0415
    from tests.dashboards.mutant_runs import survivors  # noqa: PLC0415  reads what is altered here

    tested = list(mutants())
    chosen = sys.argv[1:]
    if chosen:
        tested = [mutant for mutant in tested if mutant.rule in chosen]
    promtool = build(SERVERS, cache_folder(), say_on_stderr)["promtool"]
    with tempfile.TemporaryDirectory() as folder:
        alive = asyncio.run(survivors(promtool, tested, Path(folder)))
    print("| rule | altered | from | to | noticed |\n|---|---|---|---|---|")  # noqa: T201
    for mutant in tested:
        noticed = "yes" if mutant not in alive else "cannot be" if is_equivalent(mutant) else "**no**"
        before, after = (text.replace("|", "\\|") for text in (mutant.before, mutant.after))
        print(f"| {mutant.rule} | {mutant.what} | `{before}` | `{after}` | {noticed} |")  # noqa: T201
    missed = [mutant for mutant in alive if not is_equivalent(mutant)]
    print(f"\n{len(tested)} altered rules, {len(tested) - len(alive)} noticed, {len(alive) - len(missed)} cannot be")  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
