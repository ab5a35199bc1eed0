"""What an attack did to the gateway and to another key, held against the bounds."""

from collections.abc import Mapping

import msgspec

from bench.attacks.attack import Who

MB = 1_000_000
MIB = 1024 * 1024
MOST_BYTES: Mapping[Who, int] = {"no key": 300 * MB, "one key": 512 * MB}
MOST_STALL_MILLISECONDS = 100.0
MOST_RATIO = 3.0
LEAST_SERVED = 20
"""Calls of the other key in the seconds of an attack: of fewer there is no p99."""
HEADER = (
    f"{'attack':17} {'who':7} {'memory':>7} {'left':>6} {'health':>7} {'own':>6} {'p99':>6} {'loop':>5} {'late':>5} {'core':>5}"
    f" {'other p99':>9} {'ratio':>5} {'own':>5}  verdict"
)
LEGEND = """\
memory: the highest of the gateway and its children over idle, MiB; left: of it, a second after the attack
health: longest and p99 of GET /health/live, ms, the pinger's own lateness taken off; late: how late the pinger was at most
loop: the bucket of the gateway's own event loop lag that holds the longest, ms; core: time in which its main thread waited for its core, %
other p99: of calls of another key, one at a time, ms; ratio: to the same calls before the attacks
own: the figure before it, without the time in which the gateway's main thread waited for its core"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One attack. Times in milliseconds; `did` describes what the attacker sent and got.

    `alone_p99` is what the other key's calls take without an attack. `own_…`: without the time in which the gateway's main
    thread waited for its core, be it for other work of the machine or for its own children. `loop_milliseconds` is None where
    the gateway's histogram has not told.
    """

    name: str
    who: Who
    over_idle_bytes: int
    left_bytes: int
    health_longest: float
    own_health_longest: float
    health_p99: float
    health_failed: int
    pinger_late: float
    loop_milliseconds: float | None
    core_wait_share: float
    other_p99: float
    alone_p99: float
    own_other_p99: float
    own_alone_p99: float
    other_failed: int
    other_served: int
    ended: bool
    did: str

    @property
    def ratio(self) -> float:
        """How much longer another key's calls take."""
        return self.other_p99 / self.alone_p99 if self.alone_p99 else 0.0

    @property
    def own_ratio(self) -> float:
        """The same without the time in which the gateway waited for a core."""
        return self.own_other_p99 / self.own_alone_p99 if self.own_alone_p99 else 0.0

    @property
    def failures(self) -> list[str]:
        """The bounds that do not hold."""
        found = {
            "ended": self.ended,
            "memory": self.over_idle_bytes > MOST_BYTES[self.who],
            "health": self.health_longest > MOST_STALL_MILLISECONDS,
            f"{self.health_failed} health checks unanswered": self.health_failed > 0,
            "other key": self.ratio > MOST_RATIO or self.other_served < LEAST_SERVED,
            f"{self.other_failed} calls of the other key failed": self.other_failed > 0,
        }
        return [what for what, is_so in found.items() if is_so]

    def line(self) -> str:
        """Return it as it is printed."""
        verdict = f"FAIL {', '.join(self.failures)}" if self.failures else "PASS"
        loop = "?" if self.loop_milliseconds is None else f"{self.loop_milliseconds:.0f}"
        return (
            f"{self.name:17} {self.who:7} {self.over_idle_bytes / MIB:7.0f} {self.left_bytes / MIB:6.0f}"
            f" {self.health_longest:7.0f} {self.own_health_longest:6.0f} {self.health_p99:6.1f} {loop:>5} {self.pinger_late:5.0f}"
            f" {self.core_wait_share * 100:5.0f} {self.other_p99:9.1f} {self.ratio:5.1f} {self.own_ratio:5.1f}  {verdict}"
        )


def longest_bucket(before: Mapping[float, float], after: Mapping[float, float]) -> float | None:
    """Return the bound of the bucket in which the longest of what was counted between two scrapes is; None where nothing was.

    Counts are cumulative, by upper bound.
    """
    grown = {bound: count - before.get(bound, 0.0) for bound, count in after.items()}
    total = max(grown.values(), default=0.0)
    if total <= 0:
        return None
    return min(bound for bound, count in grown.items() if count >= total)


def read_buckets(exposition: str, family: str) -> dict[float, float]:
    """Return the buckets of a histogram without labels of its own, by upper bound, from Prometheus' text."""
    buckets: dict[float, float] = {}
    for line in exposition.splitlines():
        if line.startswith(f"{family}_bucket{{"):
            labels, _, value = line.rpartition("} ")
            bound = labels.partition('le="')[2].partition('"')[0]
            buckets[float(bound)] = buckets.get(float(bound), 0.0) + float(value.split()[0])
    return buckets
