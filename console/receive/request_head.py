"""Checks a request before its body is read: path, method, host, token, media type, coding, size."""

import hmac
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, NamedTuple

from console.address import Address
from console.receive.content import Format
from console.receive.responses import Response, refused
from console.store.records import Signal

_PATHS: Final[dict[str, Signal]] = {"/v1/traces": "traces", "/v1/metrics": "metrics", "/v1/logs": "logs"}
_FORMATS: Final[dict[bytes, Format]] = {b"application/x-protobuf": "protobuf", b"application/json": "json"}
_MAX_DIGITS: Final = 15


class Head(NamedTuple):
    """A request whose body may be read."""

    signal: Signal
    format: Format
    is_gzip: bool


class HeadChecks:
    """The checks. With a `token` requests need it; without one the console listens on loopback, and the host must be local.

    The host is checked so that no page of another site reaches the console by a name that resolves
    to loopback (DNS rebinding).
    """

    def __init__(self, *, token: str | None, max_bytes: int) -> None:
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._max_bytes = max_bytes

    def check(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Head | Response:
        """Return what the body is, or the response to a request that is refused."""
        fields = dict(headers)
        signal = _PATHS.get(path)
        if signal is None:
            return refused(HTTPStatus.NOT_FOUND, f"this is an OTLP/HTTP endpoint: POST {', '.join(_PATHS)}")
        if method != "POST":
            return refused(HTTPStatus.METHOD_NOT_ALLOWED, "use POST", headers=((b"allow", b"POST"),))
        denied = self._check_access(fields)
        if denied is not None:
            return denied
        return self._check_body(signal, fields)

    def _check_access(self, fields: dict[bytes, bytes]) -> Response | None:
        if self._authorization is not None:
            if hmac.compare_digest(fields.get(b"authorization", b""), self._authorization):
                return None
            return refused(
                HTTPStatus.UNAUTHORIZED,
                "send the console's token, as in OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN",
                headers=((b"www-authenticate", b"Bearer"),),
            )
        if not _is_local(fields.get(b"host", b"")):
            return refused(HTTPStatus.FORBIDDEN, "the Host header does not name this machine's loopback address")
        return None

    def _check_body(self, signal: Signal, fields: dict[bytes, bytes]) -> Head | Response:
        media_type = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
        encoding = _FORMATS.get(media_type)
        if encoding is None:
            return refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/x-protobuf or application/json (OTLP/HTTP)"
            )
        coding = fields.get(b"content-encoding", b"identity").strip().lower()
        if coding not in {b"gzip", b"identity", b""}:
            return refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "compress with gzip or not at all", encoding)
        length = fields.get(b"content-length", b"0").strip()
        if not length.isdigit() or len(length) > _MAX_DIGITS or int(length) > self._max_bytes:
            return too_large(self._max_bytes, encoding)
        return Head(signal, encoding, coding == b"gzip")


def too_large(max_bytes: int, encoding: Format) -> Response:
    """Return the response to a body beyond the bound."""
    reason = f"the body has more than {max_bytes} bytes; send smaller batches"
    return refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason, encoding)


def _is_local(host: bytes) -> bool:
    """Return whether a Host header names this machine's loopback: all of 127.0.0.0/8 is one."""
    text = host.decode("latin-1").lower()
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    return Address(name, 0).is_loopback
