"""Requests of a scenario: each provider of the model gets a script, because a circuit breaker may choose any of them.

The plan lists the outcome of an attempt at each provider. Which attempts are made is known from the response.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from demo.scenarios import Scenario
from demo.traffic import refusal_kinds
from demo.traffic.outcomes import Act, success
from demo.traffic.plan import Planned, PlannedAttempt
from demo.traffic.request_template import RequestTemplate, attempts_of, chat, coin, providers_of
from demo.traffic.schedule import Kind
from demo.upstream.script import Script

_MODELS: Final = (
    "aurora-large", "aurora-large", "aurora-mini", "harbor-8b", "lantern-70b", "meadow-24b", "cobalt-code",
)  # fmt: skip
_SERVER_ERRORS: Final = (500, 502, 503, 529)
_MOST_TOKENS: Final = 4_000
KIND: Final = "scenario call"


def scenario_mix(scenario: Scenario, cadence: float) -> Sequence[tuple[Kind, float]]:
    """Return the kinds of a scenario and their weights: calls, and requests that the gateway refuses by itself."""

    def call(template: RequestTemplate) -> Planned:
        return _call(template, scenario, cadence)

    return (
        (call, 92.0),
        (refusal_kinds.bad_key, 2.0),
        (refusal_kinds.unknown_model, 2.0),
        (refusal_kinds.bad_body, 1.0),
        (refusal_kinds.lost, 1.0),
        (refusal_kinds.models, 2.0),
    )


def _call(template: RequestTemplate, scenario: Scenario, cadence: float) -> Planned:
    phase = scenario.phase_at(template.arrival.at_seconds, cadence)
    model, stream = phase.model or template.rng.choice(_MODELS), coin(template)
    acts: list[Act] = []
    for provider in providers_of(model):
        condition = phase.condition(provider)
        first_byte_seconds, generation_seconds = template.delays(provider)
        first_byte_seconds += condition.added_seconds * cadence
        if template.rng.random() < condition.failed_share:
            # A failure takes as long as a response: quick ones would come in a row and open the breaker.
            script = Script(status=template.rng.choice(_SERVER_ERRORS), delay_seconds=first_byte_seconds)
            acts.append((script, PlannedAttempt(provider=provider, status="error", error_kind="upstream_5xx")))
        else:
            tokens = min(template.arrival.output_tokens * phase.token_factor, _MOST_TOKENS)
            delays = (first_byte_seconds, generation_seconds)
            acts.append(success(provider, template.arrival.input_tokens, tokens, stream=stream, delays=delays))
    planned = chat(template, KIND, model, acts, stream=stream)
    return msgspec.structs.replace(planned, attempts=(), possible=attempts_of(acts))
