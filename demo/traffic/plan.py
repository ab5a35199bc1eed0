"""A planned request and what the client observed of it; plain structs.

A request carries the scripts that its upstreams follow, so its outcome is known before it is sent.
"""

from typing import Literal, TypeAlias

import msgspec

Leaving: TypeAlias = Literal["stays", "before_first_byte", "after_first_byte"]
KeyName: TypeAlias = str
"""The name of a key in the traffic program's key ring: `main`, `unknown`, `malformed`, `revoked`, `none`, or a limited plan's."""

CHAT_PATH = "/v1/chat/completions"
EMBEDDINGS_PATH = "/v1/embeddings"


class PlannedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call to one provider.

    `responded`: a head or a timeout comes (neither comes from a closed connection). `tokens`: `reported`, as
    `input_tokens` and `output_tokens` say; `delivered`, the provider reports none, so they are estimated from the
    characters of the prompt and of what the client got; `prompt`, the provider had the request and never responded, so
    that the prompt alone is estimated; `answer`, as the response says (a real model); `none`. `is_detailed`: it reports
    parts of both, and a cost. `reports_nonsense`: it reports counts of input and output that cannot be any.
    `is_abandoned`: the gateway hangs up on the provider while it works, because the client left or the time is over.
    `error_kind`: why it fails; `streamed_error_kind`: why where the request is streamed, empty where that is the same.
    """

    provider: str
    status: Literal["success", "error", "cancelled"]
    responded: bool = True
    has_content: bool = False
    tokens: Literal["none", "reported", "delivered", "prompt", "answer"] = "none"
    input_tokens: int = 0
    output_tokens: int = 0
    is_detailed: bool = False
    reports_nonsense: bool = False
    is_abandoned: bool = False
    error_kind: str = ""
    streamed_error_kind: str = ""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One request.

    `route` is the template in the label `path`, `target` what is sent. `model` is None where the request never becomes a call.
    `max_tokens` is the limit that it sets, 0 for none. `after` is the number of a request that must have ended before.
    `read_chunks`: the client reads so many chunks with content, then leaves or releases the upstream's pause on `tag`.
    `limited`: a 429 may come instead, by this limit. `possible`: how an attempt at each provider would end, where a circuit
    breaker decides which are made; `attempts` is then empty until the client has seen the response.
    """

    number: int
    at_seconds: float
    kind: str
    target: str
    route: str
    status_code: int
    method: str = "POST"
    key: KeyName = "main"
    body: bytes = b""
    model: str | None = None
    stream: bool = False
    attempts: tuple[PlannedAttempt, ...] = ()
    possible: tuple[PlannedAttempt, ...] = ()
    is_embedding: bool = False
    prompt_characters: int = 0
    max_tokens: int = 0
    cache: Literal["hit", "miss"] | None = None
    exception_type: str | None = None
    limited: str | None = None
    upstream_limited: bool = False
    leaving: Leaving = "stays"
    read_chunks: int | None = None
    releases: bool = False
    ends_in_error: bool = False
    tag: str | None = None
    after: int | None = None


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What the client saw of one request. `status_code` is None where it left before the head.

    `characters` of content arrived; `usage` is what the response reported, input and output, `cached_tokens` of
    the input.
    """

    status_code: int | None = None
    provider: str | None = None
    cache: str | None = None
    characters: int = 0
    usage: tuple[int, int] | None = None
    cached_tokens: int = 0
    ended_in_error: bool = False
    is_whole: bool = False
    duration_seconds: float = 0.0
    failure: str | None = None
    trace_id: str | None = None
    error_code: str | None = None
