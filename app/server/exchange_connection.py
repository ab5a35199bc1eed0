"""What an exchange needs of the connection that carries it."""

from typing import Protocol

from uvicorn.server import ServerState

from app.gateway.overhead import OverheadTimer
from app.server.client_transport import ClientTransport


class ExchangeConnection(Protocol):
    """What an exchange needs of its connection."""

    @property
    def transport(self) -> ClientTransport:
        """Where the response goes."""

    @property
    def server_state(self) -> ServerState:
        """Holds the fields of every response: the date."""

    def identified(self, key_id: str, credentials: bytes | None) -> None:
        """The request has a valid key, and its `Authorization` field this value; None where it was not looked up."""

    def start_timer(self) -> OverheadTimer:
        """Return the timer of a request, which runs since its bytes came."""

    def read_as_needed(self) -> None:
        """Read on: what was received of the body has been taken."""

    @property
    def is_writable(self) -> bool:
        """Whether `writable` would return at once."""

    async def writable(self) -> None:
        """Wait until the client has taken enough of what was written."""

    async def emptied(self) -> bool:
        """Wait until all that was written has left the process; false when the connection ended before."""

    def response_ended(self) -> None:
        """The response is complete, or will never be complete."""
