"""Recognizes a document without choices that is itself an error, in any of the envelopes that have no member `error`.

Input: the bytes of a document. Output: whether it is one. Only its labels become objects.
"""

import contextlib
import re
from typing import Final, Literal

import msgspec

from app.gateway.openai.lenient_json import decode_document
from app.gateway.openai.text_units import ABSENT

NOTHING: Final = frozenset({b"", b"null", b'""', b"[]", b"{}"})
_WELL: Final = NOTHING | {b"0", b"200", b'"0"', b'"200"', b'"ok"', b'"OK"', b'"success"', b'"Success"', b"false"}
"""Values of a code, or of a field by the name of an error, that name none."""
_FAILED_STATUS: Final = re.compile(rb'"?(?:[45][0-9][0-9]\b|(?:error|failed|failure)")', re.IGNORECASE)


class _Labels(msgspec.Struct, gc=False):
    type: msgspec.Raw = ABSENT
    object: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT
    errors: msgspec.Raw = ABSENT
    detail: msgspec.Raw = ABSENT
    success: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    msg: msgspec.Raw = ABSENT
    code: msgspec.Raw = ABSENT
    status: msgspec.Raw = ABSENT
    status_code: msgspec.Raw = ABSENT
    camel_status_code: msgspec.Raw = msgspec.field(name="statusCode", default=ABSENT)
    amazon_type: msgspec.Raw = msgspec.field(name="__type", default=ABSENT)
    error_code: msgspec.Raw = ABSENT
    camel_error_code: msgspec.Raw = msgspec.field(name="errorCode", default=ABSENT)
    errcode: msgspec.Raw = ABSENT
    error_msg: msgspec.Raw = ABSENT
    error_message: msgspec.Raw = ABSENT
    camel_error_message: msgspec.Raw = msgspec.field(name="errorMessage", default=ABSENT)
    errmsg: msgspec.Raw = ABSENT
    capital_error: msgspec.Raw = msgspec.field(name="Error", default=ABSENT)
    err: msgspec.Raw = ABSENT
    exception: msgspec.Raw = ABSENT
    fault: msgspec.Raw = ABSENT
    capital_response: msgspec.Raw = msgspec.field(name="Response", default=ABSENT)


class _PlainChunk(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A chunk with the fields that the API has, and no others; none of them is an error, whatever its value."""

    object: Literal["chat.completion.chunk"]
    id: msgspec.Raw = ABSENT
    created: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    choices: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    system_fingerprint: msgspec.Raw = ABSENT


class _Enveloped(msgspec.Struct, gc=False):
    error: msgspec.Raw = msgspec.field(name="Error", default=ABSENT)


_LABELS: Final = msgspec.json.Decoder(_Labels)
_PLAIN_CHUNK: Final = msgspec.json.Decoder(_PlainChunk)
_ENVELOPED: Final = msgspec.json.Decoder(_Enveloped)


def is_error_document(document: bytes) -> bool:
    """Whether a document is an error: `{"type": "error", ...}`, `{"code": 1301, "msg": ...}`; raises ValueError for what is no object."""
    with contextlib.suppress(msgspec.DecodeError):
        # The chunk with the usage of nearly every stream.
        _PLAIN_CHUNK.decode(document)
        return False
    labels = decode_document(document, _LABELS)
    return b'"error"' in {bytes(labels.type), bytes(labels.object)} or _reports_failure(labels)


def _reports_failure(labels: _Labels) -> bool:
    """Whether a document is one of the envelopes that have no member `error`; a message alone may as well be a notice."""
    if is_filled(labels.errors) or bytes(labels.success).strip(b'"').lower() == b"false" or _names_error(labels):
        return True
    if is_filled(labels.id):
        # A chunk, or a response, of whichever kind.
        return False
    statuses = (labels.status, labels.status_code, labels.camel_status_code)
    has_code = (
        bytes(labels.code) not in _WELL
        or is_filled(labels.amazon_type)
        or any(_FAILED_STATUS.match(status) is not None for status in statuses)
    )
    return is_filled(labels.detail) or (has_code and (is_filled(labels.message) or is_filled(labels.msg)))


def _names_error(labels: _Labels) -> bool:
    """Whether a field by the name of an error is filled. Where there is a code, it decides: `{"errcode": 0, "errmsg": "ok"}`."""
    codes = (labels.error_code, labels.camel_error_code, labels.errcode)
    if any(code is not ABSENT for code in codes):
        return any(bytes(code) not in _WELL for code in codes)
    texts = (labels.error_msg, labels.error_message, labels.camel_error_message, labels.errmsg)
    objects = (labels.capital_error, labels.err, labels.exception, labels.fault)
    return any(bytes(each) not in _WELL for each in (*texts, *objects, _enveloped_error(labels.capital_response)))


def _enveloped_error(response: msgspec.Raw) -> msgspec.Raw:
    """Return the error in a member `Response` (Tencent's)."""
    try:
        return _ENVELOPED.decode(response).error
    except msgspec.DecodeError:
        return ABSENT


def is_filled(raw: msgspec.Raw) -> bool:
    """Whether a field is present and not empty."""
    return bytes(raw) not in NOTHING
