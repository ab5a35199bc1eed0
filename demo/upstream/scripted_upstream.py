"""A provider process that speaks the OpenAI wire format and fails on request.

It serves `/{persona}/v1/chat/completions`, `/{persona}/v1/embeddings` and `/{persona}/v1/models`. Run it as
`python -m demo.upstream.scripted_upstream --port 0 --script demo --seed 1`; it prints one ready line with its URL.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from demo.gateway_config import upstream_names
from demo.upstream import wire
from demo.upstream.counters import Gates, UpstreamCounters
from demo.upstream.script import (
    PERSONAS,
    SCRIPTS,
    Habits,
    Script,
    ScriptError,
    improvise,
    read_script,
)

READY_LINE: Final = "scripted upstream: ready on "
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
QUOTA_REQUESTS: Final = 10_000
_OK: Final = 200
_ARRIVAL_WAIT_SECONDS: Final = 30.0
_JSON: Final = "application/json"


class ScriptedUpstream:
    """The handlers. For one event loop; `monotonic` in seconds, one seeded `rng` for all improvised requests."""

    def __init__(self, habits: dict[str, Habits], rng: random.Random, monotonic: Callable[[], float]) -> None:
        self.counters = UpstreamCounters()
        self._gates = Gates()
        self._habits = habits
        self._rng = rng
        self._monotonic = monotonic
        self._started_seconds = monotonic()
        self._list_statuses: dict[str, int] = {}
        self._withdrawn: dict[str, frozenset[str]] = {}
        self._quota_left: int | None = None
        self._ending = asyncio.Event()
        self._limited_requests = 0

    def application(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(self._add_quota)
        personas = "/{persona:" + "|".join(PERSONAS) + "}/v1"
        app.add_routes(
            [
                web.post(f"{personas}/chat/completions", self._answered(self._chat)),
                web.post(f"{personas}/embeddings", self._answered(self._embed)),
                web.get(f"{personas}/models", self._models),
                web.get("/_upstream/counters", self._counters),
                web.get("/_upstream/arrived/{tag}", self._arrived),
                web.post("/_upstream/release/{tag}", self._release),
                web.post("/_upstream/end", self._end),
                web.post("/_upstream/list/{persona}/{status:[2-5][0-9][0-9]}", self._set_list),
                web.post("/_upstream/withdrawn/{persona}", self._withdraw),
                web.post("/_upstream/quota/{left:[0-9]+}", self._set_quota),
            ]
        )
        return app

    async def _add_quota(self, request: web.Request, response: web.StreamResponse) -> None:
        """Report what is left of a quota of the flaky persona, as hosted providers do; it is full again when it is used up.

        Once it was set, it stays as it was set.
        """
        if request.match_info.get("persona") == "flaky" and request.method == "POST":
            left = QUOTA_REQUESTS - self._limited_requests % QUOTA_REQUESTS - 1
            left = left if self._quota_left is None else self._quota_left
            self._limited_requests += 1
            response.headers.update(
                {"x-ratelimit-limit-requests": str(QUOTA_REQUESTS), "x-ratelimit-remaining-requests": str(left)}
            )

    def _answered(
        self, act: Callable[[web.Request, dict[str, Any], Script], Awaitable[tuple[web.StreamResponse, str]]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Wrap what acts a script out: read the request, and count it and its outcome in every case."""

        async def handler(request: web.Request) -> web.StreamResponse:
            persona = request.match_info["persona"]
            self.counters.arrived(persona, traced="traceparent" in request.headers)
            outcome = "client_left"
            tag: str | None = None
            try:
                body, script = await self._read(request, persona)
                if (tag := script.tag) is not None:
                    self._gates.arrived(tag).set()
                await self._delay(script.delay_seconds)
                response, outcome = await self._refuse_or(act, request, body, script)
            except ScriptError as error:
                outcome = "refused_script"
                return web.Response(status=400, body=wire.refusal_body(str(error)), content_type=_JSON)
            except ConnectionError:
                # The client closed the connection during a write; the response is discarded.
                return web.Response()
            finally:
                self.counters.ended(persona, outcome)
                if tag is not None:
                    self._gates.forget(tag)
            _limit_reuse(request, response)
            return response

        return handler

    async def _read(self, request: web.Request, persona: str) -> tuple[dict[str, Any], Script]:
        """Return the body and its script; raises `ScriptError` for what is no request."""
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        except (msgspec.DecodeError, web.HTTPRequestEntityTooLarge) as error:
            raise ScriptError(f"the body is not a JSON object: {error}") from None
        script = read_script(body, persona)
        if script is None:
            habits = self._habits.get(persona, Habits())
            elapsed_seconds = self._monotonic() - self._started_seconds
            script = improvise(habits, body, elapsed_seconds=elapsed_seconds, rng=self._rng)
        return body, script

    async def _refuse_or(
        self,
        act: Callable[[web.Request, dict[str, Any], Script], Awaitable[tuple[web.StreamResponse, str]]],
        request: web.Request,
        body: dict[str, Any],
        script: Script,
    ) -> tuple[web.StreamResponse, str]:
        """Act out what goes wrong before any response; else let `act` respond."""
        match script.fault:
            case "stall":
                await asyncio.Event().wait()
            case "close_before_head":
                _close(request)
                return web.Response(), "close_before_head"
            case "close_after_head":
                response = web.StreamResponse(headers={"content-type": _JSON, "content-length": "100000"})
                _limit_reuse(request, response)
                await response.prepare(request)
                _close(request)
                return response, "close_after_head"
            case "wrong_content_type":
                return web.Response(body=wire.HTML_PAGE, content_type="text/html"), "wrong_content_type"
            case "bad_json":
                return web.Response(body=b'{"id": "chatcmpl-1", "choices": [{"ind', content_type=_JSON), "bad_json"
            case None:
                pass
        if script.status != _OK:
            headers = {} if script.retry_after is None else {"retry-after": script.retry_after}
            response = web.Response(
                status=script.status, body=wire.error_body(script.status), content_type=_JSON, headers=headers
            )
            return response, f"status_{script.status}"
        return await act(request, body, script)

    async def _chat(self, request: web.Request, body: dict[str, Any], script: Script) -> tuple[web.StreamResponse, str]:
        """Serve a chat completion, whole or streamed."""
        chat = wire.ChatResponse(body, script)
        if body.get("stream") is not True:
            return web.Response(body=chat.whole(), content_type=_JSON), "status_200"
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        _limit_reuse(request, response)
        await response.prepare(request)
        await response.write(chat.first_chunk())
        if script.pause_after_chunks == 0 and (outcome := await self._pause(request, response, script)):
            return response, outcome
        for sent, chunk in enumerate(chat.content_chunks(), 1):
            await self._delay(script.chunk_delay_seconds)
            await response.write(chunk)
            if script.pause_after_chunks == sent and (outcome := await self._pause(request, response, script)):
                return response, outcome
        await response.write(chat.last_chunks())
        await response.write_eof()
        return response, "status_200"

    async def _pause(self, request: web.Request, response: web.StreamResponse, script: Script) -> str | None:
        """Wait for the release, where there is a tag to release; return the outcome if the stream ends here."""
        if script.tag is not None:
            await self._gates.released(script.tag).wait()
        if script.after_pause == "continue":
            return None
        if script.after_pause == "error_event":
            await response.write(wire.error_event())
            await response.write_eof()
            return "error_event"
        _close(request)
        return "broken_stream"

    async def _embed(
        self, _request: web.Request, body: dict[str, Any], script: Script
    ) -> tuple[web.StreamResponse, str]:
        """Serve an embeddings request."""
        return web.Response(body=wire.embeddings(body, script), content_type=_JSON), "status_200"

    async def _models(self, request: web.Request) -> web.Response:
        """List the models, or fail as set or by the persona's habits; not counted, because it is not a call."""
        persona = request.match_info["persona"]
        habits = self._habits.get(persona, Habits())
        habitual = habits.status_of_list(self._monotonic() - self._started_seconds)
        status = self._list_statuses.get(persona, habitual)
        if status != _OK:
            return web.Response(status=status, body=wire.error_body(status), content_type=_JSON)
        names = (f"{persona}-1", *upstream_names(persona))
        listed = tuple(name for name in names if name not in self._withdrawn.get(persona, ()))
        return web.Response(body=wire.models(listed), content_type=_JSON)

    async def _counters(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self.counters.as_json()), content_type=_JSON)

    async def _arrived(self, request: web.Request) -> web.Response:
        """Respond when the tagged request has arrived; 408 when it does not come."""
        try:
            async with asyncio.timeout(_ARRIVAL_WAIT_SECONDS):
                await self._gates.arrived(request.match_info["tag"]).wait()
        except TimeoutError:
            return web.Response(status=408)
        return web.Response(status=204)

    async def _delay(self, seconds: float) -> None:
        """Wait as scripted, and no longer once the run is about to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()

    async def _end(self, _request: web.Request) -> web.Response:
        """Give every response without further delay from now on; outcomes stay as scripted."""
        self._ending.set()
        return web.Response(status=204)

    async def _release(self, request: web.Request) -> web.Response:
        self._gates.released(request.match_info["tag"]).set()
        return web.Response(status=204)

    async def _set_list(self, request: web.Request) -> web.Response:
        """Serve the persona's list of models with this status from now on."""
        self._list_statuses[request.match_info["persona"]] = int(request.match_info["status"])
        return web.Response(status=204)

    async def _withdraw(self, request: web.Request) -> web.Response:
        """Leave these models (`?model=NAME`) out of the persona's list from now on, and no others."""
        self._withdrawn[request.match_info["persona"]] = frozenset(request.query.getall("model", ()))
        return web.Response(status=204)

    async def _set_quota(self, request: web.Request) -> web.Response:
        """Report so many requests as left of the flaky persona's quota from now on."""
        self._quota_left = int(request.match_info["left"])
        return web.Response(status=204)


def _limit_reuse(request: web.Request, response: web.StreamResponse) -> None:
    """Let no connection to the dying persona serve twice: then one that it closes without a response was never just stale."""
    if request.match_info["persona"] == "dying":
        response.force_close()


def _close(request: web.Request) -> None:
    """Close the connection after what was written; the client sees its end."""
    if request.transport is not None:
        request.transport.close()


async def serve(
    upstream: ScriptedUpstream, *, host: str, port: int, ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Listen until `stop`; `ready` gets the URL. A client that leaves cancels its handler."""
    runner = web.AppRunner(upstream.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        ready(f"http://{host}:{runner.addresses[0][1]}")
        await stop.wait()
    finally:
        await runner.cleanup()


async def _main(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    upstream = ScriptedUpstream(SCRIPTS[arguments.script], random.Random(arguments.seed), time.monotonic)
    await serve(
        upstream,
        host=arguments.host,
        port=arguments.port,
        ready=lambda url: print(READY_LINE + url, flush=True),
        stop=stop,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m demo.upstream.scripted_upstream", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port; the ready line names it")
    parser.add_argument("--script", choices=sorted(SCRIPTS), default="demo", help="the personas' habits")
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(_main(parser.parse_args()))
