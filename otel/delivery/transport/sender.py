"""OUTCOME: what came of sending one body of OTLP bytes, and the port that sends it; `http.py` and `grpc.py` implement it."""

from typing import Protocol, TypeAlias

import msgspec


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint has it. Of its items it refused `rejected_items` (OTLP's partial success), with `message` as the reason."""

    rejected_items: int = 0
    message: str = ""


class RetryLater(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint does not have it, as far as anybody can tell, and may take it later.

    `retry_after_seconds` is what the endpoint asked for. `poison` says that the body itself may be the cause: an answer that
    OTLP does not list as retryable; such a body is not tried for ever.
    """

    reason: str
    retry_after_seconds: float | None = None
    poison: bool = False
    unanswered: bool = False
    """Connected and sent, and no answer came: the endpoint may be frozen, or this body makes it hang up."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint will never take it."""

    reason: str


Outcome: TypeAlias = Accepted | RetryLater | Refused


class Sender(Protocol):
    """Sends ready bytes of one signal to one endpoint. It connects when it first sends, not when it is built."""

    @property
    def address(self) -> str:
        """The endpoint's host and port, as log lines name it."""

    def pack(self, payload: bytes) -> bytes:
        """Turn an encoded request into the body that `send` takes: compressed here, once, so that the buffer holds less."""

    def unpack(self, body: bytes) -> bytes:
        """Turn such a body back into the encoded request; raises ValueError or OSError for bytes that are none."""

    def send(self, body: bytes, timeout_seconds: float) -> Outcome:
        """Send one body and wait for the answer; never raises. Called by one thread at a time."""

    def close(self) -> None:
        """Cut the connection, also under a `send` that is waiting in another thread."""
