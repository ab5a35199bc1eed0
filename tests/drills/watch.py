"""Watches what becomes of each alert: pending and firing in Prometheus, inhibited in Alertmanager, told and taken back at a webhook."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import aiohttp
import msgspec
from aiohttp import web

from compose.native.ports import LOOPBACK
from compose.native.stack import Stack

Variant: TypeAlias = tuple[str, str, str]
"""An alert's name and severity, and what else tells the rules of one name apart."""


class Seen(msgspec.Struct, kw_only=True):
    """When each state of an alert was first seen, in monotonic seconds; `resolved` is when it was last taken back."""

    pending: float | None = None
    firing: float | None = None
    inhibited: float | None = None
    told: float | None = None
    resolved: float | None = None
    receivers: set[str] = msgspec.field(default_factory=set)
    groups: set[str] = msgspec.field(default_factory=set)
    texts: set[str] = msgspec.field(default_factory=set)
    runbooks: set[str] = msgspec.field(default_factory=set)


class Watch:
    """The alerts of one stack; for one event loop. `now` counts seconds."""

    def __init__(self) -> None:
        self.seen: dict[Variant, Seen] = {}
        self.now = time.monotonic
        self._prometheus = ""
        self._alertmanager = ""

    def of(self, alert: str, variant: str = "") -> dict[Variant, Seen]:
        """Return what was seen of an alert, of all its rules or of one."""
        return {
            labels: seen for labels, seen in self.seen.items() if labels[0] == alert and variant in {"", *labels[1:]}
        }

    def has_told(self, alert: str, variant: str = "") -> bool:
        """Whether the webhook was told that it fires."""
        return any(seen.told is not None for seen in self.of(alert, variant).values())

    def has_resolved(self, alert: str, variant: str = "") -> bool:
        """Whether the webhook was told that it is over."""
        return any(seen.resolved is not None for seen in self.of(alert, variant).values())

    def problems(self) -> list[str]:
        """Return what a person who is told could not act on: a wrong route, a text with a hole, a link to no runbook."""
        lines = []
        for (alert, severity, _), seen in self.seen.items():
            if severity not in {"critical", "warning"}:
                lines.append(f"{alert} has the severity {severity}")
            wanted = "-page" if severity == "critical" else "-ticket"
            lines += [f"{alert} was routed to {name}" for name in seen.receivers if not name.endswith(wanted)]
            lines += [f"{alert}: {text}" for text in seen.texts if not text or "<no value>" in text]
            lines += [f"{alert}: {url}" for url in seen.runbooks if not url.endswith(f"/{alert}.md")]
        return lines

    @asynccontextmanager
    async def webhook(self) -> AsyncIterator[str]:
        """Listen on a free port for all that Alertmanager tells, on any path; yield the URL."""
        application = web.Application()
        application.router.add_post("/{path:.*}", self._told)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, 0).start()
            yield f"http://{LOOPBACK}:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def watching(self, stack: Stack) -> AsyncIterator[None]:
        """Look at both servers twice a second until the end of the block."""
        self._prometheus, self._alertmanager = stack.url("prometheus"), stack.url("alertmanager")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            looking = asyncio.create_task(self._look(session))
            try:
                yield
            finally:
                looking.cancel()
                await asyncio.wait({looking})

    async def _look(self, session: aiohttp.ClientSession) -> None:
        while True:
            try:
                await self._look_at_prometheus(session)
                await self._look_at_alertmanager(session)
            except (aiohttp.ClientError, TimeoutError):
                pass  # a drill may have ended the server
            await asyncio.sleep(0.5)  # how often it looks

    async def _look_at_prometheus(self, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{self._prometheus}/api/v1/alerts") as response:
            alerts = json.loads(await response.read())["data"]["alerts"]
        for alert in alerts:
            seen = self._seen(alert["labels"])
            if alert["state"] == "pending":
                seen.pending = seen.pending or self.now()
            elif alert["state"] == "firing":
                seen.firing = seen.firing or self.now()

    async def _look_at_alertmanager(self, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{self._alertmanager}/api/v2/alerts") as response:
            alerts = json.loads(await response.read())
        for alert in alerts:
            if alert["status"]["inhibitedBy"]:
                seen = self._seen(alert["labels"])
                seen.inhibited = seen.inhibited or self.now()

    async def _told(self, request: web.Request) -> web.Response:
        """Take one notification."""
        told: dict[str, Any] = await request.json()
        for alert in told["alerts"]:
            seen = self._seen(alert["labels"])
            seen.receivers.add(told["receiver"])
            seen.groups.add(", ".join(f"{key}={value}" for key, value in sorted(told["groupLabels"].items())))
            seen.texts |= {alert["annotations"]["summary"], alert["annotations"]["description"]}
            seen.runbooks.add(alert["annotations"]["runbook_url"])
            if alert["status"] == "firing":
                seen.told = seen.told or self.now()
            else:
                seen.resolved = self.now()
        return web.Response()

    def _seen(self, labels: dict[str, str]) -> Seen:
        kind = labels.get("evidence") or labels.get("route_kind", "")
        return self.seen.setdefault((labels["alertname"], labels.get("severity", ""), kind), Seen())
