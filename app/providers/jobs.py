"""The periodic jobs of the providers.

Input: the configuration, the states, the probes. Output: `Job`s.
"""

from typing import Final

from app.config.schema import ProbesConfig
from app.jobs.scheduler import Job
from app.providers.probes import Probes
from app.providers.registry import ProviderStates

_ADVANCE_SECONDS: Final = 1.0
_JITTER_RATIO: Final = 0.1
"""So that several gateways, started together, do not probe together indefinitely."""

_SLACK_SECONDS: Final = 1.0
"""A probe has its own timeout; the job's comes after it."""


def provider_jobs(config: ProbesConfig, states: ProviderStates, probes: Probes) -> tuple[Job, ...]:
    """Return the jobs; without probes, only the breakers' clock."""
    advance = Job(
        name="circuit_breakers", run=states.advance, interval_seconds=_ADVANCE_SECONDS, timeout_seconds=_ADVANCE_SECONDS
    )
    if not config.enabled:
        return (advance,)
    return (
        advance,
        Job(
            name="provider_probes",
            run=probes.probe_providers,
            interval_seconds=config.provider_interval_seconds,
            timeout_seconds=config.timeout_seconds + _SLACK_SECONDS,
            jitter_ratio=_JITTER_RATIO,
        ),
        Job(
            name="model_probes",
            run=probes.probe_models,
            interval_seconds=config.model_interval_seconds,
            timeout_seconds=config.timeout_seconds + _SLACK_SECONDS,
            jitter_ratio=_JITTER_RATIO,
        ),
    )
