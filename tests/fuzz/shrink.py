"""Makes a failing input smaller: takes pieces out as long as what is left still fails."""

import asyncio
from typing import Final

import msgspec

from tests.fuzz.drive import Books, Driver, Failure
from tests.fuzz.inputs import Input

_MOST_TRIES: Final = 300
_SECONDS: Final = 30.0


async def shrink(port: int, secret: str, failure: Failure) -> Input:
    """Return the smallest input that was found to fail in the same way; the original where it fails only now and then.

    What is taken out may leave the body's length wrong, so a tame input is tried as a wild one.
    """
    best = msgspec.structs.replace(failure.made, cuts=(), method=None, path=None)
    want = failure.problem.partition(":")[0].partition(" (")[0]
    try:
        async with asyncio.timeout(_SECONDS):
            if not await _fails(port, secret, best, want):
                return failure.made
            tries = 0
            size = len(best.payload) // 2
            while size and tries < _MOST_TRIES:
                position, shorter = 0, False
                while position < len(best.payload) and tries < _MOST_TRIES:
                    tries += 1
                    payload = best.payload[:position] + best.payload[position + size :]
                    candidate = msgspec.structs.replace(best, payload=payload)
                    if payload and await _fails(port, secret, candidate, want):
                        best, shorter = candidate, True
                    else:
                        position += size
                if not shorter:
                    size //= 2
    except (TimeoutError, OSError):
        pass
    return best


async def _fails(port: int, secret: str, candidate: Input, want: str) -> bool:
    books = Books()
    await Driver(port, secret, books, asyncio.Event()).send([candidate], workers=1)
    return any(failure.problem.startswith(want) for failure in books.failures)
