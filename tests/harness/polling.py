"""The one poller of the tests: asks again until a condition holds."""

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

DEADLINE_SECONDS = 60.0
"""Far more than any condition needs, because the machine may be busy."""

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.25
_GROWTH = 1.3


async def read_until(
    read: Callable[[], Awaitable[T] | T], is_good: Callable[[T], bool], *, timeout_seconds: float = DEADLINE_SECONDS
) -> T:
    """Read until the result is good or the time is over; return the last result."""
    deadline = time.monotonic() + timeout_seconds
    pause_seconds = _FIRST_PAUSE_SECONDS
    while True:
        result = read()
        found: T = await result if inspect.isawaitable(result) else result  # type: ignore[assignment]
        if is_good(found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * _GROWTH, _LONGEST_PAUSE_SECONDS)


async def holds_within(check: Callable[[], Any], timeout_seconds: float) -> bool:
    """Return whether the condition, a function or a coroutine function, holds in time."""
    return bool(await read_until(check, bool, timeout_seconds=timeout_seconds))


async def until(
    check: Callable[[], Any], what: str | Callable[[], Any] = "", *, timeout_seconds: float = DEADLINE_SECONDS
) -> Any:
    """Return the first true result of `check`; raises AssertionError with `what` when the time is over."""
    found = await read_until(check, bool, timeout_seconds=timeout_seconds)
    assert found, _message(what, timeout_seconds)
    return found


def wait_for(
    check: Callable[[], T], what: str | Callable[[], Any] = "", *, timeout_seconds: float = DEADLINE_SECONDS
) -> T:
    """Return the first true result of `check`, for tests without an event loop; raises AssertionError with `what`."""
    deadline = time.monotonic() + timeout_seconds
    pause = threading.Event()
    pause_seconds = _FIRST_PAUSE_SECONDS
    while not (found := check()):
        assert time.monotonic() < deadline, _message(what, timeout_seconds)
        pause.wait(pause_seconds)
        pause_seconds = min(pause_seconds * _GROWTH, _LONGEST_PAUSE_SECONDS)
    return found


def _message(what: str | Callable[[], Any], timeout_seconds: float) -> str:
    return f"not within {timeout_seconds:g} s: {what() if callable(what) else what or 'the condition'}"
