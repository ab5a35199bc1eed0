"""Reads the gateway's health and metrics, and sends the one marked request.

The trace id marks the request: by it the request is found as a span, as a log line and in its series.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from app.doctor.facts import Marked, Server
from app.doctor.scrape import TEXT_FORMAT, Scrape, parse_scrape
from app.doctor.settings import Settings
from app.doctor.web import NoResponse, Reply, Web

_USER_AGENT: Final = "gatewayz-doctor"


def server_of(url: str, reply: Reply) -> Server:
    """Return what a response shows about its server."""
    if isinstance(reply, NoResponse):
        return Server(url=url, trouble=reply.reason)
    return Server(url=url, status=reply.status, skew_seconds=reply.skew_seconds, body=reply.body)


async def query_server(web: Web, url: str, path: str, token: str | None = None) -> Server:
    """Query one URL; an empty one is skipped. The gateway names its dependencies to clients with the monitoring token."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return server_of(url, await web.get(url + path, headers=headers)) if url else Server(url="", trouble="left out")


async def query_metrics(web: Web, settings: Settings, families: Sequence[str] = ()) -> tuple[Server, Scrape | None]:
    """Read the gateway's `/metrics`, or only some families of it: a large one is not to be rendered many times."""
    url = f"{settings.addresses['gateway']}/metrics"
    headers = {"accept": TEXT_FORMAT, "user-agent": _USER_AGENT}
    if settings.metrics_token:
        headers["authorization"] = f"Bearer {settings.metrics_token}"
    reply = await web.get(url, params=[("name[]", name) for name in families], headers=headers)
    if isinstance(reply, NoResponse) or reply.status != HTTPStatus.OK:
        return server_of(url, reply), None
    return server_of(url, reply), parse_scrape(reply.text)


async def send_marked(web: Web, settings: Settings, random_bytes: Callable[[int], bytes]) -> Marked:
    """Send it: the list of models, which costs nothing, or with a model one completion of one token."""
    trace_id, span_id = random_bytes(16).hex(), random_bytes(8).hex()
    headers = {"traceparent": f"00-{trace_id}-{span_id}-01", "user-agent": _USER_AGENT}
    if settings.api_key:
        headers["authorization"] = f"Bearer {settings.api_key}"
    if settings.model is None:
        method, path = "GET", "/v1/models"
        reply = await web.get(settings.addresses["gateway"] + path, headers=headers)
    else:
        method, path = "POST", "/v1/chat/completions"
        body = {
            "model": settings.model,
            "messages": [{"role": "user", "content": "ping"}],
            "max_tokens": 1,
            "user": _USER_AGENT,
        }
        reply = await web.post(settings.addresses["gateway"] + path, json=body, headers=headers)
    if isinstance(reply, NoResponse):
        return Marked(trace_id=trace_id, method=method, path=path, status=None, trouble=reply.reason)
    return Marked(
        trace_id=trace_id,
        method=method,
        path=path,
        status=reply.status,
        response_trace_id=reply.headers.get("x-trace-id", ""),
        has_key=bool(settings.api_key),
        model=settings.model,
    )
