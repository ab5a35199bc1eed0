"""Which catalogued families an application has that is not this project's gateway."""

from itertools import chain
from typing import Final

from otel.catalogue import CATALOGUE, business, http, inference, process, providers, self_telemetry
from otel.catalogue.spec import MetricSpec

_ALWAYS: Final = frozenset(spec.name for spec in chain(http.FAMILIES, process.FAMILIES, self_telemetry.FAMILIES))
_LLM: Final = frozenset(
    {
        inference.REQUESTS,
        inference.DURATION,
        inference.TOKENS,
        inference.CREDITS,
        inference.TIME_TO_FIRST_TOKEN,
        inference.OUTPUT_RATE,
        inference.ESTIMATED_USAGE,
        providers.RESPONSE_TIME,
        business.PROVIDER_COST,
    }
)
"""The families that a recorded LLM call updates."""


def application_families(*, with_llm: bool) -> tuple[MetricSpec, ...]:
    """Return the entries under their documented names, in catalogue order; those of LLM calls only where it makes some."""
    return tuple(spec for spec in CATALOGUE if spec.name in _ALWAYS or (with_llm and spec.name in _LLM))
