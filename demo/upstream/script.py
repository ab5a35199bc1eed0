"""The script that tells the upstream what to do with one request.

It travels in the field `x_script` of the request body, which the gateway passes through as any unknown field. A request
without it gets one from the habits of its persona.
"""

import math
import random
from typing import Any, Final, Literal, TypeAlias

import msgspec

Fault: TypeAlias = Literal[
    "stall",  # never respond
    "close_before_head",  # close the connection instead of responding
    "close_after_head",  # a 200 head, then close
    "bad_json",  # a 200 whose body is cut off in the middle of its JSON
    "wrong_content_type",  # a 200 with an HTML page
]
UsageShape: TypeAlias = Literal[
    "reported",
    "omitted",
    "other_names",  # input_tokens and output_tokens, the latter as 12.0
    "detailed",  # half of the prompt from the cache, a third of the response reasoning, and a cost
    "unusable",  # words and negative numbers
]

FIELD: Final = "x_script"
REPORTED_COST_USD: Final = "0.000123456"
"""What a detailed usage says that the request cost, whatever it was."""
PERSONAS: Final = ("healthy", "slow", "flaky", "rate_limited", "dying", "breaking", "stalling", "openrouter")
MAX_SECONDS: Final = 600.0
_MAX_TOKENS: Final = 100_000
_DEFAULT_TOKENS: Final = 32


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to do with one request.

    `prompt_tokens`, `completion_tokens`: what to report; without them the words of the prompt and of the response are counted.
    `words`: how long the response is; without it `completion_tokens`, else the request's `max_tokens`. A stream spreads them over
    `chunks` chunks. After `pause_after_chunks` chunks with content it waits for a POST to `/_upstream/release/{tag}`, which may
    never come, and then ends as `after_pause` specifies. `tag` also makes the request's arrival visible at `/_upstream/arrived/{tag}`.
    """

    status: int = 200
    retry_after: str | None = None
    delay_seconds: float = 0.0
    fault: Fault | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    usage: UsageShape = "reported"
    words: int | None = None
    chunks: int = 8
    chunk_delay_seconds: float = 0.0
    pause_after_chunks: int | None = None
    after_pause: Literal["continue", "break", "error_event"] = "continue"
    tag: str | None = None


class ScriptError(ValueError):
    """The field `x_script` is not a script; the message says where."""


def read_script(body: dict[str, Any], persona: str) -> Script | None:
    """Return the script that a request carries for `persona`, or None; raises `ScriptError`."""
    scripts = body.get(FIELD)
    if scripts is None:
        return None
    try:
        found = msgspec.convert(scripts, dict[str, Script]).get(persona)
    except msgspec.ValidationError as error:
        raise ScriptError(f"{FIELD}: {error}") from None
    if found is not None and not _is_in_range(found):
        raise ScriptError(f"{FIELD}: a number of the script for {persona!r} is out of range")
    return found


def _is_in_range(script: Script) -> bool:
    delays = (script.delay_seconds, script.chunk_delay_seconds)
    counts = (
        script.words or 0,
        script.prompt_tokens or 0,
        script.completion_tokens or 0,
        script.pause_after_chunks or 0,
    )
    http_status = 200 <= script.status <= 599  # noqa: PLR2004  what HTTP calls a final status
    return (
        http_status
        and all(math.isfinite(delay) and 0 <= delay <= MAX_SECONDS for delay in delays)
        and all(0 <= count <= _MAX_TOKENS for count in counts)
        and 1 <= script.chunks <= _MAX_TOKENS
    )


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """What a persona does by itself: its latency, and the shares of its requests that go wrong (they add up to 1 at most).

    `outage_every_seconds`, `outage_seconds`: it responds nothing but 503 for so long, again and again.
    """

    first_byte_seconds: float = 0.05
    seconds_per_token: float = 0.002
    spread: float = 0.6
    status_shares: tuple[tuple[int, float], ...] = ()
    break_share: float = 0.0
    outage_every_seconds: float = 0.0
    outage_seconds: float = 0.0

    def is_out(self, elapsed_seconds: float) -> bool:
        """Whether an outage is going on."""
        every_seconds = self.outage_every_seconds
        return every_seconds > 0 and elapsed_seconds % every_seconds > every_seconds - self.outage_seconds

    def status_of_list(self, elapsed_seconds: float) -> int:
        """Return the HTTP status of the list of models: it costs no work, so only an outage stops it."""
        return 503 if self.is_out(elapsed_seconds) else 200


STEADY: Final = {persona: Habits() for persona in PERSONAS}
SCRIPTS: Final[dict[str, dict[str, Habits]]] = {
    "steady": STEADY,
    "demo": {
        "healthy": Habits(),
        "slow": Habits(first_byte_seconds=0.6, seconds_per_token=0.01, spread=0.9),
        "flaky": Habits(status_shares=((500, 0.1), (502, 0.05), (503, 0.1))),
        "rate_limited": Habits(status_shares=((429, 0.6),)),
        "dying": Habits(outage_every_seconds=40.0, outage_seconds=15.0),
        "breaking": Habits(break_share=0.4),
    },
}
"""The named scripts: habits by persona. A persona that is not listed has those of `Habits()`."""


def improvise(habits: Habits, body: dict[str, Any], *, elapsed_seconds: float, rng: random.Random) -> Script:
    """Make up a script for a request without one. Latency is log-normal around the habit, so its tail is heavy."""
    tokens = requested_tokens(body)
    pace = rng.lognormvariate(0.0, habits.spread)
    delay_seconds = min(habits.first_byte_seconds * pace, MAX_SECONDS)
    if habits.is_out(elapsed_seconds):
        return Script(status=503, delay_seconds=0.001)
    draw = rng.random()
    for status, share in habits.status_shares:
        draw -= share
        if draw < 0:
            return Script(status=status, delay_seconds=delay_seconds, retry_after="2" if status == 429 else None)  # noqa: PLR2004  Too Many Requests
    chunks = max(1, min(tokens, 32))
    chunk_delay_seconds = min(habits.seconds_per_token * pace * tokens / chunks, MAX_SECONDS)
    breaks = body.get("stream") is True and draw < habits.break_share
    if body.get("stream") is not True:
        delay_seconds = min(delay_seconds + chunk_delay_seconds * chunks, MAX_SECONDS)
    return Script(
        delay_seconds=delay_seconds,
        words=tokens,
        chunks=chunks,
        chunk_delay_seconds=chunk_delay_seconds,
        pause_after_chunks=chunks // 2 if breaks else None,
        after_pause="break" if breaks else "continue",
    )


def requested_tokens(body: dict[str, Any]) -> int:
    """Return how many tokens the caller asks for, within bounds."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return min(value, _MAX_TOKENS)
    return _DEFAULT_TOKENS
