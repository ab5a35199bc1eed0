"""The fault domain of each error kind, as docs/gateway.md lists them.

Telemetry has the domain on spans but not on the counter of failures by kind. A test compares this
table with the gateway's.
"""

from collections.abc import Mapping
from typing import Final

_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "caller": ("upstream_4xx", "size_refused", "slow_client"),
    "policy": ("total_timeout", "rate_limited", "content_policy", "tier_unavailable"),
    "provider": (
        "first_byte_timeout", "whole_answer_timeout", "idle_timeout", "upstream_5xx", "upstream_auth", "upstream_quota",
        "model_unavailable", "bad_response", "stream_broken",
    ),
    "network": ("connect_error", "connect_timeout"),
    "gateway": ("pool_timeout", "gateway_resources", "field_refused"),
}  # fmt: skip

FAULTS: Final[Mapping[str, str]] = {kind: domain for domain, kinds in _KINDS.items() for kind in kinds}
"""By error kind."""

OF_PROVIDERS: Final = frozenset({"provider", "network"})
"""The domains of failures that count against a provider."""


def fault_of(kind: str | None) -> str | None:
    """Return the domain; None for kinds that the gateway does not have."""
    return None if kind is None else FAULTS.get(kind)
