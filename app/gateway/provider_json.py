"""PROVIDER JSON: decodes what providers send, a little more tolerantly than what callers may send.

Comes in: bytes. Goes out: Python values, or ValueError. The strict decoder is several times faster and takes nearly everything; servers that cut
text between UTF-16 code units send lone surrogates, which only the standard library takes.
"""

import json
from typing import Any, NoReturn

import msgspec


def decode(data: bytes | msgspec.Raw) -> Any:
    """Return the value; raises ValueError for anything that a client's JSON parser would refuse, or that is nested absurdly deep."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(bytes(data), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
