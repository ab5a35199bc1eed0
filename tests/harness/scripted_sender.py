"""A sender that returns scripted outcomes."""

from collections.abc import Iterable

from otel.delivery.transport.sender import Accepted, Outcome


class ScriptedSender:
    """Satisfies `Sender`: gives the scripted outcomes in turn, then accepts; an exception in the script is raised.

    `attempts` holds every body that was sent with its time limit, `accepted` the acknowledged bodies.
    """

    address = "collector:4318"

    def __init__(self, outcomes: Iterable[Outcome | Exception] = ()) -> None:
        self.script = list(outcomes)
        self.attempts: list[tuple[bytes, float]] = []
        self.accepted: list[bytes] = []
        self.closed = False

    def pack(self, payload: bytes) -> bytes:
        """Return the payload as it is."""
        return payload

    def unpack(self, body: bytes) -> bytes:
        """Return the body as it is."""
        return body

    def send(self, body: bytes, timeout_seconds: float) -> Outcome:
        """Return the next outcome of the script."""
        self.attempts.append((body, timeout_seconds))
        outcome = self.script.pop(0) if self.script else Accepted()
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, Accepted):
            self.accepted.append(body)
        return outcome

    def close(self) -> None:
        """Remember it."""
        self.closed = True
