"""REFUSAL KINDS: the kinds of requests that the gateway answers by itself: bad keys, bad bodies, unknown models and paths, lists of models.

Comes in: a sketch. Goes out: a `Planned` request without attempts. None of them becomes a call.
"""

from typing import Any, Final

import msgspec

from demo.gateway_config import EMBEDDING_MODEL, MAX_BODY_BYTES
from demo.traffic.plan import CHAT_PATH, EMBEDDINGS_PATH, Planned
from demo.traffic.request_template import Sketch

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


def _refused(sketch: Sketch, kind: str, status_code: int, **plan: Any) -> Planned:
    """Plan a chat request that ends before it becomes a call."""
    fields = {"target": CHAT_PATH, "route": CHAT_PATH, "body": _chat_body("aurora-large")} | plan
    return Planned(
        number=sketch.number, at_seconds=sketch.arrival.at_seconds, kind=kind, status_code=status_code, **fields
    )


def _chat_body(model: str) -> bytes:
    return msgspec.json.encode({"model": model, "messages": _MESSAGES})


def bad_key(sketch: Sketch) -> Planned:
    """No key, or one that is malformed, unknown or revoked."""
    key = sketch.rng.choice(("none", "malformed", "unknown", "revoked"))
    return _refused(sketch, "bad key", 401, key=key)


def unknown_model(sketch: Sketch) -> Planned:
    """A model that nobody configured."""
    return _refused(sketch, "unknown model", 404, body=_chat_body(sketch.rng.choice(_UNKNOWN_MODELS)))


def bad_body(sketch: Sketch) -> Planned:
    """A body that is no request."""
    return _refused(sketch, "bad body", 400, body=sketch.rng.choice(_BAD_BODIES))


def bad_embedding(sketch: Sketch) -> Planned:
    """An embeddings request without input."""
    body = msgspec.json.encode({"model": EMBEDDING_MODEL})
    return _refused(sketch, "bad body", 400, target=EMBEDDINGS_PATH, route=EMBEDDINGS_PATH, body=body)


def too_large(sketch: Sketch) -> Planned:
    """A body over the limit, by its declared length."""
    return _refused(sketch, "too large", 413, body=b" " * (MAX_BODY_BYTES + 1))


def lost(sketch: Sketch) -> Planned:
    """A path that does not exist, or the wrong method."""
    return sketch.rng.choice((_unknown_path, _wrong_method))(sketch)


def _unknown_path(sketch: Sketch) -> Planned:
    target = sketch.rng.choice(("/login", "/admin.php", "/v1/completions", "/v1/chat/completions/7"))
    method = sketch.rng.choice(("GET", "POST"))
    return _refused(sketch, "unknown path", 404, target=target, route=UNMATCHED, method=method, body=b"")


def _wrong_method(sketch: Sketch) -> Planned:
    method = sketch.rng.choice(("GET", "PUT", "DELETE"))
    return _refused(sketch, "wrong method", 405, method=method, body=b"")


def models(sketch: Sketch) -> Planned:
    """The list of models, or one of them, or one that does not exist."""
    target, route, status_code = sketch.rng.choice(
        (
            (MODELS_PATH, MODELS_PATH, 200),
            (f"{MODELS_PATH}/aurora-mini", MODEL_PATH, 200),
            (f"{MODELS_PATH}/gpt-9", MODEL_PATH, 404),
        )
    )
    return _refused(sketch, "models", status_code, target=target, route=route, method="GET", body=b"")
