"""A request's head as an ASGI scope."""

from collections.abc import Mapping
from typing import Any

from app.gateway.ports import HEADERS_KEY
from app.server.http_head import RequestHead
from otel.instrument.asgi import Scope


def asgi_scope(head: RequestHead, addresses: Mapping[str, object], state: Mapping[str, object]) -> Scope:
    """Return the ASGI scope of a request."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.0" if head.is_http_1_0 else "1.1",
        "scheme": "http",
        "root_path": "",
        "method": head.method,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        "headers": head.headers,
        "state": dict(state),
        **addresses,
    }
    if head.by_name is not None:
        scope[HEADERS_KEY] = head.by_name
    return scope
