"""docs/troubleshooting.md: explains every check and every address, and no other."""

import re
from fnmatch import fnmatch
from pathlib import Path

from app.doctor.checks import CHECKS
from app.doctor.settings import DEFAULTS, VARIABLE_PREFIX

PAGE = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text()
HOPS = {check.name.split(".")[0] for check in CHECKS}


def test_every_check_is_explained_and_no_other():
    rows = re.findall(r"^\| `([a-z_.*]+)` \|", PAGE, re.MULTILINE)
    patterns = [row for row in rows if row.split(".")[0] in HOPS]
    names = [check.name for check in CHECKS]
    assert [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in names)] == []


def test_every_address_is_explained_with_its_default():
    for name, default in DEFAULTS.items():
        [row] = [line for line in PAGE.splitlines() if line.startswith(f"| `--{name.replace('_', '-')}` |")]
        assert f"`{VARIABLE_PREFIX}{name.upper()}`" in row
        assert f"`{default}`" in row
