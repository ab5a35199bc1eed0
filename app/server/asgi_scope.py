"""A request's head as an ASGI scope."""

from collections.abc import Mapping

from app.server.http_head import RequestHead
from otel.instrument.asgi import Scope


def asgi_scope(head: RequestHead, addresses: Mapping[str, object], state: Mapping[str, object]) -> Scope:
    """Return the ASGI scope of a request."""
    return {
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
