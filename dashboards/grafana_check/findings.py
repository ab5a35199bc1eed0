"""What a check found, and its lines."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec


class Verdict(StrEnum):
    """EMPTY: the query was answered without data, which is the normal state of its panel."""

    GOOD = "ok"
    EMPTY = "empty"
    BAD = "FAIL"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `group` is what it is counted under; `detail` says what is wrong with it."""

    group: str
    what: str
    verdict: Verdict
    detail: str = ""


def report(findings: Sequence[Finding]) -> tuple[list[str], bool]:
    """Return the lines to print, one for each group and one for each failure, and whether there is none."""
    lines: list[str] = []
    for group in dict.fromkeys(finding.group for finding in findings):
        own = [finding for finding in findings if finding.group == group]
        bad = [finding for finding in own if finding.verdict is Verdict.BAD]
        empty = [finding for finding in own if finding.verdict is Verdict.EMPTY]
        counts = f"{len(own) - len(bad) - len(empty)} of {len(own)}"
        quiet = f"; {len(empty)} empty while all is well: {', '.join(each.what for each in empty)}" if empty else ""
        lines.append(f"{_STATE[bool(bad)]:<5} {group}: {counts}{quiet}")
        lines += [f"      {Verdict.BAD} {each.what}: {each.detail}" for each in bad]
    failures = sum(finding.verdict is Verdict.BAD for finding in findings)
    lines.append(
        f"{_STATE[bool(failures)]:<5} {len(findings)} {'check' if len(findings) == 1 else 'checks'}, {failures} failed"
    )
    return lines, failures == 0


_STATE: Final = {False: Verdict.GOOD.value, True: Verdict.BAD.value}
