"""Evaluation of the anomaly detector: precision and recall by type, on the real trace and on made-up traffic.

Besides: false alarms on untouched traffic, the smallest anomalies that are found, and what an
evaluation costs.

`--trace` takes any file in the format of demo/traffic/data. Every run is drawn from `--seed`; `--seeds`
adds runs with the next seeds. Anomalies are drawn by `Sizes` in bench/anomaly_run.py. Run: python
-m bench.anomalies [--days 2] [--seeds 3] [--only trace] [--quick]
"""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

import msgspec

from app.anomaly.detector import AnomalyDetector
from app.config.schema import AnomaliesConfig
from bench.anomaly_run import TYPE_OF_KIND, Kind, Score, Sizes, plan, run, score
from bench.anomaly_workloads import WORKLOADS, Workload, trace_looped, trace_once
from demo.traffic.arrivals import TRACE

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
DAY_MINUTES: Final = 1_440
SWEEP: Final[dict[Kind, tuple[float, ...]]] = {
    "latency": (1.5, 1.75, 2.0, 2.5, 3.0),
    "errors": (0.05, 0.08, 0.12, 0.2),
    "surge": (2.5, 3.5, 5.0, 8.0),
    "drop": (0.3, 0.2, 0.1, 0.0),
    "tokens": (1.7, 2.0, 2.5, 4.0),
}


def evaluate(workload: Workload, seed: int, days: float, sizes: Sizes, kinds: Sequence[Kind]) -> dict[str, Score]:
    """Inject, run, and score by type; `kind` scores have injected and found only."""
    minutes = int(days * DAY_MINUTES) * (6 if workload.long_injections else 1)
    rng = random.Random(seed)
    injections = plan(rng, minutes, sizes, kinds, stretch=2 if workload.long_injections else 1)
    alarms = run(workload.minutes(rng), rng, minutes, injections, AnomaliesConfig())
    result: dict[str, Score] = dict(score(alarms, injections))
    for injection in injections:
        found = score(alarms, [injection])[TYPE_OF_KIND[injection.kind]].found
        result.setdefault(f"  {injection.kind}", Score()).add(Score(injected=1, found=found))
    return result


def untouched(workload: Workload, seed: int, days: float) -> int:
    """Return the alarms on traffic in which nothing is wrong."""
    rng = random.Random(seed)
    return len(run(workload.minutes(rng), rng, int(days * DAY_MINUTES), [], AnomaliesConfig()))


def report(workload: Workload, args: argparse.Namespace) -> None:
    totals: dict[str, Score] = {}
    alarms: list[int] = []
    for seed in range(args.seed, args.seed + args.seeds):
        sizes = Sizes(traffic_minutes=(15, 25)) if workload.long_injections else Sizes()
        for name, each in evaluate(workload, seed, args.days, sizes, KINDS).items():
            totals.setdefault(name, Score()).add(each)
        alarms.append(untouched(workload, seed, args.clean_days))
    print(
        f"\n{workload.name}: {args.seeds} x {args.days:g} days; untouched {args.clean_days:g} days each: alarms {alarms}"
    )
    print(f"  {'type':<18}{'injected':>9}{'found':>7}{'alarms':>8}{'precision':>11}{'recall':>8}")
    for name, each in totals.items():
        precision = f"{each.precision:11.3f}" if not name.startswith(" ") else " " * 11
        shown = f"{each.alarms:8d}" if not name.startswith(" ") else " " * 8
        print(f"  {name:<18}{each.injected:9d}{each.found:7d}{shown}{precision}{each.recall:8.3f}", flush=True)


def sweep(workload: Workload, args: argparse.Namespace) -> None:
    """Print recall by size: the smallest that is still found."""
    print(f"\nsmallest on {workload.name} (share found, {args.days:g} days each)")
    for kind, values in SWEEP.items():
        cells = []
        for value in values:
            sizes = msgspec.structs.replace(Sizes(gap_minutes=(35, 45)), **{kind: (value, value)})
            found = evaluate(workload, args.seed, args.days, sizes, (kind,))[f"  {kind}"]
            cells.append(f"{value:g}: {found.recall:.2f} of {found.injected}")
        print(f"  {kind:<9}", "   ".join(cells), flush=True)


def once(path: Path, seeds: range) -> None:
    """Run the trace as it is, without repeating it, with several draws of durations."""
    minutes = trace_once(path)
    alarms = []
    for seed in seeds:
        workload = iter([list(each) for each in minutes])
        alarms.append(len(run(workload, random.Random(seed), len(minutes), [], AnomaliesConfig())))
    print(f"{path.name} as it is ({len(minutes)} minutes): alarms {alarms}")


def cost(scopes: int) -> None:
    """Print what judging one minute costs with so many providers and models, all of them with traffic."""
    names = [(f"provider-{number}", f"model-{number}") for number in range(scopes // 2)]
    detector = AnomalyDetector(names, AnomaliesConfig())
    rng = random.Random(1)
    times, longest = [], 0.0
    for minute in range(100):
        for provider, model in names:
            for _ in range(8):
                detector.observe(
                    provider,
                    model,
                    "success" if rng.random() > 0.01 else "failure",
                    now_seconds=minute * 60.0,
                    duration_seconds=rng.lognormvariate(0, 0.4),
                    input_tokens=rng.randint(10, 2_000),
                    output_tokens=rng.randint(10, 300),
                )
        started = last = time.process_time()
        for _ in detector.evaluate_in_steps((minute + 1) * 60.0):
            now = time.process_time()
            longest, last = max(longest, now - last), now
        times.append(time.process_time() - started)
    started = time.process_time()
    state = detector.dump()
    dump_ms = (time.process_time() - started) * 1e3
    steady = sorted(times[70:])
    print(
        f"\ncost with {len(names) * 2 + 1} scopes: {steady[len(steady) // 2] * 1e3:.1f} ms per minute (CPU), longest step "
        f"{longest * 1e3:.1f} ms; state {len(state) / 1e6:.2f} MB, written in {dump_ms:.1f} ms"
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.anomalies", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--clean-days", type=float, default=2.0)
    parser.add_argument("--trace", type=Path, default=TRACE)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true", help="no sweep of sizes")
    args = parser.parse_args(arguments)
    print(f"seed {args.seed}")
    once(args.trace, range(args.seed, args.seed + 5))
    workloads = [Workload(name="trace", minutes=trace_looped(args.trace)), *WORKLOADS[1:]]
    chosen = [workload for workload in workloads if args.only in workload.name]
    for workload in chosen:
        report(workload, args)
    if not args.quick and chosen:
        sweep(chosen[0], args)
    cost(2_000)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
