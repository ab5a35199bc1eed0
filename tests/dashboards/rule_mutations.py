"""Alters one number, comparison, window or duration of the rules at a time; a case must notice each.

`python -m tests.dashboards.rule_mutations` prints the table. It needs the natively built promtool.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "dashboards" / "rules"
PROCESSES = 2
SEVERITY_OF_CASES = {"page": "critical", "ticket": "warning"}
"""By the word before `_test` in the name of a file of cases."""

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+)([smhd])")
_WINDOW = re.compile(r"(?<=\[)\d+[smhd]|(?<=offset )\d+[smhd]")
_COMPARISON = re.compile(r"(?P<operator>==|!=|>=|<=|>|<) (?P<number>\d+(?:\.\d+)?)\b")
_QUANTILE = re.compile(r"(?<=histogram_quantile\()0\.\d+")
_STRING = re.compile(r'"[^"]*"')
_OPPOSITE = {">": "<", "<": ">", "==": "!=", "!=": "=="}
_BOUNDARY = {">": ">=", "<": "<="}
_MUTANT_NAME = re.compile(r"(?:alertname: |expr: \")[^,\n]*?([\w:]+?[Mm]utant\d+)")
_INVALID = re.compile(r"^yaml:|parse error|unmarshal|could not parse|error loading", re.MULTILINE)

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
    for name, rules in _rules_by_name().items():
        for rule in rules:
            for what, before, after, altered in alterations(rule):
                yield Mutant(name, what, before, after, altered)


def rewritten(name: str, before: str, after: str) -> Mutant:
    """Return the rule of a name that has a text, with another in its place; raises ValueError where none has it."""
    for rule in _rules_by_name()[name]:
        if before in rule["expr"]:
            return Mutant(name, "expression", before, after, rule | {"expr": rule["expr"].replace(before, after)})
    raise ValueError(f"{name} no longer has what is to be got wrong: {before}")


def _rules_by_name() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                found.setdefault(rule.get("alert") or rule["record"], []).append(rule)
    return found


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


async def survivors(promtool: Path, tested: Sequence[Mutant], folder: Path) -> list[Mutant]:
    """Return those that no case notices; raises ValueError where promtool refuses a file.

    All that are altered of one rule are judged together, each under a name of its own, on the same series.
    """
    named = {_name(mutant.rule, number): mutant for number, mutant in enumerate(tested)}
    files = [
        path
        for part, rule in enumerate(dict.fromkeys(each.rule for each in tested))
        for path in _write(named, rule, folder / str(part))
    ]
    parts = [files[number::PROCESSES] for number in range(PROCESSES)]
    noticed: set[str] = set()
    for output in await asyncio.gather(*(_run(promtool, part) for part in parts if part)):
        if "exp:" not in output or _INVALID.search(output):
            raise ValueError(output)
        noticed |= set(_MUTANT_NAME.findall(output))
    return [mutant for name, mutant in named.items() if name not in noticed]


def _name(rule: str, number: int) -> str:
    return f"{rule}:mutant{number}" if ":" in rule else f"{rule}Mutant{number}"


def _write(named: dict[str, Mutant], rule: str, folder: Path) -> Iterator[Path]:
    """Write every mutant of a rule, what is recorded for it, and its cases; yield the files of cases."""
    own = {name: mutant for name, mutant in named.items() if mutant.rule == rule}
    kind = "record" if ":" in rule else "alert"
    altered = [mutant.altered | {kind: name} for name, mutant in own.items()]
    (folder / "tests").mkdir(parents=True)
    documents = [*_recorded(rule), {"name": "mutants", "rules": altered}]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": documents}, sort_keys=False))
    for path in sorted((RULES / "tests").glob("*_test.yml")):
        here = {name: mutant for name, mutant in own.items() if _is_about(path, mutant.altered)}
        cases = yaml.safe_load(path.read_text())
        cases["rule_files"] = ["../rules.yml"]
        cases["group_eval_order"] = [group["name"] for group in documents]
        cases["tests"] = [each for test in cases["tests"] if (each := _renamed(test, rule, here))]
        if cases["tests"]:
            (folder / "tests" / path.name).write_text(yaml.safe_dump(cases, sort_keys=False))
            yield folder / "tests" / path.name


def _recorded(rule: str) -> Iterator[dict[str, Any]]:
    """Yield the groups that record what a rule reads: those of its own group, and of the file for all."""
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            is_own = any(rule in {each.get("alert"), each.get("record")} for each in group["rules"])
            records = [each for each in group["rules"] if "record" in each]
            if records and (is_own or ":" in rule or path.name == "recording.yml"):
                yield group | {"rules": records}


def _is_about(path: Path, rule: dict[str, Any]) -> bool:
    """Whether a file is about a rule's severity: the cases of pages and of tickets are apart where both are slow."""
    severity = rule.get("labels", {}).get("severity")
    return SEVERITY_OF_CASES.get(path.stem.split("_")[-2], severity) == severity


def _renamed(test: dict[str, Any], rule: str, own: dict[str, Mutant]) -> dict[str, Any] | None:
    """Return a test with each of its checks once for each altered rule; None where it checks something else."""
    key = "promql_expr_test" if ":" in rule else "alert_rule_test"
    whole = re.compile(rf"(?<![\w:]){rule}(?![\w:])")
    checks = [check for check in test.get(key, ()) if whole.search(check.get("alertname") or check["expr"])]
    if not checks:
        return None
    other = {name: value for name, value in test.items() if name not in {"promql_expr_test", "alert_rule_test"}}
    renamed = [
        _about_alert(check, name, mutant.altered["labels"])
        if "alert" in mutant.altered
        else _about_record(check, name, mutant, whole)
        for name, mutant in own.items()
        for check in checks
    ]
    found = [check for check in renamed if check is not None]
    return other | {key: found} if found else None


def _about_alert(check: dict[str, Any], name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return a check about one of the rules of an alert: what is expected is what has the rule's labels."""
    own = [alert for alert in check["exp_alerts"] if labels.items() <= alert["exp_labels"].items()]
    return check | {"alertname": name, "exp_alerts": own}


def _about_record(check: dict[str, Any], name: str, mutant: Mutant, whole: re.Pattern[str]) -> dict[str, Any] | None:
    """Return a check about a recorded series under another name; None where it is about other labels."""
    text = yaml.safe_dump(check)
    if any(f'{key}="{value}"' not in text for key, value in mutant.altered.get("labels", {}).items()):
        return None
    renamed: dict[str, Any] = yaml.safe_load(whole.sub(name, text))
    return renamed


async def _run(promtool: Path, files: Sequence[Path]) -> str:
    process = await asyncio.create_subprocess_exec(
        promtool, "test", "rules", *files, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode()


def is_equivalent(mutant: Mutant) -> bool:
    """Whether no case can tell it from the rule."""
    return mutant.rule in EQUIVALENT and mutant.after == mutant.before.replace("> ", ">= ")


def main() -> int:
    """Print the table; return 1 where a mutant survives that is not equivalent."""
    from compose.native.build import build, cache_folder, say_on_stderr  # noqa: PLC0415  only the command needs the servers
    from compose.native.programs import SERVERS  # noqa: PLC0415

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
