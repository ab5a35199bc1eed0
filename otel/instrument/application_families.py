"""The documented families that an application has which is not this project's gateway."""

from typing import Final

from otel.catalogue import CATALOGUE, business, causes, http, inference, money, process, providers, self_telemetry
from otel.catalogue.spec import MetricSpec

_ALWAYS: Final = frozenset(spec.name for table in (http, process, self_telemetry) for spec in table.FAMILIES)
_LLM: Final = frozenset(
    {
        inference.REQUESTS,
        inference.DURATION,
        inference.TOKENS,
        inference.CREDITS,
        inference.TIME_TO_FIRST_TOKEN,
        inference.OUTPUT_RATE,
        inference.ESTIMATED_USAGE,
        causes.ATTEMPT_FAILURES,
        causes.FAILED_DURATION,
        providers.RESPONSE_TIME,
        business.PROVIDER_COST,
        money.COST,
    }
)
"""What a recorded LLM call updates."""


def application_families(*, with_llm: bool) -> tuple[MetricSpec, ...]:
    """Return the entries under their documented names; those of LLM calls only for an application that makes some."""
    wanted = _ALWAYS | _LLM if with_llm else _ALWAYS
    return tuple(spec for spec in CATALOGUE if spec.name in wanted)
