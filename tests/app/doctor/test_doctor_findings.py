"""Findings: only roots are broken, what works is ok whatever else fails, and the table of checks is sound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.doctor.checks import CHECKS
from app.doctor.findings import Check, State, Verdict, judge_all

VERDICTS = {state: Verdict(state, f"found {state}", "fix") for state in State}


@st.composite
def chains(draw):
    """Checks that need any of those before them, each with what it sees by itself."""
    count = draw(st.integers(1, 8))
    seen = draw(st.lists(st.sampled_from(State), min_size=count, max_size=count))
    needs = [draw(st.sets(st.integers(0, index - 1))) if index else set() for index in range(count)]
    checks = [
        Check(
            name=str(index),
            judge=lambda facts, i=index: VERDICTS[facts[i]],
            needs=tuple(str(need) for need in sorted(needs[index])),
        )
        for index in range(count)
    ]
    return draw(st.permutations(checks)), seen, needs


@settings(deadline=None)
@given(chains())
def test_a_check_is_broken_exactly_when_it_fails_and_nothing_behind_it_explains_that(chain):
    checks, seen, needs = chain
    findings = {int(finding.check): finding for finding in judge_all(checks, seen)}

    def explained(index: int) -> bool:
        return any(
            seen[need] is not State.OK and (seen[need] is State.BROKEN or explained(need)) for need in needs[index]
        )

    for index, finding in findings.items():
        if seen[index] is State.OK:
            assert finding.state is State.OK
        elif explained(index):
            assert finding.state is State.UNKNOWN
            assert findings[int(finding.follows_from)].state is State.BROKEN
        else:
            assert finding.state is seen[index]
            assert finding.follows_from is None


def test_names_are_unique_and_begin_where_a_request_does():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert CHECKS[0].name == "gateway.reachable"


def test_every_need_is_a_check_and_none_goes_in_a_circle():
    needs = {check.name: check.needs for check in CHECKS}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"{' -> '.join(path)} -> {name}"
        if name not in done:
            for need in needs[name]:
                visit(need, (*path, name))
            done.add(name)

    for name in needs:
        visit(name, ())
    assert done == set(needs)


def test_a_need_that_is_no_check_is_an_error():
    with pytest.raises(KeyError, match="nowhere"):
        judge_all([Check(name="a", judge=lambda _: VERDICTS[State.BROKEN], needs=("nowhere",))], None)
