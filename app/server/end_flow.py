"""The end of a connection: the refusal of bytes that are not a request, and the last bytes that are written.

Closing at once would reset the connection where the client has sent more than was read, and it would
never read its response.
"""

import logging

from app.server.connections import Connections
from app.server.http_head import RequestRefusedError
from app.server.http_refusal import refusal
from app.server.read_flow import ReadFlow

_logger = logging.getLogger("uvicorn.error")


class EndFlow(ReadFlow):
    """The last step of a connection, for its protocol class."""

    connections: Connections
    is_extra: bool
    _final_bytes: bytes | None = None

    def _refuse(self, error: RequestRefusedError) -> None:
        """Refuse bytes that are not a request, and close; a response that has begun is finished first."""
        _logger.warning("%s", error.message)
        self._is_refused = True
        self._input.drop()
        self._timers.stop("head")
        exchange = self._exchange
        if self.transport.is_closing():
            return
        if exchange is None or not exchange.response_started:
            if exchange is not None:
                # The request will never be complete.
                exchange.leave()
            self._end_output(refusal(error))
        elif exchange.response_complete:
            self._end_output(b"")
        else:
            # The application responds without the body and is about to end; if it does not, it waits for bytes that never come.
            self._final_bytes = refusal(error)
            self._discard_for_a_while()

    def _end_output(self, final_bytes: bytes) -> None:
        """Write the last bytes of this connection, and close it once the client can have read them.

        Closing at once would reset the connection where the client has sent more than was read, and it would never read its response.
        """
        self._is_refused = True
        self._final_bytes = None
        self.connections.is_idle(self)
        self.transport.write(final_bytes)
        if self._is_at_end:
            self.transport.close()
            return
        self.transport.write_eof()
        self._read(True)
        self._discard_for_a_while()
