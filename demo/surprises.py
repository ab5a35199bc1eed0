"""SURPRISES: what a client saw of a request that its plan did not expect.

Comes in: a plan and an observation. Goes out: one line for a person, or None. Without surprises the
plan is what happened, and the books may be made of it.
"""

from collections.abc import Iterator
from typing import Final

from demo.traffic.plan import Observed, Planned

_OK: Final = 200
_TOO_MANY: Final = 429


def surprise_in(planned: Planned, observed: Observed) -> str | None:
    """Return the first thing that is not as planned."""
    return next(_surprises(planned, observed), None)


def _surprises(planned: Planned, observed: Observed) -> Iterator[str]:
    if observed.failure is not None:
        yield observed.failure
    expected = None if planned.leaving == "before_first_byte" else planned.status_code
    allowed = {expected, _TOO_MANY} if planned.limited is not None else {expected}
    if observed.status_code not in allowed:
        yield f"status {observed.status_code} instead of {expected}"
    if observed.status_code == _OK and planned.model is not None:
        yield from _in_answer(planned, observed)


def _in_answer(planned: Planned, observed: Observed) -> Iterator[str]:
    provider = planned.attempts[-1].provider if planned.attempts else None
    if observed.provider != provider:
        yield f"answered by {observed.provider} instead of {provider}"
    if observed.cache != planned.cache:
        yield f"cache says {observed.cache} instead of {planned.cache}"
    if observed.ended_in_error != planned.ends_in_error:
        yield "the stream ended " + ("in an error" if observed.ended_in_error else "without its error")
    if observed.is_whole != (planned.leaving == "stays" and not planned.ends_in_error):
        yield "the answer is whole" if observed.is_whole else "the answer is not whole"
    yield from _in_usage(planned, observed)


def _in_usage(planned: Planned, observed: Observed) -> Iterator[str]:
    """A usage that the client sees must be the provider's own."""
    if not planned.attempts:
        return
    last = planned.attempts[-1]
    if last.tokens == "answer" and observed.usage is None:
        yield "the answer reports no usage"
    if last.tokens == "reported" and observed.usage not in {None, (last.input_tokens, last.output_tokens)}:
        yield f"the answer reports {observed.usage} tokens instead of {(last.input_tokens, last.output_tokens)}"
    if last.tokens == "delivered" and observed.usage is not None:
        yield f"the answer reports {observed.usage} tokens, and the provider reported none"
