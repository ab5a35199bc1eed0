"""Checks that each alert of `dashboards/rules/` has exactly one drill in `tests/drills/drills.toml`, and each drill an alert."""

import sys

from tests.drills.entries import problems

if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
