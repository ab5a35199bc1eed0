"""The input of every kind of request: a number, an arrival, seeded randomness; and the JSON body built from it.

Prompts have the arrival's length and are unique per request.
"""

import random
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from demo.gateway_config import MODELS
from demo.traffic.arrivals import Arrival
from demo.traffic.outcomes import Act, Pace
from demo.traffic.plan import CHAT_PATH, Planned, PlannedAttempt
from demo.upstream.script import FIELD, Script

_SENTENCE: Final = (
    "please read this text with care and then say in a few words what it is about and why it matters to us "
)
_WORDS: Final = (_SENTENCE * 400).split(" ")
MAX_PROMPT_WORDS: Final = 8_000
_BY_NAME: Final = {model.name: model for model in MODELS}


class RequestTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """The input of one request. `run` makes its prompt and its tag unique between runs that share a database or an upstream."""

    number: int
    arrival: Arrival
    rng: random.Random
    pace: Pace
    run: str

    @property
    def tag(self) -> str:
        """A tag for the upstream, used once."""
        return f"{self.run}-{self.number}"

    @property
    def prompt(self) -> str:
        """A prompt of about the arrival's length, like no other."""
        return f"{self.tag} " + " ".join(_WORDS[: min(self.arrival.input_tokens, MAX_PROMPT_WORDS)])

    def delays(self, provider: str) -> tuple[float, float]:
        """Return how long a provider takes for the arrival's response."""
        return self.pace.delays(self.rng, provider, self.arrival.output_tokens)


def providers_of(model: str) -> tuple[str, ...]:
    """Return a model's providers in failover order."""
    return tuple(route.provider for route in _BY_NAME[model].routes)


def coin(template: RequestTemplate) -> bool:
    """Toss a coin."""
    return template.rng.random() < 0.5  # noqa: PLR2004  one half


def scripts_of(acts: Sequence[Act]) -> dict[str, Script]:
    """Return the scripts by provider."""
    return {attempt.provider: script for script, attempt in acts if script is not None}


def attempts_of(acts: Sequence[Act]) -> tuple[PlannedAttempt, ...]:
    """Return the attempts of the acts."""
    return tuple(attempt for _, attempt in acts)


def chat(
    template: RequestTemplate,
    kind: str,
    model: str,
    acts: Sequence[Act],
    *,
    stream: bool,
    status_code: int = 200,
    fields: dict[str, Any] | None = None,
    **plan: Any,
) -> Planned:
    """Plan a chat request; `fields` go into the body, `plan` into the plan."""
    prompt = template.prompt
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": template.arrival.output_tokens,
        "temperature": 0.7,
        FIELD: scripts_of(acts),
    }
    if stream:
        body["stream"] = True
        # Half of the clients request usage. The gateway always does, and must hide it from the others.
        if coin(template):
            body["stream_options"] = {"include_usage": True}
    return Planned(
        number=template.number,
        at_seconds=template.arrival.at_seconds,
        kind=kind,
        target=CHAT_PATH,
        route=CHAT_PATH,
        status_code=status_code,
        body=msgspec.json.encode(body | (fields or {})),
        model=model,
        stream=stream,
        attempts=attempts_of(acts),
        prompt_characters=len(prompt),
        max_tokens=template.arrival.output_tokens,
        **plan,
    )
