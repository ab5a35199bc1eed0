"""Every command of a module explains itself for `--help`, instead of starting what it does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("Makefile", "README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs", "compose", "dashboards")
"""What tells people which commands there are."""

_COMMAND = re.compile(
    r"-m\s+(bench\.[a-z_]+|compose\.(?:certificates|native)|dashboards\.[a-z_]+|demo\b(?!\.)|packages\.[a-z_]+|tests\.(?:fuzz|reference))"
)


def commands() -> list[str]:
    """Return the modules of this tree that a page tells people to run."""
    named = [ROOT / name for name in PAGES]
    pages = [page for path in named for page in (path.rglob("*.md") if path.is_dir() else (path,))]
    return sorted({found for page in pages for found in _COMMAND.findall(page.read_text(encoding="utf-8"))})


def test_the_commands_are_found():
    assert {"bench.faults", "bench.gateway", "bench.scrape", "compose.certificates", "tests.fuzz"} <= set(commands())


@pytest.mark.parametrize("module", commands())
def test_help_is_text_and_nothing_else(module, tmp_path):
    (tmp_path / "--help").touch()
    before = sorted(tmp_path.iterdir())
    ended = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("usage: ")
    assert len(ended.stdout.splitlines()) > 2
    assert sorted(tmp_path.iterdir()) == before
