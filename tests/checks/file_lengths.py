"""Check that no module of app/ or otel/ is longer than 300 lines."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 300


def problems() -> list[str]:
    """Return one line for each module that is too long."""
    return [
        f"{path.relative_to(ROOT).as_posix()}: {lines} lines, the limit is {LIMIT}"
        for folder in ("app", "console", "otel")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (lines := len(path.read_text().splitlines())) > LIMIT
    ]


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
