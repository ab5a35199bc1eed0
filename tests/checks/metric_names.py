"""Check that product code names metrics through the catalogue's constants, so that a name is written once.

Docstrings and comments may name a metric.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from otel.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
CATALOGUE_FOLDER = ROOT / "otel" / "catalogue"
_NAME = re.compile(rf"\b(?:{'|'.join(spec.name for spec in CATALOGUE)})(?:_bucket|_sum|_count)?\b")


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each metric that a string of the source names, docstrings excepted."""
    tree = ast.parse(source)
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            for match in _NAME.finditer(node.value):
                yield node.lineno, match[0]


def problems() -> list[str]:
    """Return one line for each metric name outside the catalogue."""
    return [
        f"{path.relative_to(ROOT).as_posix()}:{line}: {name} is written literally; use its constant in otel/catalogue/"
        for folder in ("app", "console", "otel")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if CATALOGUE_FOLDER not in path.parents
        for line, name in names_in(path.read_text())
    ]


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
