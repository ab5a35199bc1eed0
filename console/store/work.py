"""What the writer's queue holds: one request each, and what became of it."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from console.store.records import Batch


class Stored(NamedTuple):
    """It is on the disk. `refused` of its items were invalid; `reason` is why the first one was."""

    refused: int
    reason: str


class Malformed(NamedTuple):
    """Nothing of it could be read, or it is too large at once."""

    reason: str
    is_too_large: bool = False


class Overloaded(NamedTuple):
    """Nothing of it is stored; it should be sent again."""

    reason: str
    retry_after_seconds: int = 1


class Failed(NamedTuple):
    """Nothing of it is stored, because of a defect of the console."""

    reason: str


Outcome: TypeAlias = Stored | Malformed | Overloaded | Failed


class MalformedError(Exception):
    """The request's content cannot be read; the message says why."""

    is_too_large = False


class TooLargeError(MalformedError):
    """The request should be sent in parts."""

    is_too_large = True


class Work(NamedTuple):
    """One request. Both functions are called in the writer's thread."""

    size_bytes: int
    prepare: Callable[[], Batch]
    """Reads the content; raises `MalformedError`."""
    done: Callable[[Outcome], None]
    """Takes the outcome, after the commit."""
