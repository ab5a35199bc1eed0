"""Writes findings as a table or as JSON.

The JSON has `healthy`, `broken` (names), `trace_id` and one object per check.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app.counted import counted
from app.doctor.facts import Facts
from app.doctor.findings import Finding, State

_MARKS: Final = {State.OK: "ok", State.BROKEN: "BROKEN", State.UNKNOWN: "unknown", State.UNUSED: "not used"}

_PIPELINE: Final = frozenset({"collector.reachable", "prometheus.reachable", "loki.reachable", "tempo.reachable"})


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is broken."""
    return not any(finding.state is State.BROKEN for finding in findings)


def as_json(findings: Sequence[Finding], facts: Facts) -> str:
    """Return one JSON document."""
    document: dict[str, Any] = {
        "healthy": is_healthy(findings),
        "broken": [finding.check for finding in findings if finding.state is State.BROKEN],
        "trace_id": None if facts.marked is None else facts.marked.trace_id,
        "checks": [msgspec.structs.asdict(finding) for finding in findings],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def as_table(findings: Sequence[Finding]) -> str:
    """Return a line per check that is used, a second one with the fix under each broken one, and a last line that sums up."""
    shown = [finding for finding in findings if finding.state is not State.UNUSED]
    width = max(len(finding.check) for finding in shown)
    lines = []
    for finding in shown:
        found = f"follows from {finding.follows_from}" if finding.follows_from else finding.found
        lines.append(f"{finding.check:{width}}  {_MARKS[finding.state]:7}  {found}")
        if finding.state is State.BROKEN:
            lines.append(f"{'':{width}}  {'':7}  fix: {finding.fix}")
    counts = {state: sum(finding.state is state for finding in findings) for state in State}
    hops = dict.fromkeys(finding.check.partition(".")[0] for finding in findings if finding.state is State.UNUSED)
    if hops:
        lines.append(f"\nnot used: {counted(counts[State.UNUSED], 'check')} of {', '.join(hops)}")
    if is_healthy(findings):
        lines.append(f"\nhealthy: {counts[State.OK]} ok, {counts[State.UNKNOWN]} unknown")
    else:
        names = [finding.check for finding in findings if finding.state is State.BROKEN]
        lines.append(f"\nbroken: {', '.join(names)}  ({counts[State.OK]} ok, {counts[State.UNKNOWN]} unknown)")
        if _PIPELINE.issubset(names):
            lines.append(
                "no pipeline, as beside `gatewayz serve --console`? `gatewayz doctor --otlp off` leaves it out"
            )
    return "\n".join(lines)
