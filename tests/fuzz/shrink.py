"""Makes a failing input smaller: takes pieces out as long as what is left still fails."""

import asyncio
import re
from typing import Final

import msgspec

from tests.fuzz.canaries import Keys
from tests.fuzz.drive import Driver, Failure, ResponseCounters
from tests.fuzz.inputs import Input

_LENGTH: Final = re.compile(rb"Content-Length: [0-9]+")
_MOST_TRIES: Final = 300
_SECONDS: Final = 30.0


async def shrink(port: int, keys: Keys, failure: Failure) -> Input:
    """Return the smallest input that was found to fail in the same way; the original where it fails only now and then."""
    best = msgspec.structs.replace(failure.made, cuts=())
    want = failure.problem.partition(":")[0].partition(" (")[0]
    try:
        async with asyncio.timeout(_SECONDS):
            if not await _fails(port, keys, best, want):
                return failure.made
            tries = 0
            size = len(best.payload) // 2
            while size and tries < _MOST_TRIES:
                position, shorter = 0, False
                while position < len(best.payload) and tries < _MOST_TRIES:
                    tries += 1
                    payload = best.payload[:position] + best.payload[position + size :]
                    if best.is_tame:
                        payload = _with_true_length(payload)
                    candidate = msgspec.structs.replace(best, payload=payload)
                    if payload and await _fails(port, keys, candidate, want):
                        best, shorter = candidate, True
                    else:
                        position += size
                if not shorter:
                    size //= 2
    except (TimeoutError, OSError):
        pass
    return best


async def _fails(port: int, keys: Keys, candidate: Input, want: str) -> bool:
    counters = ResponseCounters()
    await Driver(port, keys, counters, asyncio.Event()).send([candidate], workers=1)
    return any(failure.problem.startswith(want) for failure in counters.failures)


def _with_true_length(payload: bytes) -> bytes:
    """Repair the Content-Length of a request that has one."""
    head, end, body = payload.partition(b"\r\n\r\n")
    return _LENGTH.sub(b"Content-Length: %d" % len(body), head) + end + body
