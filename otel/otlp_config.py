"""CONFIG: the variables of the OTLP exporters, `OTEL_EXPORTER_OTLP_*` and their per-signal forms, for one signal at a time.

Comes in: a mapping of environment variables. Goes out: `OtlpConfig`, or a `TelemetryConfigError`. A per-signal variable
wins over the general one. Follows the specification's "OpenTelemetry Protocol Exporter", also where the Python SDK does
not: time-outs are in milliseconds.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

Signal: TypeAlias = Literal["traces", "metrics", "logs"]
Protocol: TypeAlias = Literal["http/protobuf", "grpc"]
Compression: TypeAlias = Literal["none", "gzip"]

_HTTP: Final = "http/protobuf"
_DEFAULT_ENDPOINTS: Final = {_HTTP: "http://localhost:4318", "grpc": "http://localhost:4317"}


class TelemetryConfigError(Exception):
    """A variable has a value that it does not allow; the message is one line, without the value where that may be a secret."""

    def __init__(self, name: str, value: str | None, allowed: str) -> None:
        super().__init__(f"{name} must be {allowed}" + ("" if value is None else f", not {value!r}"))
        self.variable = name


class OtlpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how one signal is pushed.

    `endpoint` is the full URL for HTTP (path included) and `host:port` for gRPC; `tls` says whether the connection is
    encrypted. The three paths are PEM files: a CA bundle to trust instead of the system's, and the client's own
    certificate and key.
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
        """The endpoint as log lines name it: host and port only, since a URL may hold credentials."""
        return _host_and_port(urlsplit(self.endpoint)) if "://" in self.endpoint else self.endpoint

    def __repr__(self) -> str:
        """Name the headers but not their values, which are usually tokens."""
        names = ", ".join(key for key, _ in self.headers)
        return f"OtlpConfig({self.signal} -> {self.protocol} {self.address}, headers: [{names}])"


def variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return a variable without surrounding blanks; the specification treats an empty one as unset."""
    return environ.get(name, "").strip() or None


def endpoint_is_set(environ: Mapping[str, str], signal: Signal) -> bool:
    """Whether the environment names an endpoint for the signal, or one for all."""
    return _find(environ, signal, "ENDPOINT")[1] is not None


def otlp_config_from_environ(environ: Mapping[str, str], signal: Signal) -> OtlpConfig:
    """Read one signal's exporter; raises `TelemetryConfigError`."""
    protocol = _protocol(environ, signal)
    endpoint, tls = _http_endpoint(environ, signal) if protocol == _HTTP else _grpc_endpoint(environ, signal)
    certificate_name, certificate = _find(environ, signal, "CLIENT_CERTIFICATE")
    key_name, key = _find(environ, signal, "CLIENT_KEY")
    if (certificate is None) != (key is None):
        missing, present = (certificate_name, key_name) if certificate is None else (key_name, certificate_name)
        raise TelemetryConfigError(missing, None, f"set where {present} is")
    return OtlpConfig(
        signal=signal,
        endpoint=endpoint,
        tls=tls,
        protocol=protocol,
        headers=_headers(environ, signal, protocol),
        timeout_seconds=_timeout_seconds(environ, signal),
        compression=_compression(environ, signal),
        certificate=_find(environ, signal, "CERTIFICATE")[1],
        client_certificate=certificate,
        client_key=key,
    )


def _find(environ: Mapping[str, str], signal: Signal, option: str) -> tuple[str, str | None]:
    """Return the name and value of the variable that decides: the signal's own where it is set, else the general one."""
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{option}"
    value = variable(environ, own)
    if value is not None:
        return own, value
    general = f"OTEL_EXPORTER_OTLP_{option}"
    return general, variable(environ, general)


def _protocol(environ: Mapping[str, str], signal: Signal) -> Protocol:
    name, value = _find(environ, signal, "PROTOCOL")
    match value:
        case None | "http/protobuf":
            return "http/protobuf"
        case "grpc":
            return "grpc"
        case _:
            raise TelemetryConfigError(name, value, "http/protobuf or grpc")


def _http_endpoint(environ: Mapping[str, str], signal: Signal) -> tuple[str, bool]:
    """Return the URL and whether it is https: the signal's own URL is used as it is, the general one is a base for `v1/<signal>`."""
    name, value = _find(environ, signal, "ENDPOINT")
    url = _url(name, value or _DEFAULT_ENDPOINTS[_HTTP])
    if name == "OTEL_EXPORTER_OTLP_ENDPOINT":
        url = url._replace(path=f"{url.path.rstrip('/')}/v1/{signal}")
    return url._replace(path=url.path or "/", fragment="").geturl(), url.scheme == "https"


def _grpc_endpoint(environ: Mapping[str, str], signal: Signal) -> tuple[str, bool]:
    """Return `host:port` and whether to encrypt: the scheme decides; without one, `INSECURE` does, which is false by default."""
    name, value = _find(environ, signal, "ENDPOINT")
    value = value or _DEFAULT_ENDPOINTS["grpc"]
    if "://" in value:
        url = _url(name, value)
        return _host_and_port(url), url.scheme == "https"
    insecure_name, insecure = _find(environ, signal, "INSECURE")
    if (insecure or "false").lower() not in {"true", "false"}:
        raise TelemetryConfigError(insecure_name, insecure, "true or false")
    return _host_and_port(_url(name, f"http://{value}")), (insecure or "false").lower() == "false"


def _url(name: str, value: str) -> SplitResult:
    """Split a URL; its own text stays out of the error, since it may hold credentials."""
    allowed = "an http:// or https:// URL with a host, and a port from 1 to 65535 where there is one"
    try:
        url = urlsplit(value)
        valid = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        valid = False
    if not valid or any(character.isspace() for character in value):
        raise TelemetryConfigError(name, None, allowed)
    return url


def _host_and_port(url: SplitResult) -> str:
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _headers(environ: Mapping[str, str], signal: Signal, protocol: Protocol) -> tuple[tuple[str, str], ...]:
    """Parse `key=value,key=value` with percent-encoded values (W3C Baggage's syntax); values stay out of errors."""
    name, value = _find(environ, signal, "HEADERS")
    allowed = "a list like key1=value1,key2=value2 with percent-encoded values"
    headers: dict[str, str] = {}
    for pair in (value or "").split(","):
        if not pair.strip():
            continue
        key, separator, raw = pair.partition("=")
        key, text = key.strip().lower(), unquote(raw.strip())
        if not separator or not _is_token(key) or not (text.isprintable() and text.isascii()):
            raise TelemetryConfigError(name, None, allowed)
        if protocol == "grpc" and key.endswith("-bin"):
            raise TelemetryConfigError(name, None, "without -bin keys: binary metadata has no text form")
        headers[key] = text
    return tuple(headers.items())


def _is_token(text: str) -> bool:
    """Whether the text is a header name by RFC 9110, section 5.1."""
    return bool(text) and all(
        character.isascii() and (character.isalnum() or character in "!#$%&'*+-.^_`|~") for character in text
    )


def _timeout_seconds(environ: Mapping[str, str], signal: Signal) -> float:
    name, value = _find(environ, signal, "TIMEOUT")
    if value is None:
        return 10.0
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise TelemetryConfigError(name, value, "a whole number of milliseconds above 0")
    return int(value) / 1000


def _compression(environ: Mapping[str, str], signal: Signal) -> Compression:
    name, value = _find(environ, signal, "COMPRESSION")
    match value:
        case None | "none":
            return "none"
        case "gzip":
            return "gzip"
        case _:
            raise TelemetryConfigError(name, value, "none or gzip")
