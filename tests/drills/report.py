"""One line for each alert: its drill, and after how many seconds it was pending, firing, at the webhook and resolved."""

from collections.abc import Iterable, Mapping

from tests.drills.entries import Drill
from tests.drills.watch import Seen, Watch


def rows(drills: Iterable[Drill], watch: Watch, began: Mapping[str, float], mended: Mapping[str, float]) -> list[str]:
    """Return the table; times count from the beginning of the act, and for `resolved` from its end."""
    head = f"{'alert':28} {'severity':9} {'rule':5} {'drill':36} {'pending':>7} {'firing':>7} {'webhook':>7} {'resolved':>8}  receiver, group"
    lines = [head]
    for drill in drills:
        for (name, severity, kind), seen in sorted(watch.of(drill.alert, drill.variant).items()):
            start, end = began.get(drill.act), mended.get(drill.act)
            lines.append(
                f"{name:28} {severity:9} {kind:5} {drill.act:36} {_after(seen.pending, start):>7} {_after(seen.firing, start):>7}"
                f" {_told(seen, start):>7} {_after(seen.resolved, end):>8}  {', '.join([*sorted(seen.receivers), *sorted(seen.groups)[:1]])}"
            )
    return lines


def _told(seen: Seen, start: float | None) -> str:
    return "silenced" if seen.told is None and seen.inhibited is not None else _after(seen.told, start)


def _after(moment: float | None, start: float | None) -> str:
    return "-" if moment is None or start is None else f"{max(0.0, moment - start):.0f} s"
