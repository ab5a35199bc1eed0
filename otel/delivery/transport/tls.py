"""Reads the PEM files that `OTEL_EXPORTER_OTLP_*CERTIFICATE` and `*CLIENT_KEY` name.

Files that cannot be used are found earlier, when the variables are read: the signal is not pushed then.
"""

import ssl
from pathlib import Path

from otel.config.otlp import OtlpConfig, TelemetryConfigError


def ssl_context(config: OtlpConfig) -> ssl.SSLContext | None:
    """Return the TLS settings for HTTP, or None for a plain connection; raises `TelemetryConfigError`."""
    if not config.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=config.certificate)
        if config.client_certificate is not None:
            # An encrypted key is refused: a prompt for its password would block the start.
            context.load_cert_chain(config.client_certificate, config.client_key, password="")
    except OSError as error:  # a missing file, or ssl.SSLError for one that is not PEM
        raise _unreadable(config, error) from None
    return context


def read_pem(config: OtlpConfig) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return CA bundle, client key and client certificate for gRPC; raises `TelemetryConfigError`."""
    try:
        return _read(config.certificate), _read(config.client_key), _read(config.client_certificate)
    except OSError as error:
        raise _unreadable(config, error) from None


def _read(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def _unreadable(config: OtlpConfig, error: OSError) -> TelemetryConfigError:
    name = f"OTEL_EXPORTER_OTLP_[{config.signal.upper()}_]CERTIFICATE, CLIENT_CERTIFICATE or CLIENT_KEY"
    return TelemetryConfigError(f"{name} must be readable PEM files ({error.strerror or error.args[-1]})")
