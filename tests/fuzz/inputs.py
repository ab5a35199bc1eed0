"""Input: one thing that a client does to the gateway, as bytes on a connection.

Tame inputs are well-formed HTTP/1.1 with exactly one response that the client waits for; wild ones
are everything else, and may be answered several times or not at all.
"""

from typing import Literal, TypeAlias

import msgspec

Headers: TypeAlias = list[tuple[bytes, bytes]]
Leave: TypeAlias = Literal["stay", "close", "half_close", "after_head"]


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """`method` and `path` (decoded) are set exactly for tame inputs. The payload is written in pieces that end at `cuts`; then the client
    does as `leave` says."""

    kind: str
    payload: bytes
    method: str | None = None
    path: str | None = None
    cuts: tuple[int, ...] = ()
    leave: Leave = "stay"

    @property
    def is_tame(self) -> bool:
        """Whether exactly one response is due."""
        return self.method is not None

    @property
    def most_requests(self) -> int:
        """How many requests the gateway can see in it at the most."""
        return self.payload.count(b"HTTP/") + 1


def request_bytes(method: str, target: bytes, headers: Headers, body: bytes | None = None) -> bytes:
    """Write a request; a body gets its Content-Length."""
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: gateway"]
    lines += [name + b": " + value for name, value in headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")
