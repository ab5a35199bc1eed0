"""Between which times each duration lies that the gateway measured, as the traffic program knows them.

The least is what the script makes an upstream wait. The most is what the client's clock saw, and a little more: the gateway may stop its
clock after the client has the last byte.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from demo.traffic.counters import APP_NAME
from demo.traffic.plan import Observed, Planned, PlannedAttempt
from demo.upstream.script import FIELD
from tests.reference.quantities import Labels

Span: TypeAlias = tuple[float, float]
LATER_SECONDS: Final = 0.25
"""How much later than the client the gateway may stop its clock, on a busy computer."""

_EARLY: Final = 0.98
"""A timer may fire by its clock's resolution too early."""

_FOREVER: Final = float("inf")


def spans_of(name: str, labels: Labels, requests: Sequence[tuple[Planned, Observed]]) -> list[Span] | None:
    """Return least and most seconds of each duration of a histogram with these labels; None where the traffic cannot know them."""
    readers = {
        "fastapi_requests_duration_seconds": _of_requests,
        "provider_response_time_seconds": _of_responses,
        "model_inference_duration_seconds": _of_successes,
    }
    reader = readers.get(name)
    if reader is None:
        return None
    wanted = set(labels)
    return [span for own, span in reader(requests) if wanted <= set(own.items())]


def _of_requests(requests: Sequence[tuple[Planned, Observed]]) -> Iterator[tuple[dict[str, str], Span]]:
    for planned, observed in requests:
        labels = {"app_name": APP_NAME, "method": planned.method, "path": planned.route}
        scripts = _scripts(planned)
        least = sum(_first_byte(scripts, attempt) for attempt in planned.attempts)
        yield labels, (least * _EARLY, _most(observed))


def _of_responses(requests: Sequence[tuple[Planned, Observed]]) -> Iterator[tuple[dict[str, str], Span]]:
    for planned, observed in requests:
        scripts = _scripts(planned)
        for attempt in planned.attempts:
            if attempt.responded:
                yield {"provider": attempt.provider}, (_first_byte(scripts, attempt) * _EARLY, _most(observed))


def _of_successes(requests: Sequence[tuple[Planned, Observed]]) -> Iterator[tuple[dict[str, str], Span]]:
    for planned, observed in requests:
        scripts = _scripts(planned)
        for attempt in planned.attempts:
            if attempt.status == "success":
                labels = {"provider": attempt.provider, "model": planned.model or ""}
                yield labels, (_first_byte(scripts, attempt) * _EARLY, _most(observed))


def _scripts(planned: Planned) -> dict[str, Any]:
    if planned.model is None or not planned.attempts:
        return {}
    scripts: dict[str, Any] = msgspec.json.decode(planned.body).get(FIELD) or {}
    return scripts


def _first_byte(scripts: dict[str, Any], attempt: PlannedAttempt) -> float:
    script = scripts.get(attempt.provider) or {}
    return float(script.get("delay_seconds", 0.0))


def _most(observed: Observed) -> float:
    """A client that left has measured nothing."""
    return observed.duration_seconds + LATER_SECONDS if observed.duration_seconds else _FOREVER
