"""Requests that the gateway responds without a provider: bad keys, bad bodies, unknown models, unknown paths."""

from typing import Any, Final

import msgspec

from demo.gateway_config import EMBEDDING_MODEL, MAX_BODY_BYTES
from demo.traffic.plan import CHAT_PATH, EMBEDDINGS_PATH, Planned
from demo.traffic.request_template import RequestTemplate

MODELS_PATH: Final = "/v1/models"
MODEL_PATH: Final = "/v1/models/{model}"
UNMATCHED: Final = "unmatched"

_MESSAGES: Final = [{"role": "user", "content": "hello"}]
_BAD_BODIES: Final[tuple[bytes, ...]] = (
    b"",
    b"{",
    b"[1, 2]",
    b'{"model": "aurora-large"}',
    b'{"model": "aurora-large", "messages": []}',
    b'{"model": 7, "messages": [{"role": "user", "content": "hello"}]}',
    b'{"model": "aurora-large", "messages": [{"role": "user", "content": "hello"}], "stream": "yes"}',
    b'{"model": "aurora-large", "messages": "\xff\xfe"}',
    msgspec.json.encode({"model": EMBEDDING_MODEL, "messages": _MESSAGES}),
)
_UNKNOWN_MODELS: Final = ("gpt-9", "aurora-large ", "../../etc/passwd", 'a"} 1\nevil_metric 1', "моя-модель")


def _refused(template: RequestTemplate, kind: str, status_code: int, **plan: Any) -> Planned:
    """Plan a chat request that ends before it becomes a call."""
    fields = {"target": CHAT_PATH, "route": CHAT_PATH, "body": _chat_body("aurora-large")} | plan
    return Planned(
        number=template.number, at_seconds=template.arrival.at_seconds, kind=kind, status_code=status_code, **fields
    )


def _chat_body(model: str) -> bytes:
    return msgspec.json.encode({"model": model, "messages": _MESSAGES})


def bad_key(template: RequestTemplate) -> Planned:
    """No key, or one that is malformed, unknown or revoked."""
    key = template.rng.choice(("none", "malformed", "unknown", "revoked"))
    return _refused(template, "bad key", 401, key=key)


def unknown_model(template: RequestTemplate) -> Planned:
    """A model that is not configured."""
    return _refused(template, "unknown model", 404, body=_chat_body(template.rng.choice(_UNKNOWN_MODELS)))


def bad_body(template: RequestTemplate) -> Planned:
    """A body that is no request."""
    return _refused(template, "bad body", 400, body=template.rng.choice(_BAD_BODIES))


def bad_embedding(template: RequestTemplate) -> Planned:
    """An embeddings request without input."""
    body = msgspec.json.encode({"model": EMBEDDING_MODEL})
    return _refused(template, "bad body", 400, target=EMBEDDINGS_PATH, route=EMBEDDINGS_PATH, body=body)


def too_large(template: RequestTemplate) -> Planned:
    """A body over the limit, by its declared length."""
    return _refused(template, "too large", 413, body=b" " * (MAX_BODY_BYTES + 1))


def lost(template: RequestTemplate) -> Planned:
    """A path that does not exist, or the wrong method."""
    return template.rng.choice((_unknown_path, _wrong_method))(template)


def _unknown_path(template: RequestTemplate) -> Planned:
    target = template.rng.choice(("/login", "/admin.php", "/v1/completions", "/v1/chat/completions/7"))
    method = template.rng.choice(("GET", "POST"))
    return _refused(template, "unknown path", 404, target=target, route=UNMATCHED, method=method, body=b"")


def _wrong_method(template: RequestTemplate) -> Planned:
    method = template.rng.choice(("GET", "PUT", "DELETE"))
    return _refused(template, "wrong method", 405, method=method, body=b"")


def models(template: RequestTemplate) -> Planned:
    """The list of models, or one of them, or one that does not exist."""
    target, route, status_code = template.rng.choice(
        (
            (MODELS_PATH, MODELS_PATH, 200),
            (f"{MODELS_PATH}/aurora-mini", MODEL_PATH, 200),
            (f"{MODELS_PATH}/gpt-9", MODEL_PATH, 404),
        )
    )
    return _refused(template, "models", status_code, target=target, route=route, method="GET", body=b"")
