"""What every response must be, whatever the input was."""

import gzip
import json
import re
import zlib
from typing import Any, Final

from tests.fuzz.canaries import BASIC, TOKEN, Keys
from tests.fuzz.inputs import Input
from tests.fuzz.wire import Response

MAPPED: Final = {
    501: {"not_implemented"},
    502: {"upstream_failed"},
    503: {"overloaded", "store_unavailable"},
    504: {"upstream_timeout"},
    505: {"http_version_not_supported"},
}
"""The statuses from 500 on that the gateway may respond with, and the codes of their error objects."""

REFUSED: Final = {
    400: {"invalid_http"},
    408: {"request_timeout"},
    414: {"uri_too_long"},
    431: {"headers_too_large"},
    501: {"not_implemented"},
    505: {"http_version_not_supported"},
}
"""The responses to bytes that are not a request. They are not counted, have no trace id and end the connection."""

_WITHOUT_V1 = re.compile(r"/(chat|completions|embeddings|models|responses)(/|$)")
_TRACE_ID: Final = re.compile(rb"[0-9a-f]{32}")
_INSIDES: Final = re.compile(
    rb'Traceback|File "|\.py\b|line \d+, in |site-packages|0x[0-9a-f]{8,}|sqlalchemy|litestar|aiohttp|asyncio'
)
_ENDS: Final = {
    b"text/plain": b"\n", b"application/openmetrics-text": b"# EOF\n", b"text/markdown": b"\n", b"application/json": b"}",
}  # fmt: skip
_PROVIDER_STATUSES: Final = frozenset({400, 403, 404, 409, 413, 422})
_ERROR_KEYS: Final = {"message", "type", "param", "code"}


def problems(made: Input, response: Response, keys: Keys) -> list[str]:
    """Return what is wrong with a response; empty for a good one."""
    if response.header(b"content-encoding") == b"gzip":
        try:
            response = Response(response.status, response.headers, gzip.decompress(response.body))
        except (OSError, EOFError, zlib.error) as error:
            return [f"not gzip: {type(error).__name__}"]
    found = _common(response, keys)
    if is_refusal(response):
        return found if response.closes else [*found, "a connection that stays open after bytes that are no HTTP"]
    return [*found, *_served(made, response)]


def _served(made: Input, response: Response) -> list[str]:
    """Check the response to a request."""
    found: list[str] = []
    status = response.status
    if status >= 500 and status not in MAPPED:
        found.append(f"a {status} that is not mapped")
    if status >= 400 and response.body:
        found += _error(made, response)
    elif response.header(b"content-type") == b"text/event-stream; charset=utf-8":
        found += _events(response.body)
    elif made.path is not None and made.path.startswith("/v1/") and status == 200 and made.method != "HEAD":
        try:
            json.loads(response.body)
        except (ValueError, RecursionError) as error:
            found.append(f"a 200 that is no JSON: {type(error).__name__}")
    if status == 200 and made.method == "GET" and not is_traffic(made):
        found += _monitoring(response)
    if made.is_tame and is_traffic(made) and trace_id(response) is None:
        found.append("a response without a trace id")
    return found


def is_traffic(made: Input) -> bool:
    """Whether a tame input is counted as traffic; monitoring is not."""
    path = "/" + "/".join(filter(None, (made.path or "").split("/")))
    index = path in {"/", "/docs", "/health", "/prometheus/metrics"}
    monitoring = index or path in {"/metrics", "/health/live", "/health/ready"}
    return not monitoring and not re.fullmatch(r"/prometheus/metrics/[^/]+", path)


def is_refusal(response: Response) -> bool:
    """Whether the response is to bytes that became no request."""
    if trace_id(response) is not None or response.status not in REFUSED:
        return False
    try:
        error = json.loads(response.body)["error"]
        return set(error) == _ERROR_KEYS and error["code"] in REFUSED[response.status]
    except (ValueError, RecursionError, KeyError, TypeError):
        return False


def trace_id(response: Response) -> bytes | None:
    """Return the trace id, which every counted request gets."""
    return response.header(b"x-trace-id")


def _common(response: Response, keys: Keys) -> list[str]:
    found = []
    raw = response.body + b"\n".join(name + b": " + value for name, value in response.headers)
    inside = _INSIDES.search(raw)
    if inside is not None:
        found.append(f"internals of the program: {raw[max(0, inside.start() - 80) : inside.end() + 80]!r}")
    if any(key.encode() in raw for key in keys.all) or TOKEN.encode() in raw.lower() or BASIC.encode() in raw:
        found.append("a key in the response")
    shown = trace_id(response)
    if shown is not None and _TRACE_ID.fullmatch(shown) is None:
        found.append(f"not a trace id: {shown!r}")
    return found


def _monitoring(response: Response) -> list[str]:
    """Check that a monitoring response is whole, whatever was negotiated; the regular scrapes parse them."""
    body = response.body
    content_type = (response.header(b"content-type") or b"").partition(b";")[0]
    end = _ENDS.get(content_type)
    if end is None:
        return [f"monitoring as {content_type!r}"]
    # Text without families is empty.
    return (
        []
        if body.endswith(end) or (not body and content_type == b"text/plain")
        else [f"not the end of {content_type!r}: {body[-100:]!r}"]
    )


def _error(made: Input, response: Response) -> list[str]:
    """Check an error's shape: OpenAI's under /v1, problem+json elsewhere; where the path is not known, one of the two."""
    content_type = response.header(b"content-type") or b""
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return [f"an error that is no JSON: {response.body[:200]!r}"]
    is_problem = content_type == b"application/problem+json"
    if made.path is not None and "//" not in made.path:
        is_api = made.path == "/v1" or made.path.startswith("/v1/")
        # Paths of the API without its prefix get an error in the API's shape; other tests check which ones.
        if is_api == is_problem and (is_problem or _WITHOUT_V1.match(made.path) is None):
            return [f"an error of the other kind: {content_type!r}"]
    if is_problem:
        keys = set(body) if isinstance(body, dict) else set()
        ok = {"type", "title", "status"} <= keys <= {"type", "title", "status", "detail"} and body[
            "status"
        ] == response.status
        return [] if ok else [f"not a problem: {response.body[:200]!r}"]
    if content_type != b"application/json":
        return [f"an error as {content_type!r}"]
    return _openai_error(response.status, body)


def _openai_error(status: int, body: Any) -> list[str]:
    error = body.get("error") if isinstance(body, dict) else None
    if status in _PROVIDER_STATUSES and isinstance(error, dict | str):
        # May be a provider's own words.
        return []
    if not isinstance(error, dict) or set(body) != {"error"} or set(error) != _ERROR_KEYS:
        return [f"not an error object: {str(body)[:200]}"]
    if not isinstance(error["message"], str) or not isinstance(error["type"], str):
        return [f"an error object of other types: {str(body)[:200]}"]
    if status in MAPPED and error["code"] not in MAPPED[status]:
        return [f"a {status} with the code {error['code']!r}"]
    return []


def _events(body: bytes) -> list[str]:
    """Check a relayed stream: whole events, closed by the end marker or by an error."""
    if not body.endswith(b"\n\n"):
        return [f"a stream that ends inside an event: {body[-200:]!r}"]
    last = body[:-2].rpartition(b"\n\n")[2]
    data = b"\n".join(line[6:] for line in last.split(b"\n") if line.startswith(b"data: "))
    if data == b"[DONE]":
        return []
    try:
        is_error = "error" in json.loads(data)
    except (ValueError, TypeError, RecursionError):
        is_error = False
    return [] if is_error else [f"a stream without an end: {last[-200:]!r}"]
