"""Requests in OTLP/JSON, which is protobuf's JSON mapping with ids in hex ("JSON Protobuf Encoding" of the OTLP specification)."""

import binascii
from base64 import b64encode
from typing import Any, Final

import msgspec
from google.protobuf.json_format import ParseDict, ParseError  # type: ignore[import-untyped]  # ships no type information

from console.receive.json_count import check_containers, check_json_count
from console.store.records import Signal
from console.store.work import MalformedError

_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
_VALUES: Final = frozenset({"attributes", "body", "filteredAttributes"})
"""Below these, keys are the sender's."""


def parse_json(request: type[Any], signal: Signal, body: bytes, most: int) -> Any:
    """Return the message; unknown fields are ignored. Raises `MalformedError`.

    `most`: of messages down to spans, records and points.
    """
    check_containers(body)
    try:
        content = msgspec.json.decode(body)
        if not isinstance(content, dict):
            raise MalformedError("the body is no JSON object")
        check_json_count(signal, content, most)
        return ParseDict(_with_base64_ids(content), request(), ignore_unknown_fields=True)
    except (msgspec.DecodeError, ParseError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MalformedError(f"the body is no {request.__name__} in JSON: {reason}") from None


def _with_base64_ids(value: Any) -> Any:
    """Return the value with ids as protobuf's mapping has them."""
    if isinstance(value, list):
        return [_with_base64_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _base64(each)
        if key in _IDS and isinstance(each, str)
        else each
        if key in _VALUES
        else _with_base64_ids(each)
        for key, each in value.items()
    }


def _base64(text: str) -> str:
    try:
        return b64encode(binascii.unhexlify(text)).decode()
    except (binascii.Error, ValueError):
        raise MalformedError("an id is not written in hex digits") from None
