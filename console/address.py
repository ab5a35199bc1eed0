"""Addresses that the console listens on: `HOST:PORT`, and whether only this machine reaches them."""

import errno
import ipaddress
import os
import socket
from typing import NamedTuple

_MAX_PORT = 65_535
_BACKLOG = 128


class AddressError(ValueError):
    """The text is no address, or the console cannot listen there; the message is one line that says what to do."""


class Address(NamedTuple):
    """A host and a port; port 0 is any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """The URL of what listens there."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `HOST:PORT`, `[IPv6]:PORT` or `:PORT`, which is loopback; raises `AddressError`."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AddressError(f"{text} is no address; write an IPv6 address in brackets, as in [::1]:8100")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > _MAX_PORT:
        raise AddressError(f"{text} is no address; write HOST:PORT, as in 127.0.0.1:8100")
    return Address(host or "127.0.0.1", int(port))


def listen(address: Address, option: str) -> socket.socket:
    """Return a listening socket; raises `AddressError`. `option` names the command line's option in the message."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        reason = (
            "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or os.strerror(error.errno or 0)
        )
        raise AddressError(
            f"cannot listen on {address.host}:{address.port}: {reason}; name another address with {option}"
        ) from None
    listener.setblocking(False)
    return listener


def bound(listener: socket.socket) -> Address:
    """Return where a socket listens."""
    return Address(*listener.getsockname()[:2])
