"""Check that no module of app/ or otel/ is longer than 300 lines, unless it stands here with a reason."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 300
REASONS = {
    "otel/catalogue.py": "data: one entry per documented family, read as a table",
}


def problems() -> list[str]:
    """Return one line for each module that is too long, and for each reason that is no longer needed."""
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for folder in ("app", "otel")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    too_long = [
        f"{name}: {lines} lines, the limit is {LIMIT}"
        for name, lines in lengths.items()
        if lines > LIMIT and name not in REASONS
    ]
    stale = [f"{name} stands in REASONS and needs no reason" for name in REASONS if lengths.get(name, 0) <= LIMIT]
    return too_long + stale


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
