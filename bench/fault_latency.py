"""Compares the latency of each phase of a run with the healthy phases of the same run.

A fault is reported when its median is above the highest median of any slice of the healthy phases. Smaller differences
are noise of a busy machine.
"""

import statistics
from collections.abc import Sequence

import msgspec

from bench.fault_runs import FAULTS, HEALTHY, Run
from bench.open_load import Sent

KINDS = ("plain", "stream")
SLICES = 6
"""Parts of a healthy phase: the spread of their medians is the noise of the run."""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The healthy median of one kind of request, and the lowest and highest median of a slice; milliseconds."""

    median: float
    low: float
    high: float


def baseline(sent: Sequence[Sent], kind: str) -> Baseline | None:
    """Return what the healthy phases say; None where there are too few requests to say anything."""
    values = {phase: _milliseconds(sent, phase, kind) for phase in HEALTHY}
    if min(len(each) for each in values.values()) < SLICES:
        return None
    medians = []
    for each in values.values():
        size = len(each) // SLICES
        medians += [statistics.median(each[start * size : (start + 1) * size]) for start in range(SLICES)]
    return Baseline(
        median=statistics.median(value for each in values.values() for value in each),
        low=min(medians),
        high=max(medians),
    )


def print_latency(run: Run) -> None:
    """Print a line per phase."""
    bases = {kind: baseline(run.sent, kind) for kind in KINDS}
    heads = " |".join(f"{f'{kind} p50':>11}{'p99 ms':>8}{'ratio':>7}" for kind in KINDS)
    print(f"\n  {'phase':<14}{'requests':>9} |{heads} |{'queue peak':>12}{'CPU us/req':>11}")
    felt = []
    for phase in dict.fromkeys(each.phase for each in run.sent):
        cells = []
        for kind, base in bases.items():
            values = _milliseconds(run.sent, phase, kind)
            if base is None or len(values) < SLICES:
                cells.append(f"{'too few':>11}{'':>15}")
                continue
            median, p99 = statistics.median(values), statistics.quantiles(values, n=100)[98]
            cells.append(f"{median:>11.2f}{p99:>8.1f}{median / base.median:>7.2f}")
            if phase in FAULTS and median > base.high:
                felt.append(f"{phase} ({kind})")
        requests = sum(each.phase == phase for each in run.sent)
        used = run.cpu_seconds.get(phase)
        cpu = "" if used is None else f"{used / requests * 1e6:.0f}"
        print(f"  {phase:<14}{requests:>9} |{' |'.join(cells)} |{run.queued_bytes.get(phase, 0):>12,}{cpu:>11}")
    for kind, base in bases.items():
        if base is not None:
            low, high = base.low / base.median, base.high / base.median
            print(f"  noise of {kind}: healthy slices have medians of {low:.2f} to {high:.2f} of the healthy median")
    print(f"  p50 above the noise: {', '.join(felt) or 'in no fault'}\n", flush=True)


def _milliseconds(sent: Sequence[Sent], phase: str, kind: str) -> list[float]:
    return [each.seconds * 1000 for each in sent if each.phase == phase and each.kind == kind]
