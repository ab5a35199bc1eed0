"""Which choices of a stream have begun and which have finished.

Input: the indexes of the choices as the provider wrote them. What is kept of them is bounded: a stream
whose every chunk is a new choice, or has an index of a megabyte, is passed on and costs nothing.
"""

from app.gateway.openai.response_shape import LONGEST_INDEX_BYTES, MOST_CHOICES


class StreamChoices:
    """The choices of one stream."""

    __slots__ = ("_begun", "_finished")

    def __init__(self) -> None:
        self._begun: set[bytes] = set()
        self._finished: set[bytes] = set()

    def __len__(self) -> int:
        """Return how many have begun."""
        return len(self._begun)

    def begin(self, index: bytes) -> None:
        """Record that a choice has begun; one beyond the bounds is not recorded."""
        if index not in self._begun and len(self._begun) < MOST_CHOICES and len(index) <= LONGEST_INDEX_BYTES:
            self._begun.add(index)

    def finish(self, index: bytes) -> None:
        """Record that a choice that has begun has finished."""
        if index in self._begun:
            self._finished.add(index)

    def are_finished(self, requested: int) -> bool:
        """Whether every choice that has begun, and as many as were requested, have finished."""
        return len(self._finished) >= requested and self._begun <= self._finished
