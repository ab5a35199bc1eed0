"""The console's application over a store, called as an ASGI application."""

import httpx

from console.http.build import build_console_app
from tests.harness.clock import ManualClock
from tests.harness.console import NOW_NS

TOKEN = "a-token-of-the-tests"
BASE = "http://127.0.0.1:8100"


class Site:
    """An application with its store."""

    def __init__(self, console, *, token=None, **choices):
        self.console = console
        self.lines = []
        self.clock = ManualClock()
        self.now_ns = NOW_NS
        self.app = build_console_app(
            console.store,
            version="1.2.3",
            token=token,
            print_line=self.lines.append,
            unix_ns=lambda: self.now_ns,
            monotonic=self.clock,
            **choices,
        )

    def client(self, **headers):
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)

    async def get(self, path, params=None, **headers):
        async with self.client() as client:
            return await client.get(path, params=params, headers=headers)

    async def json(self, path, params=None):
        response = await self.get(path, params)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()
