"""Reads `OTEL_EXPORTER_OTLP_*` and the per-signal forms, which win, for one signal at a time.

This follows the specification's "OpenTelemetry Protocol Exporter", also where the Python SDK does
not: timeouts are in milliseconds. A value that cannot be used becomes a warning. Where it concerns
the destination or its protection (endpoint, certificates), the signal is not pushed.
"""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from otel.config.values import MAX_MILLISECONDS, EnvironReader, shown

Signal: TypeAlias = Literal["traces", "metrics", "logs"]
Protocol: TypeAlias = Literal["http/protobuf", "grpc"]
Compression: TypeAlias = Literal["none", "gzip"]

_HTTP: Final = "http/protobuf"
_DEFAULT_ENDPOINTS: Final = {_HTTP: "http://localhost:4318", "grpc": "http://localhost:4317"}
_DEFAULT_TIMEOUT_MS: Final = 10_000
_OWN_HEADERS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "te", "transfer-encoding"}
)
"""Headers that the exporter sets itself."""
_T = TypeVar("_T")


class TelemetryConfigError(Exception):
    """A setting cannot be used. The message is one line, without values that may be secrets."""


class OtlpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how one signal is pushed.

    `endpoint` is the full URL for HTTP, path included, and `host:port` for gRPC. `tls`: the
    connection is encrypted. The three paths are PEM files: a CA bundle that replaces the system's,
    and the client's certificate and key.
    """

    signal: Signal
    endpoint: str
    tls: bool = False
    protocol: Protocol = "http/protobuf"
    headers: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float = 10.0
    compression: Compression = "none"
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    @property
    def address(self) -> str:
        """The endpoint for log lines: host and port only, because a URL may hold credentials."""
        return _host_and_port(urlsplit(self.endpoint)) if "://" in self.endpoint else self.endpoint

    def secret_values(self) -> Iterator[str]:
        """Return the header values, each also without its scheme (`Bearer`)."""
        for _, value in self.headers:
            yield value
            yield value.rpartition(" ")[2]

    def __repr__(self) -> str:
        """Show the names of the headers without their values, which are usually tokens."""
        names = ", ".join(key for key, _ in self.headers)
        return f"OtlpConfig({self.signal} -> {self.protocol} {self.address}, headers: [{names}])"


def endpoint_is_set(environ: EnvironReader, signal: Signal) -> bool:
    """Whether the environment sets an endpoint for the signal or for all signals."""
    return any(environ.is_set(name) for name in _names(signal, "ENDPOINT"))


def read_otlp(environ: EnvironReader, signal: Signal) -> OtlpConfig | None:
    """Read one signal's exporter; None where the signal cannot be pushed as configured."""
    protocol = _protocol(environ, signal)
    where = _endpoint(environ, signal, protocol)
    if where is None:
        return None
    endpoint, tls = where
    config = OtlpConfig(
        signal=signal,
        endpoint=endpoint,
        tls=tls,
        protocol=protocol,
        headers=_headers(environ, signal, protocol),
        timeout_seconds=_timeout_seconds(environ, signal),
        compression=_compression(environ, signal),
        certificate=_first_text(environ, signal, "CERTIFICATE"),
        client_certificate=_first_text(environ, signal, "CLIENT_CERTIFICATE"),
        client_key=_first_text(environ, signal, "CLIENT_KEY"),
    )
    return config if _can_secure(environ, config) else None


def _names(signal: Signal, option: str) -> tuple[str, str]:
    """Return the per-signal variable, which wins, and the general one."""
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{option}", f"OTEL_EXPORTER_OTLP_{option}"


def _first(
    environ: EnvironReader, signal: Signal, option: str, default: str, parse: Callable[[str, str], _T | None]
) -> _T | None:
    """Return the first value that `parse` accepts.

    It takes the variable and the replacement to name in a warning.
    """
    own, general = _names(signal, option)
    value = parse(own, f"using {general}" if environ.is_set(general) else default)
    return parse(general, default) if value is None else value


def _first_text(environ: EnvironReader, signal: Signal, option: str) -> str | None:
    return _first(environ, signal, option, "it is ignored", lambda name, used: environ.text(name, used=used))


def _protocol(environ: EnvironReader, signal: Signal) -> Protocol:
    def parse(name: str, used: str) -> str | None:
        return environ.choice(name, (_HTTP, "grpc"), used=used)

    return "grpc" if _first(environ, signal, "PROTOCOL", f"using {_HTTP}", parse) == "grpc" else "http/protobuf"


def _endpoint(environ: EnvironReader, signal: Signal, protocol: Protocol) -> tuple[str, bool] | None:
    """Return the URL (HTTP) or `host:port` (gRPC) and whether to encrypt.

    None where it cannot be used. The per-signal URL is used unchanged; the general one is a base
    for `v1/<signal>`. For gRPC the scheme decides about TLS; without a scheme `INSECURE` does,
    which is false by default.
    """
    own, general = _names(signal, "ENDPOINT")
    name = own if environ.is_set(own) or not environ.is_set(general) else general
    not_pushed = _not_pushed(name, signal)
    value = environ.text(name, used=not_pushed) or (None if environ.is_set(name) else _DEFAULT_ENDPOINTS[protocol])
    if value is None:
        return None
    has_scheme = "://" in value
    url = _url(value if has_scheme or protocol == _HTTP else f"http://{value}")
    if url is None:
        wanted = "host:port or " if protocol == "grpc" else ""
        allowed = f"{wanted}an http:// or https:// URL with a host, and a port from 1 to 65535 where there is one"
        environ.warn(name, f"is not {allowed}", not_pushed)
        return None
    if protocol == "grpc":
        return _host_and_port(url), url.scheme == "https" if has_scheme else not _is_insecure(environ, signal)
    if name == general or not environ.is_set(own):
        url = url._replace(path=f"{url.path.rstrip('/')}/v1/{signal}")
    return url._replace(path=url.path or "/", fragment="").geturl(), url.scheme == "https"


def _is_insecure(environ: EnvironReader, signal: Signal) -> bool:
    own, general = _names(signal, "INSECURE")
    found = environ.flag(own)
    return bool(environ.flag(general) if found is None else found)


def _url(value: str) -> SplitResult | None:
    """Split a URL; None where it cannot be used."""
    try:
        url = urlsplit(value)
        valid = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return None
    return url if valid and value.isascii() and value.isprintable() and " " not in value else None


def _host_and_port(url: SplitResult) -> str:
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _headers(environ: EnvironReader, signal: Signal, protocol: Protocol) -> tuple[tuple[str, str], ...]:
    """Parse `key=value,key=value` with percent-encoded values (W3C Baggage's syntax).

    Malformed pairs are ignored.
    """
    own, general = _names(signal, "HEADERS")
    name = own if environ.is_set(own) else general
    headers: dict[str, str] = {}
    for number, pair in enumerate((environ.text(name, used="no header is sent") or "").split(","), start=1):
        if not pair.strip():
            continue
        key, separator, raw = pair.partition("=")
        key, text = key.strip().lower(), unquote(raw.strip())
        if not separator or not _is_token(key) or not (text.isprintable() and text.isascii()):
            environ.warn(name, f"has a pair {number} that is not key=value, percent-encoded", "that header is not sent")
        elif protocol == "grpc" and (key.endswith("-bin") or not _is_metadata_key(key)):
            environ.warn(name, f"has a pair {number} that gRPC cannot send as text", "that header is not sent")
        elif key in _OWN_HEADERS:
            environ.warn(name, f"sets {key}, which describes the request itself", "that header is not sent")
        else:
            headers[key] = text
    return tuple(headers.items())


def _is_token(text: str) -> bool:
    """Whether the text is a header name by RFC 9110, section 5.1."""
    return bool(text) and all(
        character.isascii() and (character.isalnum() or character in "!#$%&'*+-.^_`|~") for character in text
    )


def _is_metadata_key(key: str) -> bool:
    """Whether gRPC accepts it as a metadata key of an application."""
    return not key.startswith("grpc-") and all(character.isalnum() or character in "_-." for character in key)


def _timeout_seconds(environ: EnvironReader, signal: Signal) -> float:
    def parse(name: str, used: str) -> int | None:
        return environ.whole_number(name, lowest=1, highest=MAX_MILLISECONDS, used=used, unit=" of milliseconds")

    found = _first(environ, signal, "TIMEOUT", f"using {_DEFAULT_TIMEOUT_MS}", parse)
    return (_DEFAULT_TIMEOUT_MS if found is None else found) / 1000


def _compression(environ: EnvironReader, signal: Signal) -> Compression:
    def parse(name: str, used: str) -> str | None:
        return environ.choice(name, ("none", "gzip"), used=used)

    return "gzip" if _first(environ, signal, "COMPRESSION", "using none", parse) == "gzip" else "none"


def _can_secure(environ: EnvironReader, config: OtlpConfig) -> bool:
    """Whether the certificate files can be used; only an encrypted connection needs them."""
    if not config.tls:
        return True
    if (config.client_certificate is None) != (config.client_key is None):
        missing, present = "CLIENT_CERTIFICATE", "CLIENT_KEY"
        if config.client_key is None:
            missing, present = present, missing
        name = _deciding(environ, config.signal, present)
        problem = f"is set and {_names(config.signal, missing)[1]} is not"
        environ.warn(name, problem, _not_pushed(name, config.signal))
        return False
    option = "CERTIFICATE"
    try:
        for path in (config.certificate, config.client_certificate, config.client_key):
            # Reading a pipe would block.
            if path is not None and not Path(path).is_file():
                raise FileNotFoundError(f"{shown(path)} is no file")
        context = ssl.create_default_context(cafile=config.certificate)
        if config.client_certificate is not None:
            option = "CLIENT_CERTIFICATE"
            context.load_cert_chain(config.client_certificate, config.client_key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError, which is an OSError, for a file that is not PEM
        name = _deciding(environ, config.signal, option)
        problem = f"leads to no readable PEM files that fit ({_reason(error)})"
        environ.warn(name, problem, _not_pushed(name, config.signal))
        return False
    return True


def _not_pushed(name: str, signal: Signal) -> str:
    """Return the consequence for a warning.

    The same text for all signals of a general variable, which is warned of once.
    """
    return f"{signal} are not pushed" if f"_{signal.upper()}_" in name else "signals that need it are not pushed"


def _deciding(environ: EnvironReader, signal: Signal, option: str) -> str:
    own, general = _names(signal, option)
    return own if environ.is_set(own) else general


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error.args[-1] if error.args else type(error).__name__)
