"""Requests that reach a provider and complete: responses, streams, failover, failures, embeddings.

`demo/traffic/interrupted_kinds.py` has those that end in the middle.
"""

from typing import Final

import msgspec

from demo.gateway_config import (
    CACHED_MODEL,
    EMBEDDING_MODEL,
    EXAMPLE_MODEL,
    LIMITED_PLANS,
    REAL_MODEL,
    REAL_PROVIDER,
    TRUSTED_MODEL,
)
from demo.traffic.outcomes import CALLER_ERRORS, Act, failure, is_in_trouble, rate_limited, refusal, stall, success
from demo.traffic.plan import CHAT_PATH, EMBEDDINGS_PATH, Planned, PlannedAttempt
from demo.traffic.request_template import RequestTemplate, chat, coin, providers_of, scripts_of
from demo.upstream.script import FIELD, Script

_FIRST_RESPONSES: Final = (
    "aurora-large", CACHED_MODEL, "harbor-8b", "lantern-70b", "meadow-24b", "cobalt-code", "basalt-3b", EXAMPLE_MODEL,
)  # fmt: skip
_SECOND_RESPONSES: Final = (
    "aurora-large", "harbor-8b", "lantern-70b", "meadow-24b", "cobalt-code", "granite-3b", "delta-1b",
)  # fmt: skip
_BOTH_FAIL: Final = ("aurora-large", "harbor-8b", "meadow-24b", "cobalt-code", "delta-1b")
_QUESTIONS: Final = (
    "What is the capital of France?",
    "Name three colours.",
    "Why is the sky blue?",
    "Write one sentence about the sea.",
    "What is two plus two?",
    "Give me a word that rhymes with tree.",
    "What do bees make?",
    "Which planet is closest to the sun?",
    "Say hello in Italian.",
    "How many days are in a week?",
)


def _response(template: RequestTemplate, provider: str, *, stream: bool) -> tuple[Script, PlannedAttempt]:
    arrival = template.arrival
    return success(
        provider, arrival.input_tokens, arrival.output_tokens, stream=stream, delays=template.delays(provider)
    )


def plain(template: RequestTemplate) -> Planned:
    """A response that is not streamed."""
    return _answered(template, "answer", stream=False)


def streamed(template: RequestTemplate) -> Planned:
    """A streamed response."""
    return _answered(template, "stream", stream=True)


def _answered(template: RequestTemplate, kind: str, *, stream: bool) -> Planned:
    """A response from the first provider, or from the second while the first fails."""
    model = template.rng.choice(_FIRST_RESPONSES)
    first, *others = providers_of(model)
    acts: list[Act] = []
    if is_in_trouble(first, template.arrival.at_seconds, template.rng):
        acts.append(failure(first, template.rng))
        first = others[0]
    return chat(template, kind, model, [*acts, _response(template, first, stream=stream)], stream=stream)


def failed_over(template: RequestTemplate) -> Planned:
    """The first provider fails in its own way, the second succeeds."""
    model = template.rng.choice(_SECOND_RESPONSES)
    first, second = providers_of(model)
    stream = coin(template)
    acts = [failure(first, template.rng), _response(template, second, stream=stream)]
    return chat(template, "failover", model, acts, stream=stream)


def all_failed(template: RequestTemplate) -> Planned:
    """Every provider fails: 502."""
    model = template.rng.choice(_BOTH_FAIL)
    acts = [failure(provider, template.rng) for provider in providers_of(model)]
    return chat(
        template, "502", model, acts, stream=coin(template), status_code=502, exception_type="UpstreamFailedError"
    )


def all_timed_out(template: RequestTemplate) -> Planned:
    """Every provider fails, the last one by a timeout: 504."""
    first, second = providers_of("basalt-3b")
    acts = [failure(first, template.rng), stall(second)]
    return chat(
        template,
        "504",
        "basalt-3b",
        acts,
        stream=coin(template),
        status_code=504,
        exception_type="UpstreamTimeoutError",
    )


def all_limited(template: RequestTemplate) -> Planned:
    """Every provider responds with 429, and so does the gateway."""
    acts = [rate_limited(provider, template.rng) for provider in providers_of("lantern-70b")]
    return chat(
        template, "429 upstream", "lantern-70b", acts, stream=coin(template), status_code=429, upstream_limited=True
    )


def callers_fault(template: RequestTemplate) -> Planned:
    """The provider refuses the request as the caller's mistake; no other is tried."""
    status, responded = template.rng.choice(list(CALLER_ERRORS.items()))
    model = template.rng.choice(_FIRST_RESPONSES)
    acts = [refusal(providers_of(model)[0], status)]
    return chat(template, "provider 4xx", model, acts, stream=coin(template), status_code=responded)


def unreported(template: RequestTemplate) -> Planned:
    """The provider reports no usage, or implausible usage; the gateway estimates."""
    model, stream = template.rng.choice(_FIRST_RESPONSES), coin(template)
    script, attempt = _response(template, providers_of(model)[0], stream=stream)
    script = msgspec.structs.replace(script, usage=template.rng.choice(("omitted", "unusable")))
    is_nonsense = script.usage == "unusable"
    act = (script, msgspec.structs.replace(attempt, tokens="delivered", reports_nonsense=is_nonsense))
    return chat(template, "no usage", model, [act], stream=stream)


def renamed_usage(template: RequestTemplate) -> Planned:
    """The provider reports usage under other names, or with details and a cost; half of the costs are trusted."""
    stream, is_detailed = coin(template), coin(template)
    model = TRUSTED_MODEL if is_detailed and coin(template) else "aurora-large"
    script, attempt = _response(template, "healthy", stream=stream)
    script = msgspec.structs.replace(script, usage="detailed" if is_detailed else "other_names")
    attempt = msgspec.structs.replace(attempt, is_detailed=is_detailed)
    return chat(template, "other usage", model, [(script, attempt)], stream=stream)


def cacheable(template: RequestTemplate) -> Planned:
    """A deterministic request of a cached model, for the first time."""
    acts = [_response(template, "healthy", stream=False)]
    return chat(template, "cache miss", CACHED_MODEL, acts, stream=False, fields={"temperature": 0}, cache="miss")


def repeated(template: RequestTemplate, first: Planned) -> Planned:
    """The same request again, after the response to the first."""
    return msgspec.structs.replace(
        first,
        number=template.number,
        at_seconds=template.arrival.at_seconds,
        kind="cache hit",
        cache="hit",
        attempts=(),
        after=first.number,
    )


def embedded(template: RequestTemplate) -> Planned:
    """Embeddings: from the first provider, from the second, or without reported usage."""
    first, second = providers_of(EMBEDDING_MODEL)
    provider = template.rng.choice((first, first, second))
    tokens = template.arrival.input_tokens
    estimated = template.rng.random() < 0.2  # noqa: PLR2004  one in five
    script = Script(
        prompt_tokens=tokens, usage="omitted" if estimated else "reported", delay_seconds=template.delays(first)[0]
    )
    attempt = PlannedAttempt(
        provider=provider, status="success", tokens="delivered" if estimated else "reported", input_tokens=tokens
    )
    acts: list[Act] = [(script, attempt)]
    if provider == second:
        acts.insert(0, (Script(status=500), PlannedAttempt(provider=first, status="error", error_kind="upstream_5xx")))
    prompt = template.prompt
    body = {"model": EMBEDDING_MODEL, "input": [prompt], FIELD: scripts_of(acts)}
    return Planned(
        number=template.number,
        at_seconds=template.arrival.at_seconds,
        kind="embeddings",
        target=EMBEDDINGS_PATH,
        route=EMBEDDINGS_PATH,
        status_code=200,
        body=msgspec.json.encode(body),
        model=EMBEDDING_MODEL,
        is_embedding=True,
        attempts=tuple(attempt for _, attempt in acts),
        prompt_characters=len(prompt),
    )


def limited(template: RequestTemplate) -> Planned:
    """A request with a key of a small plan: accepted, or refused with 429."""
    plan = template.rng.choice(LIMITED_PLANS)
    acts = [_response(template, "healthy", stream=False)]
    return chat(template, "small plan", "aurora-large", acts, stream=False, key=plan.name, limited=plan.limit_type)


def real(template: RequestTemplate, after: int | None) -> Planned:
    """A real question to the real model. It takes one at a time, so that a slow computer is not overloaded."""
    stream = coin(template)
    question = template.rng.choice(_QUESTIONS)
    # The trace's responses are too long for a model on one core.
    max_tokens = max(4, min(template.arrival.output_tokens, 24))
    body = {
        "model": REAL_MODEL,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    attempt = PlannedAttempt(provider=REAL_PROVIDER, status="success", has_content=True, tokens="answer")
    return Planned(
        number=template.number,
        at_seconds=template.arrival.at_seconds,
        kind="real model",
        target=CHAT_PATH,
        route=CHAT_PATH,
        status_code=200,
        body=msgspec.json.encode(body),
        model=REAL_MODEL,
        stream=stream,
        attempts=(attempt,),
        prompt_characters=len(question),
        max_tokens=max_tokens,
        after=after,
    )
