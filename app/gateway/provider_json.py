"""PROVIDER JSON: decodes what providers send, a little more tolerantly than what callers may send.

Comes in: bytes. Goes out: Python values, or ValueError. The strict decoder is several times faster and takes nearly everything; servers that cut
text between UTF-16 code units send lone surrogates, which only the standard library takes.
"""

import json
from typing import Any, NoReturn

import msgspec

from app.gateway.json_bounds import NestedTooDeeplyError, check_depth


def decode(data: bytes | msgspec.Raw) -> Any:
    """Return the value; raises ValueError for anything that a client's JSON parser would refuse, or that is nested absurdly deep."""
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        try:
            value = json.loads(bytes(data), parse_constant=_refuse)
        except RecursionError:
            raise NestedTooDeeplyError("nested too deeply") from None
    check_depth(bytes(data))
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
