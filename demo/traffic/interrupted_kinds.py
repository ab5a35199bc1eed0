"""INTERRUPTED KINDS: the kinds of requests that end in the middle: a stream breaks or falls silent, a client leaves.

Comes in: a sketch. Goes out: a `Planned` request with its certain outcome: the upstream waits for
the moment that matters (so many chunks were read, the request has arrived) instead of for a time.
"""

from typing import Final

import msgspec

from demo.traffic.outcomes import Act, failure
from demo.traffic.plan import Planned, PlannedAttempt
from demo.traffic.request_template import Sketch, chat, coin, providers_of
from demo.upstream.script import Script

_BROKEN_CHUNKS: Final = 6


def _paused(sketch: Sketch, provider: str, status: str, **script: object) -> tuple[Act, int]:
    """Stream some chunks without delay and then pause; returns how many."""
    read_chunks = sketch.rng.randint(1, _BROKEN_CHUNKS - 1)
    fields = {
        "words": 4 * _BROKEN_CHUNKS,
        "chunks": _BROKEN_CHUNKS,
        "pause_after_chunks": read_chunks,
        "tag": sketch.tag,
    }
    attempt = {
        "provider": provider,
        "status": status,
        "has_content": True,
        "tokens": "delivered",
        "is_abandoned": "after_pause" not in script,
    }
    return (msgspec.convert(fields | script, Script), msgspec.convert(attempt, PlannedAttempt)), read_chunks


def broken(sketch: Sketch) -> Planned:
    """The stream breaks, or the provider gives up, after the client got some of it."""
    after_pause = sketch.rng.choice(("break", "error_event"))
    act, read_chunks = _paused(sketch, "breaking", "error", after_pause=after_pause)
    return chat(
        sketch,
        "broken stream",
        "cobalt-code",
        [act],
        stream=True,
        tag=sketch.tag,
        read_chunks=read_chunks,
        releases=True,
        ends_in_error=True,
    )


def fell_silent(sketch: Sketch) -> Planned:
    """The stream stops in the middle; the gateway's idle time-out ends it."""
    act, read_chunks = _paused(sketch, "stalling", "error")
    return chat(
        sketch,
        "silent stream",
        "granite-3b",
        [act],
        stream=True,
        tag=sketch.tag,
        read_chunks=read_chunks,
        ends_in_error=True,
    )


def left_before(sketch: Sketch) -> Planned:
    """The client leaves while a provider works, sometimes the second one."""
    model = sketch.rng.choice(("aurora-large", "harbor-8b"))
    providers = providers_of(model)
    failed = [failure(providers[0], sketch.rng)] if model == "harbor-8b" else []
    last = PlannedAttempt(
        provider=providers[len(failed)], status="cancelled", responded=False, tokens="prompt", is_abandoned=True
    )
    acts = [*failed, (Script(fault="stall", tag=sketch.tag), last)]
    return chat(
        sketch,
        "left before",
        model,
        acts,
        stream=coin(sketch),
        status_code=499,
        leaving="before_first_byte",
        tag=sketch.tag,
    )


def left_during(sketch: Sketch) -> Planned:
    """The client leaves in the middle of a stream."""
    model = sketch.rng.choice(("aurora-large", "harbor-8b", "meadow-24b"))
    act, read_chunks = _paused(sketch, providers_of(model)[0], "cancelled")
    return chat(
        sketch,
        "left during",
        model,
        [act],
        stream=True,
        leaving="after_first_byte",
        read_chunks=read_chunks,
        tag=sketch.tag,
    )
