"""Opens the socket that the server listens on."""

import errno
import os
import socket
from typing import Final

from app.config.schema import ServerConfig

BACKLOG: Final = 4_096
"""As long as the system allows by default (`net.core.somaxconn`)."""


def listen(config: ServerConfig) -> socket.socket:
    """Open the listening socket; raises OSError, `socket.gaierror` for a host that has no address."""
    address = (config.host, config.port)
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "Not a host name") from None
    takes_ipv4_too = config.host == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=takes_ipv4_too)
    listener.setblocking(False)
    # Connections inherit the listener's options. Small pieces of a stream must not wait for each other.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def why_not_listening(error: OSError) -> str:
    """Return what is wrong with the address, and what to change."""
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}; set server.host or --host to an address of this computer"
    reason = os.strerror(error.errno or 0)
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}; set server.host or --host to an address of this computer"
    return f"{reason}; choose another port with --port"
