"""What misbehaving clients do: a seed decides requests, traceparents, and the moment at which each client does what no client should."""

import random
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from demo.traffic import call_kinds, refusal_kinds
from demo.traffic.arrivals import read_trace
from demo.traffic.outcomes import Pace
from demo.traffic.plan import Planned
from demo.traffic.schedule import Kind, ScheduleOptions, schedule
from tests.fuzz.inputs import Headers, request_bytes

Behaviour: TypeAlias = Literal[
    "polite",  # sends a request, reads the response
    "cut_request",  # ends in the middle of its request
    "cut_response",  # ends in the middle of the response
    "pipeline",  # sends several requests at once and ends at any moment
    "continue",  # sends `Expect: 100-continue` and its body, or only a part of it, with or without waiting for the 100
    "dribble",  # sends its request in small pieces
    "slow_reader",  # reads nothing for a while
]
Ending: TypeAlias = Literal["close", "reset", "half_close", "stall"]

BEHAVIOURS: Final[tuple[Behaviour, ...]] = (
    "polite", "cut_request", "cut_response", "pipeline", "continue", "dribble", "slow_reader",
)  # fmt: skip
ENDINGS: Final[tuple[Ending, ...]] = ("close", "reset", "half_close", "stall")

_MIX: Final[tuple[tuple[Kind, float], ...]] = (
    (call_kinds.plain, 20.0),
    (call_kinds.streamed, 25.0),
    (call_kinds.failed_over, 8.0),
    (call_kinds.embedded, 6.0),
    (call_kinds.cacheable, 4.0),
    (call_kinds.limited, 4.0),
    (call_kinds.all_failed, 2.0),
    (call_kinds.all_limited, 2.0),
    (call_kinds.callers_fault, 3.0),
    (call_kinds.unreported, 4.0),
    (call_kinds.renamed_usage, 2.0),
    (refusal_kinds.bad_key, 4.0),
    (refusal_kinds.unknown_model, 2.0),
    (refusal_kinds.bad_body, 4.0),
    (refusal_kinds.bad_embedding, 1.0),
    (refusal_kinds.too_large, 1.0),
    (refusal_kinds.lost, 4.0),
    (refusal_kinds.models, 4.0),
)
_FLAGS: Final = ("01", "00", "ff", "fe", "0x", "zz", "1", "001", "")
_VERSIONS: Final = ("00", "00", "00", "01", "ff", "0")


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One client on a connection of its own.

    `payload` holds `methods`, one for each request. It is sent up to `cut`, and up to `read_bytes` of the responses are read; then
    the client ends as `ending` tells. `head_bytes`: where the first request's head ends. `waits`: for the 100 before the body.
    """

    number: int
    behaviour: Behaviour
    ending: Ending
    payload: bytes
    methods: tuple[str, ...]
    cut: int
    read_bytes: int
    head_bytes: int
    waits: bool


def acts(clients: int, seed: int, keys: dict[str, str | None]) -> Iterator[Act]:
    """Return what so many clients do; the same for the same seed and keys."""
    rng = random.Random(seed)
    options = ScheduleOptions(seed=seed, run=f"clients{seed}", speed=1.0, mix=_MIX, pace=Pace(scale=0.05))
    requests = schedule(read_trace(), options)
    for number in range(clients):
        behaviour = rng.choice(BEHAVIOURS)
        count = rng.randint(2, 4) if behaviour == "pipeline" else 1
        planned = [next(requests) for _ in range(count)]
        payloads = [_request(each, rng, keys, expects=behaviour == "continue") for each in planned]
        payload = b"".join(content for _, content in payloads)
        cuts = behaviour == "cut_request" or (behaviour in {"pipeline", "continue"} and rng.random() < 0.5)
        yield Act(
            number=number,
            behaviour=behaviour,
            ending=rng.choice(ENDINGS),
            payload=payload,
            methods=tuple(method for method, _ in payloads),
            cut=_cut(payload, rng) if cuts else len(payload),
            read_bytes=_read_bytes(behaviour, rng),
            head_bytes=payload.index(b"\r\n\r\n") + 4,
            waits=rng.random() < 0.7,
        )


def _cut(payload: bytes, rng: random.Random) -> int:
    """Return where the sending ends: often around the end of the head, else anywhere."""
    if rng.random() < 0.3:
        return min(len(payload), payload.index(b"\r\n\r\n") + rng.choice((0, 1, 2, 3, 4, 5, 6)))
    return rng.randrange(len(payload))


def _read_bytes(behaviour: Behaviour, rng: random.Random) -> int:
    if behaviour in {"polite", "dribble"}:
        return 1 << 30
    return rng.choice((0, 1, 20, 200, 400, rng.randrange(1, 3_000), rng.randrange(1, 30_000), 1 << 30))


def _request(planned: Planned, rng: random.Random, keys: dict[str, str | None], *, expects: bool) -> tuple[str, bytes]:
    method = planned.method
    if rng.random() < 0.05:
        method = "HEAD"
    headers: Headers = [(b"Content-Type", b"application/json")]
    key = keys[planned.key]
    if key is not None:
        headers.append((b"Authorization", f"Bearer {key}".encode()))
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        headers.append((b"traceparent", _traceparent(rng)))
    if expects:
        headers.append((b"Expect", b"100-continue"))
    body = planned.body
    if body and rng.random() < 0.2:
        headers.append((b"Transfer-Encoding", b"chunked"))
        return method, request_bytes(method, planned.target.encode(), headers) + _chunked(body, rng)
    return method, request_bytes(method, planned.target.encode(), headers, body or None)


def _chunked(body: bytes, rng: random.Random) -> bytes:
    middle = rng.randrange(len(body))
    pieces = [piece for piece in (body[:middle], body[middle:]) if piece]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _traceparent(rng: random.Random) -> bytes:
    trace_id = rng.choice((f"{rng.getrandbits(128):032x}", f"{rng.getrandbits(128):032X}", "0" * 32, "f" * 31))
    if rng.random() < 0.6:
        trace_id = f"{rng.getrandbits(128):032x}"
    return f"{rng.choice(_VERSIONS)}-{trace_id}-{rng.getrandbits(64):016x}-{rng.choice(_FLAGS)}".encode()
