"""The field `stream_options`, which the gateway adds to streams on its own: which refusals are about it.

Input: a provider's refusal and the caller's request. Output: whether the request is worth another
attempt without the field, and whether the target is to be remembered for it.
"""

import re
from http import HTTPStatus
from typing import Final

from app.gateway.openai.failures import UpstreamFailure
from app.gateway.openai.request import CallRequest
from app.gateway.openai.sent_request import MOST_SEARCHED_BYTES

FIELD_REFUSED: Final = "stream_options is refused"

_FIELD: Final = "stream_options"
_USUAL: Final = (b"stream_options", b"include_usage")
# As providers spell it: `streamOptions`, `STREAM_OPTIONS`, "Stream Options"; but not the options of an upstream.
_SPELLINGS: Final = (
    re.compile(rb"stream_options"),
    re.compile(rb"stream(?<!upstream)(?<!downstream)[\s\\_-]*options"),
    re.compile(rb"include[\\_-]*usage"),
)
_LETTERS: Final = "streamoptionsincludeusage_- "
_ESCAPED: Final = {
    b"\\u00%02x" % ord(letter): letter.lower().encode() for letter in sorted({*_LETTERS, *_LETTERS.upper()})
}
# They refuse the key, the account or the time of a request, whatever it holds.
_WHATEVER_IT_HOLDS: Final = frozenset({401, 402, 407, 429})


def blames_stream_options(status: int, refusal: bytes, request: CallRequest) -> bool:
    """Whether a provider's response of this status names the field that the gateway added and the caller did not ask for."""
    if not request.stream or request.include_usage or status in _WHATEVER_IT_HOLDS:
        return False
    return _names_field(refusal)


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
    """Whether the caller wrote these words itself, in another field: a provider may have quoted them.

    Of a large request the first 256 KiB are searched for every spelling: that takes the event loop's time.
    """
    left_bytes = MOST_SEARCHED_BYTES
    for field, raw in request.fields.items():
        if field != _FIELD:
            text = memoryview(raw).tobytes()
            if any(name in text for name in _USUAL) or _names_field(text[:left_bytes]):
                return True
            left_bytes = max(0, left_bytes - len(text))
    return False


def _names_field(text: bytes) -> bool:
    """Whether JSON or other text has a name of the field in any spelling, whether its letters are escaped or not."""
    text = text.lower()
    if b"\\u00" in text:
        for escaped, letter in _ESCAPED.items():
            text = text.replace(escaped, letter)
    return any(spelling.search(text) for spelling in _SPELLINGS)
