"""CALL KINDS: the kinds of requests that reach a provider and go to their end: answers, streams, fail-over, failures, embeddings.

Comes in: a sketch. Goes out: a `Planned` request with its certain outcome. Those that end in the
middle are in `demo/traffic/interrupted_kinds.py`.
"""

from typing import Final

import msgspec

from demo.gateway_config import CACHED_MODEL, EMBEDDING_MODEL, LIMITED_PLANS, REAL_MODEL, REAL_PROVIDER
from demo.traffic.outcomes import CALLER_ERRORS, Act, failure, is_in_trouble, rate_limited, refusal, stall, success
from demo.traffic.plan import CHAT_PATH, EMBEDDINGS_PATH, Planned, PlannedAttempt
from demo.traffic.request_template import Sketch, chat, coin, providers_of, scripts_of
from demo.upstream.script import FIELD, Script

_FIRST_ANSWERS: Final = (
    "aurora-large", CACHED_MODEL, "harbor-8b", "lantern-70b", "meadow-24b", "cobalt-code", "basalt-3b",
)  # fmt: skip
_SECOND_ANSWERS: Final = (
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


def _answer(sketch: Sketch, provider: str, *, stream: bool) -> tuple[Script, PlannedAttempt]:
    arrival = sketch.arrival
    return success(provider, arrival.input_tokens, arrival.output_tokens, stream=stream, delays=sketch.delays(provider))


def plain(sketch: Sketch) -> Planned:
    """A whole answer."""
    return _answered(sketch, "answer", stream=False)


def streamed(sketch: Sketch) -> Planned:
    """A streamed answer."""
    return _answered(sketch, "stream", stream=True)


def _answered(sketch: Sketch, kind: str, *, stream: bool) -> Planned:
    """An answer from the first provider, or from the second while the first is in trouble."""
    model = sketch.rng.choice(_FIRST_ANSWERS)
    first, *others = providers_of(model)
    acts: list[Act] = []
    if is_in_trouble(first, sketch.arrival.at_seconds, sketch.rng):
        acts.append(failure(first, sketch.rng))
        first = others[0]
    return chat(sketch, kind, model, [*acts, _answer(sketch, first, stream=stream)], stream=stream)


def failed_over(sketch: Sketch) -> Planned:
    """The first provider fails in its own way, the second answers."""
    model = sketch.rng.choice(_SECOND_ANSWERS)
    first, second = providers_of(model)
    stream = coin(sketch)
    acts = [failure(first, sketch.rng), _answer(sketch, second, stream=stream)]
    return chat(sketch, "fail-over", model, acts, stream=stream)


def all_failed(sketch: Sketch) -> Planned:
    """Every provider fails: 502."""
    model = sketch.rng.choice(_BOTH_FAIL)
    acts = [failure(provider, sketch.rng) for provider in providers_of(model)]
    return chat(sketch, "502", model, acts, stream=coin(sketch), status_code=502, exception_type="UpstreamFailedError")


def all_timed_out(sketch: Sketch) -> Planned:
    """Every provider fails, the last one by a time-out: 504."""
    first, second = providers_of("basalt-3b")
    acts = [failure(first, sketch.rng), stall(second)]
    return chat(
        sketch, "504", "basalt-3b", acts, stream=coin(sketch), status_code=504, exception_type="UpstreamTimeoutError"
    )


def all_limited(sketch: Sketch) -> Planned:
    """Every provider answers 429, and so do we."""
    acts = [rate_limited(provider, sketch.rng) for provider in providers_of("lantern-70b")]
    return chat(
        sketch, "429 upstream", "lantern-70b", acts, stream=coin(sketch), status_code=429, upstream_limited=True
    )


def callers_fault(sketch: Sketch) -> Planned:
    """The provider refuses the request as the caller's mistake; no other is tried."""
    status, answered = sketch.rng.choice(list(CALLER_ERRORS.items()))
    model = sketch.rng.choice(_FIRST_ANSWERS)
    acts = [refusal(providers_of(model)[0], status)]
    return chat(sketch, "provider 4xx", model, acts, stream=coin(sketch), status_code=answered)


def unreported(sketch: Sketch) -> Planned:
    """The provider reports no usage, or none that makes sense; the gateway estimates."""
    model, stream = sketch.rng.choice(_FIRST_ANSWERS), coin(sketch)
    script, attempt = _answer(sketch, providers_of(model)[0], stream=stream)
    script = msgspec.structs.replace(script, usage=sketch.rng.choice(("omitted", "unusable")))
    is_nonsense = script.usage == "unusable"
    act = (script, msgspec.structs.replace(attempt, tokens="delivered", reports_nonsense=is_nonsense))
    return chat(sketch, "no usage", model, [act], stream=stream)


def renamed_usage(sketch: Sketch) -> Planned:
    """The provider reports usage under other names."""
    stream = coin(sketch)
    script, attempt = _answer(sketch, "healthy", stream=stream)
    script = msgspec.structs.replace(script, usage="other_names")
    return chat(sketch, "other usage", "aurora-large", [(script, attempt)], stream=stream)


def cacheable(sketch: Sketch) -> Planned:
    """A deterministic request of a cached model, for the first time."""
    acts = [_answer(sketch, "healthy", stream=False)]
    return chat(sketch, "cache miss", CACHED_MODEL, acts, stream=False, fields={"temperature": 0}, cache="miss")


def repeated(sketch: Sketch, first: Planned) -> Planned:
    """The same request again, after the first was answered."""
    return msgspec.structs.replace(
        first,
        number=sketch.number,
        at_seconds=sketch.arrival.at_seconds,
        kind="cache hit",
        cache="hit",
        attempts=(),
        after=first.number,
    )


def embedded(sketch: Sketch) -> Planned:
    """Embeddings: from the first provider, from the second, or without reported usage."""
    first, second = providers_of(EMBEDDING_MODEL)
    provider = sketch.rng.choice((first, first, second))
    tokens = sketch.arrival.input_tokens
    estimated = sketch.rng.random() < 0.2  # noqa: PLR2004  one in five
    script = Script(
        prompt_tokens=tokens, usage="omitted" if estimated else "reported", delay_seconds=sketch.delays(first)[0]
    )
    attempt = PlannedAttempt(
        provider=provider, status="success", tokens="delivered" if estimated else "reported", input_tokens=tokens
    )
    acts: list[Act] = [(script, attempt)]
    if provider == second:
        acts.insert(0, (Script(status=500), PlannedAttempt(provider=first, status="error")))
    prompt = sketch.prompt
    body = {"model": EMBEDDING_MODEL, "input": [prompt], FIELD: scripts_of(acts)}
    return Planned(
        number=sketch.number,
        at_seconds=sketch.arrival.at_seconds,
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


def limited(sketch: Sketch) -> Planned:
    """A request with a key of a small plan: answered, or refused with 429."""
    plan = sketch.rng.choice(LIMITED_PLANS)
    acts = [_answer(sketch, "healthy", stream=False)]
    return chat(sketch, "small plan", "aurora-large", acts, stream=False, key=plan.name, limited=plan.limit_type)


def real(sketch: Sketch, after: int | None) -> Planned:
    """A real question to the real model. It takes one at a time, so that a slow computer is not buried in them."""
    stream = coin(sketch)
    question = sketch.rng.choice(_QUESTIONS)
    # The trace's answers are longer than a model on one core should have to write.
    body = {
        "model": REAL_MODEL,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max(4, min(sketch.arrival.output_tokens, 24)),
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    attempt = PlannedAttempt(provider=REAL_PROVIDER, status="success", has_content=True, tokens="answer")
    return Planned(
        number=sketch.number,
        at_seconds=sketch.arrival.at_seconds,
        kind="real model",
        target=CHAT_PATH,
        route=CHAT_PATH,
        status_code=200,
        body=msgspec.json.encode(body),
        model=REAL_MODEL,
        stream=stream,
        attempts=(attempt,),
        prompt_characters=len(question),
        after=after,
    )
