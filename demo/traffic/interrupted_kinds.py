"""Requests that end in the middle: a stream breaks or stalls, a client leaves.

The upstream waits for an event, such as the client having read a number of chunks, and not for a time.
"""

from typing import Final

import msgspec

from demo.traffic.outcomes import Act, failure
from demo.traffic.plan import Planned, PlannedAttempt
from demo.traffic.request_template import RequestTemplate, chat, coin, providers_of
from demo.upstream.script import Script

_BROKEN_CHUNKS: Final = 6


def _paused(
    template: RequestTemplate, provider: str, status: str, error_kind: str = "", **script: object
) -> tuple[Act, int]:
    """Stream some chunks without delay and then pause; returns how many."""
    read_chunks = template.rng.randint(1, _BROKEN_CHUNKS - 1)
    fields = {
        "words": 4 * _BROKEN_CHUNKS,
        "chunks": _BROKEN_CHUNKS,
        "pause_after_chunks": read_chunks,
        "tag": template.tag,
    }
    attempt = {
        "provider": provider,
        "status": status,
        "has_content": True,
        "tokens": "delivered",
        "error_kind": error_kind,
        "is_abandoned": "after_pause" not in script,
    }
    return (msgspec.convert(fields | script, Script), msgspec.convert(attempt, PlannedAttempt)), read_chunks


def broken(template: RequestTemplate) -> Planned:
    """The stream breaks, or the provider sends an error, after the client received a part."""
    after_pause = template.rng.choice(("break", "error_event"))
    error_kind = "stream_broken" if after_pause == "break" else "upstream_5xx"
    act, read_chunks = _paused(template, "breaking", "error", error_kind, after_pause=after_pause)
    return chat(
        template,
        "broken stream",
        "cobalt-code",
        [act],
        stream=True,
        tag=template.tag,
        read_chunks=read_chunks,
        releases=True,
        ends_in_error=True,
    )


def fell_silent(template: RequestTemplate) -> Planned:
    """The stream stops in the middle; the gateway's idle timeout ends it."""
    act, read_chunks = _paused(template, "stalling", "error", "idle_timeout")
    return chat(
        template,
        "silent stream",
        "granite-3b",
        [act],
        stream=True,
        tag=template.tag,
        read_chunks=read_chunks,
        ends_in_error=True,
    )


def left_before(template: RequestTemplate) -> Planned:
    """The client leaves while a provider works, sometimes the second one."""
    model = template.rng.choice(("aurora-large", "harbor-8b"))
    providers = providers_of(model)
    failed = [failure(providers[0], template.rng)] if model == "harbor-8b" else []
    last = PlannedAttempt(
        provider=providers[len(failed)], status="cancelled", responded=False, tokens="prompt", is_abandoned=True
    )
    acts = [*failed, (Script(fault="stall", tag=template.tag), last)]
    return chat(
        template,
        "left before",
        model,
        acts,
        stream=coin(template),
        status_code=499,
        leaving="before_first_byte",
        tag=template.tag,
    )


def left_during(template: RequestTemplate) -> Planned:
    """The client leaves in the middle of a stream."""
    model = template.rng.choice(("aurora-large", "harbor-8b", "meadow-24b"))
    act, read_chunks = _paused(template, providers_of(model)[0], "cancelled")
    return chat(
        template,
        "left during",
        model,
        [act],
        stream=True,
        leaving="after_first_byte",
        read_chunks=read_chunks,
        tag=template.tag,
    )
