"""Every alert has a drill, a new one without a drill is found, and a drill asks for what the alert asks for, in seconds."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import promql_parser
import pytest
import yaml

from compose.native.servers import ROOT
from tests.drills import in_seconds
from tests.drills.entries import FILE, RULES, alerts_of, problems, read_drills

NEW_ALERT = """
      - alert: NobodyDrillsThis
        expr: up == 0
        labels: { severity: warning }
"""


def expressions(text: str) -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def without_times(expression: str) -> str:
    """Return an expression whose windows and offsets are the same word."""
    text = re.sub(r"\[[^]]+\]", "[window]", expression)
    text = re.sub(r"offset \w+", "offset window", text)
    return re.sub(r"\)\) > (30|5)\b", ")) > long", text)


def test_every_alert_has_a_drill() -> None:
    assert problems() == []


def test_an_alert_without_a_drill_is_found(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    shutil.copytree(RULES, rules)
    path = rules / "gateway.yml"
    path.write_text(path.read_text().rstrip("\n") + "\n" + NEW_ALERT)
    assert alerts_of(rules) - alerts_of() == {"NobodyDrillsThis"}
    assert problems(rules) == ["NobodyDrillsThis: no drill in tests/drills/drills.toml"]


def test_a_drill_that_was_left_over_is_found(tmp_path: Path) -> None:
    file = tmp_path / "drills.toml"
    file.write_text(FILE.read_text() + '\n[[drills]]\nalert = "Gone"\nrun = "gateway"\nact = "nothing"\n')
    assert problems(file=file) == ["Gone: a drill of no alert"]


def test_a_rule_without_a_drill_is_found_although_another_of_its_alert_has_one(tmp_path: Path) -> None:
    file = tmp_path / "drills.toml"
    file.write_text(FILE.read_text().replace('variant = "list"', 'variant = "calls"'))
    assert problems(file=file) == [
        "ModelWithdrawn list: no drill in tests/drills/drills.toml",
        "ModelWithdrawn calls: two drills",
    ]


def test_the_check_that_make_runs_takes_the_rules_as_they_are() -> None:
    assert subprocess.run([sys.executable, "-m", "tests.checks.drills"], cwd=ROOT, check=False).returncode == 0


def test_every_act_of_a_drill_is_one_of_its_run() -> None:
    for drill in read_drills():
        text = (ROOT / "tests" / "stack" / f"test_drills_{drill.run}.py").read_text()
        assert f'"{drill.act}"' in text


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yml")), ids=lambda path: path.name)
def test_rules_in_seconds_ask_for_the_same(path: Path) -> None:
    before, after = path.read_text(), in_seconds.rules(path.read_text())
    assert len(expressions(before)) == len(expressions(after)) > 0
    for shipped, drilled in zip(expressions(before), expressions(after), strict=True):
        promql_parser.parse(drilled)
        assert without_times(shipped) == without_times(drilled)
    assert not re.search(r"\b(for|interval): \d+m", after)
