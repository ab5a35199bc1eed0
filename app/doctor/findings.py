"""Runs the checks over the facts and separates causes from consequences.

Only a root cause is broken: a check that fails while one that it depends on is broken is unknown,
and names it. What was observed to work is ok in any case. A hop that is not used is unused.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

F = TypeVar("F")


class State(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    UNUSED = "unused"


class Verdict(msgspec.Struct, frozen=True):
    """What a check found by itself, and the fix where there is one."""

    state: State
    found: str
    fix: str = ""


class Check(msgspec.Struct, Generic[F], frozen=True, kw_only=True):
    """One check of one hop. `name` is `hop.question`; `needs` names the checks whose failure would explain this one's."""

    name: str
    judge: Callable[[F], Verdict]
    needs: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check. `follows_from` is the broken check that explains why this one is unknown."""

    check: str
    state: State
    found: str
    fix: str = ""
    follows_from: str | None = None


def ok(found: str) -> Verdict:
    """It works."""
    return Verdict(State.OK, found)


def broken(found: str, fix: str) -> Verdict:
    """It does not work."""
    return Verdict(State.BROKEN, found, fix)


def unknown(found: str) -> Verdict:
    """It could not be judged."""
    return Verdict(State.UNKNOWN, found)


def unused(found: str = "not used") -> Verdict:
    """The pipeline has no such part, by the doctor's settings."""
    return Verdict(State.UNUSED, found)


def judge_all(checks: Sequence[Check[F]], facts: F) -> list[Finding]:
    """Judge every check, in the given order; raises KeyError for a need that is not a check, RecursionError for needs in a circle."""
    by_name = {check.name: check for check in checks}
    known: dict[str, Finding] = {}

    def finding(name: str) -> Finding:
        if name not in known:
            known[name] = _judge(by_name[name], facts, finding)
        return known[name]

    return [finding(check.name) for check in checks]


def _judge(check: Check[F], facts: F, finding: Callable[[str], Finding]) -> Finding:
    verdict = check.judge(facts)
    if verdict.state is not State.OK:
        for need in map(finding, check.needs):
            root = need.check if need.state is State.BROKEN else need.follows_from
            if root is not None:
                return Finding(check=check.name, state=State.UNKNOWN, found=verdict.found, follows_from=root)
    if verdict.state is State.UNKNOWN and any(finding(need).state is State.UNUSED for need in _of_the_same_hop(check)):
        verdict = unused()
    return Finding(check=check.name, state=verdict.state, found=verdict.found, fix=verdict.fix)


def _of_the_same_hop(check: Check[F]) -> list[str]:
    hop = check.name.partition(".")[0]
    return [need for need in check.needs if need.partition(".")[0] == hop]
