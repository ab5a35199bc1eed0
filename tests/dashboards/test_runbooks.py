"""A runbook has the same five parts as every other, queries that are sound, and commands that exist."""

import re
import shlex
from pathlib import Path

import pytest

from app.cli.main import _parser
from tests.checks import queries
from tests.checks.promql import problems_of

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
PARTS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Escalation"]
SERVICES = set(re.findall(r"^  ([a-z-]+):$", (ROOT / "compose" / "compose.yaml").read_text(), re.MULTILINE))
DOCKER = {
    "compose": {"up", "ps", "logs", "restart"},
    "system": {"df"},
}
TEAMS = r"Team (gateway|platform|billing)\b"
runbooks = pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@runbooks
def test_a_runbook_has_its_parts_in_order_and_none_is_empty(path):
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    found = re.findall(r"^## (.+)\n\n(.+)$", text, re.MULTILINE)
    assert [name for name, _ in found] == PARTS
    assert re.match(TEAMS, dict(found)["Escalation"])


@runbooks
def test_a_runbook_diagnoses_with_queries_that_are_sound(path):
    text = path.read_text()
    asked = [query for place, query in queries.runbook_queries() if place == f"runbooks/{path.name}"]
    assert asked
    assert [line for query in asked for line in problems_of(query)] == []
    assert text.count("```promql") == len(blocks(text, "promql"))


@runbooks
def test_a_runbook_mitigates_with_commands_that_exist(path):
    for line in "".join(blocks(path.read_text(), "sh")).splitlines():
        program, *arguments = shlex.split(line)
        if program == "gatewayz":
            _parser().parse_args([each.replace("FILE", "november.csv") for each in arguments])
        elif program == "docker":
            group, command, *rest = arguments
            assert command in DOCKER[group], line
            assert {each for each in rest if not each.startswith("--") and not each.isdigit()} <= SERVICES, line
        else:
            assert (program, arguments) == (".venv/bin/python", ["-m", "dashboards.alerting"]), line


@runbooks
def test_a_runbook_filters_logs_by_the_label_that_lines_have(path):
    for block in blocks(path.read_text(), "logql"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        assert all(line.startswith('{job="gatewayz"}') for line in lines)
