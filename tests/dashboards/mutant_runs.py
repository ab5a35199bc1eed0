"""Runs the cases of the rules on altered rules, and finds the altered ones that no case notices.

The n-th case of each alert is one round: what it notices is not judged again in the next. In a case every altered rule that
it is about has a name of its own, so that all are judged together, on the same series.
"""

import asyncio
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.dashboards.rule_mutations import RULES, Mutant, name_of, shipped_rules

PROCESSES = 2
SEVERITY_OF_CASES = {"page": "critical", "ticket": "warning"}
"""By the word before `_test` in the name of a file of cases."""

_MUTANT_NAME = re.compile(r"(?:alertname: |expr: \")[^,\n]*?([\w:]+?[Mm]utant\d+)")
_INVALID = re.compile(r"^yaml:|parse error|unmarshal|could not parse|error loading|, err: ", re.MULTILINE)
_ENVIRONMENT = {"GOGC": "400"}
"""Each case fills and leaves a small database: collecting less often saves a fifth of the time."""


class _Case(NamedTuple):
    """One test of a file of cases: the file's name, all that it says, and the test."""

    path: Path
    document: Mapping[str, Any]
    test: Mapping[str, Any]


async def survivors(promtool: Path, tested: Sequence[Mutant], folder: Path) -> list[Mutant]:
    """Return those that no case notices; raises ValueError where promtool refuses a file or cannot evaluate a rule."""
    alive = {_name(mutant.rule, number): mutant for number, mutant in enumerate(tested)}
    of_alerts = _cases_of_alerts()
    recorded = [rule for rule in shipped_rules() if "record" in rule]
    for number in itertools.count():
        cases = [each[number] for each in of_alerts if number < len(each)]
        if not cases:
            break
        here = folder / str(number)
        here.mkdir()
        files = [file for case in cases if (file := _write(case, alive, recorded, here))]
        noticed = await _noticed(promtool, files)
        alive = {name: mutant for name, mutant in alive.items() if name not in noticed}
    return list(alive.values())


def _cases_of_alerts() -> list[list[_Case]]:
    """Return the cases of each alert, those of outages first: nothing else notices most of the alterations that they are about."""
    found: dict[str, list[_Case]] = {}
    for path in sorted((RULES / "tests").glob("*_test.yml")):
        document = yaml.safe_load(path.read_text())
        alert = path.stem.removesuffix("_test").removesuffix("_outage")
        found.setdefault(alert, []).extend(_Case(path, document, test) for test in document["tests"])
    return list(found.values())


async def _noticed(promtool: Path, files: Sequence[Path]) -> set[str]:
    """Return the names of the altered rules for which a case in the files does not hold."""
    largest_first = sorted(files, key=lambda path: -path.stat().st_size)
    parts = [largest_first[number::PROCESSES] for number in range(PROCESSES)]
    names: set[str] = set()
    for code, output in await asyncio.gather(*(_run(promtool, part) for part in parts if part)):
        if code and ("exp:" not in output or _INVALID.search(output)):
            raise ValueError(output)
        names |= set(_MUTANT_NAME.findall(output))
    return names


def _name(rule: str, number: int) -> str:
    return f"{rule}:mutant{number}" if ":" in rule else f"{rule}Mutant{number}"


def _write(case: _Case, alive: Mapping[str, Mutant], recorded: Sequence[dict[str, Any]], folder: Path) -> Path | None:
    """Write the altered rules that a case is about, what is recorded for them, and the case; None where it is about none."""
    checks = {name: found for name, mutant in alive.items() if (found := list(_checks(case, name, mutant)))}
    if not checks:
        return None
    altered = [alive[name].altered | {"alert" if "alert" in alive[name].altered else "record": name} for name in checks]
    groups = [{"name": "recorded", "rules": _read_by(altered, recorded)}, {"name": "mutants", "rules": altered}]
    rules = folder / f"{case.path.stem}_rules.yml"
    rules.write_text(yaml.safe_dump({"groups": groups}, sort_keys=False))
    test = {**case.test, "alert_rule_test": [], "promql_expr_test": []}
    for check in itertools.chain.from_iterable(checks.values()):
        test["alert_rule_test" if "alertname" in check else "promql_expr_test"].append(check)
    order = [group["name"] for group in groups]
    written = {**case.document, "rule_files": [rules.name], "group_eval_order": order, "tests": [test]}
    file = folder / case.path.name
    file.write_text(yaml.safe_dump(written, sort_keys=False))
    return file


def _read_by(rules: Iterable[Mapping[str, Any]], recorded: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is recorded for rules, and for that, in the order in which it is recorded."""
    reading = [rule["expr"] for rule in rules]
    needed: list[dict[str, Any]] = []
    for rule in reversed(recorded):
        if any(_reads(expression, rule) for expression in reading):
            reading.append(rule["expr"])
            needed.append(rule)
    return needed[::-1]


def _reads(expression: str, rule: Mapping[str, Any]) -> bool:
    return _whole(name_of(rule)).search(expression) is not None and _has_labels(expression, rule)


def _checks(case: _Case, name: str, mutant: Mutant) -> Iterator[dict[str, Any]]:
    """Yield each check of a case that is about an altered rule, under the name that this has."""
    if "alert" in mutant.altered:
        if _is_about(case.path, mutant.altered):
            for check in case.test.get("alert_rule_test", ()):
                if check["alertname"] == mutant.rule:
                    yield _about_alert(check, name, mutant.altered["labels"])
        return
    for check in case.test.get("promql_expr_test", ()):
        if _reads(text := yaml.safe_dump(check), mutant.altered | {"record": mutant.rule}):
            yield yaml.safe_load(_whole(mutant.rule).sub(name, text))


def _is_about(path: Path, rule: Mapping[str, Any]) -> bool:
    """Whether a file is about a rule's severity: the cases of pages and of tickets are apart where both are slow."""
    severity = rule["labels"]["severity"]
    return SEVERITY_OF_CASES.get(path.stem.split("_")[-2], severity) == severity


def _about_alert(check: dict[str, Any], name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return a check about one of the rules of an alert: what is expected is what has the rule's labels."""
    own = [alert for alert in check["exp_alerts"] if labels.items() <= alert["exp_labels"].items()]
    return check | {"alertname": name, "exp_alerts": own}


def _has_labels(text: str, rule: Mapping[str, Any]) -> bool:
    """Whether a text selects the labels that a rule gives to what it records."""
    return all(f'{key}="{value}"' in text for key, value in rule.get("labels", {}).items())


def _whole(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w:]){name}(?![\w:])")


async def _run(promtool: Path, files: Sequence[Path]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        promtool,
        "test",
        "rules",
        *files,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | _ENVIRONMENT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()
