"""The field `stream_options`, which the gateway adds to streams on its own: which refusals are about it.

Input: a provider's refusal and the caller's request. Output: whether the request is worth another
attempt without the field, and whether the target is to be remembered for it.
"""

from http import HTTPStatus
from typing import Final

from app.gateway.openai.failures import UpstreamFailure
from app.gateway.openai.request import CallRequest

FIELD_REFUSED: Final = "stream_options is refused"

_FIELD: Final = "stream_options"
_NAMES: Final = (_FIELD, "include_usage")
# They refuse the key, the account or the time of a request, whatever it holds.
_WHATEVER_IT_HOLDS: Final = frozenset({401, 402, 407, 429})


def blames_stream_options(status: int, refusal: bytes, request: CallRequest) -> bool:
    """Whether a provider's response of this status names the field that the gateway added and the caller did not ask for."""
    if not request.stream or request.include_usage or status in _WHATEVER_IT_HOLDS:
        return False
    return any(name.encode() in refusal for name in _NAMES)


def blames_stream_options_inside(failure: UpstreamFailure, request: CallRequest) -> bool:
    """Whether an error inside a 200 names it."""
    error = failure.error
    if error is None or failure.http_status != HTTPStatus.OK:
        return False
    words = (error.message, *error.codes, *(error.error or {}).values())
    return blames_stream_options(
        0, " ".join(word for word in words if isinstance(word, str)).encode("utf-8", "replace"), request
    )


def writes_stream_options(request: CallRequest) -> bool:
    """Whether the caller wrote these words itself, in another field: a provider may have quoted them."""
    return any(
        name.encode() in memoryview(raw).tobytes()
        for field, raw in request.fields.items()
        if field != _FIELD
        for name in _NAMES
    )
