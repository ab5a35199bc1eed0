"""The console's token in the Authorization header."""

import hmac
from collections.abc import Mapping


def presents_bearer(headers: Mapping[bytes, bytes], token: bytes) -> bool:
    """Return whether a request has the token in its Authorization header (RFC 6750)."""
    scheme, _, presented = headers.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(presented.strip(), token)
