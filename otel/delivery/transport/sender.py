"""The outcome of sending one body of OTLP bytes, and the port that sends it; `http.py` and `grpc.py` implement it."""

from typing import Protocol, TypeAlias

import msgspec


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint has the body. It rejected `rejected_items` of it (OTLP's partial success), for the reason in `message`."""

    rejected_items: int = 0
    message: str = ""


class RetryLater(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint does not have the body, as far as can be known, and may accept it later.

    `retry_after_seconds` is the wait that the endpoint requested. `poison`: the body itself may be the cause, because
    OTLP does not list the response as retryable; the number of such tries is limited.
    """

    reason: str
    retry_after_seconds: float | None = None
    poison: bool = False
    no_response: bool = False
    """Sent without a response: the endpoint may be frozen, or this body makes it close the connection."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint will never accept the body."""

    reason: str


Outcome: TypeAlias = Accepted | RetryLater | Refused


class Sender(Protocol):
    """Sends ready bytes of one signal to one endpoint. It connects when it first sends, not when it is built."""

    @property
    def address(self) -> str:
        """The endpoint's host and port, for log lines."""

    def pack(self, payload: bytes) -> bytes:
        """Turn an encoded request into the body that `send` accepts, compressed once so that the buffer holds less."""

    def unpack(self, body: bytes) -> bytes:
        """Turn such a body back into the encoded request; raises ValueError or OSError for bytes that are none."""

    def send(self, body: bytes, timeout_seconds: float) -> Outcome:
        """Send one body and wait for the response; never raises. Called by one thread at a time."""

    def close(self) -> None:
        """Cut the connection, also under a `send` that is waiting in another thread."""
