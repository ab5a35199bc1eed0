"""Reads `OTEL_SEMCONV_STABILITY_OPT_IN`: which metrics get a second view under the conventions' names."""

from collections.abc import Iterable
from typing import Final

from otel.catalogue.conventions import DATABASE, GEN_AI, HTTP, OPT_INS
from otel.config.otlp import TelemetryConfigError
from otel.config.values import EnvironReader, shown

_NAME: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
_OPT_INS: Final = {
    "http": HTTP,
    "http/dup": HTTP,
    "database": DATABASE,
    "database/dup": DATABASE,
    "gen_ai_latest_experimental": GEN_AI,
}
"""With and without `/dup` is the same: there are no older names that could be dropped."""
_OF_OTHERS: Final = (
    "messaging",
    "messaging/dup",
    "rpc",
    "rpc/dup",
    "code",
    "code/dup",
    "k8s",
    "k8s/dup",
    "logs",
    "logs/dup",
)
"""Conventions for what is not done here. A variable of the whole host may name them, so they need no warning."""


def read_opt_ins(reader: EnvironReader, further: Iterable[str] = ()) -> frozenset[str]:
    """Return the opt-ins that add families, with those that the application passes in.

    An unknown name in the variable is a warning; among `further` it raises `TelemetryConfigError`.
    """
    further = frozenset(further)
    unknown = further.difference(OPT_INS)
    if unknown:
        raise TelemetryConfigError(f"conventions: {shown(min(unknown))} is none of {', '.join(OPT_INS)}")
    names = dict.fromkeys(part.strip().lower() for part in (reader.text(_NAME) or "").split(","))
    for name in names:
        if name and name not in _OPT_INS and name not in _OF_OTHERS:
            reader.warn(_NAME, f"names {shown(name)}, which is not {' or '.join(_OPT_INS)}", "it is ignored")
    return further.union(_OPT_INS[name] for name in names if name in _OPT_INS)
