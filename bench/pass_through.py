"""The bare pass-through that the gateway is compared with: Litestar and aiohttp, and nothing else.

`python -m bench.pass_through BASE_URL` relays `POST /v1/chat/completions`, whole or streamed, and
prints its URL. It has no keys, routes, retries, limits, ledger or telemetry: what a gateway on these
two libraries cannot be cheaper than.
"""

import socket
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from litestar import Litestar, Request, Response, post
from litestar.datastructures import State
from litestar.response import Stream

READY_LINE = "pass-through: ready on "
CONNECTIONS = 512


def make_app(base_url: str) -> Litestar:
    """Return the application; it opens its HTTP client at its start."""
    url = f"{base_url}/chat/completions"

    async def open_client(app: Litestar) -> None:
        app.state.client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            headers={"content-type": "application/json", "authorization": "Bearer bench"},
            auto_decompress=False,
        )

    async def close_client(app: Litestar) -> None:
        await app.state.client.close()

    async def relay(client: aiohttp.ClientSession, body: bytes) -> AsyncIterator[bytes]:
        async with client.post(url, data=body) as response:
            async for part in response.content.iter_any():
                yield part

    @post("/v1/chat/completions", status_code=200)
    async def chat(request: Request[None, None, State]) -> Response[bytes] | Stream:
        body = await request.body()
        client: aiohttp.ClientSession = request.app.state.client
        if b'"stream":true' in body:
            return Stream(relay(client, body), media_type="text/event-stream")
        async with client.post(url, data=body) as response:
            return Response(await response.read(), media_type="application/json")

    return Litestar(
        [chat], on_startup=[open_client], on_shutdown=[close_client], openapi_config=None, logging_config=None
    )


def main() -> None:
    config = uvicorn.Config(
        make_app(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        # The socket listens already: a connection waits for the server instead of being refused.
        print(f"{READY_LINE}http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
