"""Writes the absolute address of each alert's runbook into the rule files and their promtool cases.

Only the lines `runbook_url: ...` of these files are made here; the rest is written by hand. The alert's name is the last
part of the address.
"""

import re
from pathlib import Path
from typing import Final

RULES: Final = Path(__file__).parents[1] / "rules"
_LINE: Final = re.compile(r"(?P<before>^ *runbook_url: )(?P<url>\S*?)(?P<name>[A-Za-z]+)(?P<after>\.md)$", re.MULTILINE)


def with_addresses(text: str, base_url: str) -> str:
    """Return a file's text with every runbook at `base_url`."""
    return _LINE.sub(lambda match: f"{match['before']}{base_url}{match['name']}{match['after']}", text)


def rewritten(folder: Path, base_url: str) -> dict[Path, str]:
    """Return the text of each rule file and each file of cases as it is to be, by path."""
    paths = [*sorted(folder.glob("*.yml")), *sorted(folder.glob("tests/*.yml"))]
    return {path: with_addresses(path.read_text(encoding="utf-8"), base_url) for path in paths}
