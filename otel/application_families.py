"""Which documented families an application has that is not this project's gateway."""

from typing import Final

from otel.catalogue import CATALOGUE
from otel.catalogue.spec import MetricSpec

_ALWAYS: Final = ("fastapi_", "process_", "gatewayz_telemetry_")
"""HTTP requests, the process, and telemetry about the telemetry."""

_LLM: Final = frozenset(
    {
        "model_inference_requests_total",
        "model_inference_duration_seconds",
        "tokens_used_total",
        "credits_used_total",
        "provider_response_time_seconds",
        "gatewayz_cost_by_provider",
        "gatewayz_time_to_first_token_seconds",
        "gatewayz_output_tokens_per_second",
        "gatewayz_estimated_usage_total",
    }
)
"""What a recorded LLM call moves."""


def application_families(*, with_llm: bool) -> tuple[MetricSpec, ...]:
    """Return the entries under their documented names, in catalogue order; those of LLM calls only where it makes some."""
    return tuple(spec for spec in CATALOGUE if spec.name.startswith(_ALWAYS) or (with_llm and spec.name in _LLM))
