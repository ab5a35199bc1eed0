"""ARCHITECTURE.md names only files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("app", "console", "otel", "demo", "compose", "packages", "tests", "dashboards")


def test_each_named_module_exists():
    modules = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    named = set(re.findall(r"`([\w/]+\.py)`", (ROOT / "ARCHITECTURE.md").read_text()))
    assert len(named) > 80
    assert [name for name in sorted(named) if not any(f"/{module}".endswith(f"/{name}") for module in modules)] == []
