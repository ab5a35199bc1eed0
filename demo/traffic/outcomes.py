"""What an upstream does with one attempt, and how the gateway must count it.

Each function returns a `Script` for the request and a `PlannedAttempt` for the counters.
"""

import random
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from demo.gateway_config import CLOSED_PROVIDER
from demo.traffic.plan import PlannedAttempt
from demo.upstream.script import Script

Act: TypeAlias = tuple[Script | None, PlannedAttempt]
"""What the upstream does (None: nothing listens there), and how the gateway counts it."""

_SERVER_ERRORS: Final = (500, 502, 503, 504, 529)
_ACCOUNT_ERRORS: Final = {
    401: "upstream_auth", 402: "upstream_quota", 403: "upstream_auth", 404: "model_unavailable", 410: "model_unavailable",
}  # fmt: skip
"""A provider's 4xx that blames the gateway's account, and the kind of the failure."""

CALLER_ERRORS: Final = {400: 400, 409: 409, 413: 413, 422: 422, 412: 400, 418: 400}
"""A provider's 4xx that blames the caller, and the status that the gateway passes on."""

OUTAGE_EVERY_SECONDS: Final = 40.0
OUTAGE_SECONDS: Final = 12.0
_TROUBLE: Final = {"flaky": 0.15, "rate_limited": 0.5}


class Pace(msgspec.Struct, frozen=True):
    """How long upstreams take: a log-normal factor on top of the first byte and of each token. `scale` 0 is at once."""

    scale: float = 1.0
    first_byte_seconds: float = 0.04
    seconds_per_token: float = 0.004
    spread: float = 0.6
    longest_seconds: float = 8.0

    def delays(self, rng: random.Random, provider: str, output_tokens: int) -> tuple[float, float]:
        """Return seconds before the first byte and seconds of generation; the slow provider takes six times as long."""
        factor = self.scale * rng.lognormvariate(0.0, self.spread) * (6.0 if provider == "slow" else 1.0)
        first_byte_seconds = min(self.first_byte_seconds * factor, self.longest_seconds)
        return first_byte_seconds, min(self.seconds_per_token * output_tokens * factor, self.longest_seconds)


def is_in_trouble(provider: str, at_seconds: float, rng: random.Random) -> bool:
    """Whether a provider fails at this moment of the schedule: some now and then, one for a while and then not."""
    if provider == "dying":
        return at_seconds % OUTAGE_EVERY_SECONDS > OUTAGE_EVERY_SECONDS - OUTAGE_SECONDS
    return rng.random() < _TROUBLE.get(provider, 0.0)


def success(
    provider: str, input_tokens: int, output_tokens: int, *, stream: bool, delays: tuple[float, float]
) -> tuple[Script, PlannedAttempt]:
    """Respond with these tokens."""
    first_byte_seconds, generation_seconds = delays
    chunks = max(1, min(output_tokens, 12))
    script = Script(
        prompt_tokens=input_tokens,
        completion_tokens=output_tokens,
        chunks=chunks,
        delay_seconds=first_byte_seconds if stream else first_byte_seconds + generation_seconds,
        chunk_delay_seconds=generation_seconds / chunks if stream else 0.0,
    )
    attempt = PlannedAttempt(
        provider=provider,
        status="success",
        has_content=output_tokens > 0,
        tokens="reported",
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )
    return script, attempt


def failure(provider: str, rng: random.Random) -> Act:
    """Fail in one of the provider's ways before any byte of a response, so that the next provider is tried."""
    return _WAYS.get(provider, _server_error)(provider, rng)


def rate_limited(provider: str, rng: random.Random) -> Act:
    """Respond with 429."""
    script = Script(status=429, retry_after=rng.choice(("1", "2", "30", None)), delay_seconds=0.002)
    return script, PlannedAttempt(provider=provider, status="error", error_kind="rate_limited")


def refusal(provider: str, status: int) -> Act:
    """Blame the caller."""
    attempt = PlannedAttempt(provider=provider, status="error", error_kind="upstream_4xx")
    return Script(status=status, delay_seconds=0.005), attempt


def stall(provider: str) -> Act:
    """Never respond; the gateway's timeout ends it, and the prompt is counted: the provider may bill it."""
    attempt = PlannedAttempt(
        provider=provider,
        status="error",
        tokens="prompt",
        is_abandoned=True,
        error_kind="whole_answer_timeout",
        streamed_error_kind="first_byte_timeout",
    )
    return Script(fault="stall"), attempt


def _server_error(provider: str, rng: random.Random) -> Act:
    return Script(status=rng.choice(_SERVER_ERRORS), delay_seconds=0.005), PlannedAttempt(
        provider=provider, status="error", error_kind="upstream_5xx"
    )


def _nonsense(provider: str, rng: random.Random) -> Act:
    """Send an unusable 200, or refuse the gateway's account."""
    script = rng.choice(
        (
            Script(fault="bad_json"),
            Script(fault="wrong_content_type"),
            Script(fault="close_after_head"),
            *(Script(status=status) for status in _ACCOUNT_ERRORS),
        )
    )
    # A 200 whose body is cut off cost the provider work; a page of HTML or a refusal did not.
    is_cut_off = script.fault == "close_after_head"
    attempt = PlannedAttempt(
        provider=provider,
        status="error",
        tokens="prompt" if is_cut_off else "none",
        error_kind=_ACCOUNT_ERRORS.get(script.status, "bad_response"),
        streamed_error_kind="stream_broken" if is_cut_off else "",
    )
    return script, attempt


def _outage(provider: str, rng: random.Random) -> Act:
    """Close the connection without a response, or respond with 503."""
    if rng.random() < 0.5:  # noqa: PLR2004  one half
        return Script(status=503), PlannedAttempt(provider=provider, status="error", error_kind="upstream_5xx")
    return Script(fault="close_before_head"), _unconnected(provider)


def _stall(provider: str, _rng: random.Random) -> Act:
    return stall(provider)


def _closed(provider: str, _rng: random.Random) -> Act:
    return None, _unconnected(provider)


def _unconnected(provider: str) -> PlannedAttempt:
    return PlannedAttempt(provider=provider, status="error", responded=False, error_kind="connect_error")


_WAYS: Final[dict[str, Callable[[str, random.Random], Act]]] = {
    "rate_limited": rate_limited,
    "breaking": _nonsense,
    "dying": _outage,
    "stalling": _stall,
    CLOSED_PROVIDER: _closed,
}
