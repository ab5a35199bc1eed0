"""What a person changes in one place alone is found: a metric's name in the catalogue, and the JSON of a board."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("otel", "dashboards", "docs", "tests/checks", "CHANGELOG.md", "README.md")
"""What the checks of queries and of generated files read."""

CHECKS = {"dashboards.generate --check", "tests.checks.metrics_page --check", "tests.checks.queries"}


@pytest.fixture
def tree(tmp_path):
    """Return a copy of what the checks read, to be changed."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def check(tree, command):
    """Run one command of `make check` there; return its exit code and what it printed."""
    run = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=tree, capture_output=True, text=True, check=False
    )
    return run.returncode, run.stdout + run.stderr


def test_make_check_runs_these_checks():
    recipe = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    assert set(re.findall(r"python -m ((?:dashboards|tests)\.[\w.]+(?: --check)?)", recipe)) >= CHECKS


@pytest.mark.parametrize("command", sorted(CHECKS))
def test_an_unchanged_tree_passes(tree, command):
    assert check(tree, command) == (0, "")


def test_a_metric_that_is_renamed_in_the_catalogue_alone_is_found(tree):
    path = tree / "otel" / "catalogue" / "money.py"
    renamed = path.read_text().replace("gatewayz_exposure_usd_total", "gatewayz_exposure_dollars_total")
    path.write_text(renamed)
    code, text = check(tree, "tests.checks.queries")
    assert code == 1
    found = {
        line.split(": ")[0] for line in text.splitlines() if "no family is called gatewayz_exposure_usd_total" in line
    }
    assert found >= {"gatewayz-cost.json", "gatewayz-on-call.json", "queries.md"}
    assert check(tree, "tests.checks.metrics_page --check")[0] == 1


def test_a_label_that_is_renamed_in_the_catalogue_alone_is_found(tree):
    path = tree / "otel" / "catalogue" / "semconv.py"
    text = path.read_text()
    assert '"error_kind"' in text
    path.write_text(text.replace('"error_kind"', '"failure_kind"'))
    code, text = check(tree, "tests.checks.queries")
    assert code == 1
    assert "gatewayz-providers.json: Errors by cause A: gatewayz_attempt_failures_total has no label error_kind" in text


def test_json_that_is_edited_by_hand_is_found(tree):
    path = tree / "dashboards" / "grafana" / "json" / "Gatewayz" / "gatewayz-cost.json"
    path.write_text(path.read_text().replace("USD per hour", "Dollars per hour"))
    code, text = check(tree, "dashboards.generate --check")
    assert code == 1
    assert text.splitlines() == ["Gatewayz/gatewayz-cost.json is out of date", "run `python -m dashboards.generate`"]
