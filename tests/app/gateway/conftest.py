"""A scripted upstream on a raw socket, and the gateway on a real one: what the tests of the call path share."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace

import aiohttp
import msgspec
import pytest
import uvicorn

from app.application import build_app
from app.config.schema import (
    AppConfig,
    BreakerConfig,
    ModelConfig,
    PlanConfig,
    ProviderConfig,
    RouteConfig,
    ServerConfig,
)
from app.errors import InvalidApiKeyError, KeyExpiredError, StoreUnavailableError
from app.gateway.clock import SystemClock
from app.gateway.gateway import Gateway
from app.gateway.in_flight import CallsInFlight
from app.gateway.models import ModelTable
from app.gateway.ports import Caller
from app.gateway.provider_client import Provider
from app.gateway.rate_limit import RateLimiter
from app.gateway.response_cache import MemoryResponseCache
from app.http.api_router import api_router
from app.process.serve import KEEP_ALIVE_SECONDS
from app.providers.registry import ProviderStates
from app.server.connections import Connections
from app.server.gateway_server import GatewayServer
from app.server.http_protocol import bounded_protocol
from app.server.listener import listen
from otel.events import AttemptFinished, CallFinished, RequestFinished
from tests.harness.polling import DEADLINE_SECONDS, until
from tests.harness.recording import RecordingRecorder

SUMMED = (
    "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "input_audio_tokens",
    "output_audio_tokens", "cost_nanousd", "credits_nanousd", "unpriced_tokens", "exposure_nanousd",
)  # fmt: skip
"""Of each of these a call has the sum of its attempts."""
KEY = "good-key"
OTHER_KEY = "other-key"

USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def chunk(content=None, *, finish=None, **extra):
    delta = {} if content is None else {"content": content}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny-2026",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **extra,
    }


def usage_chunk(usage=None):
    return {**chunk(), "choices": [], "usage": usage or USAGE}


def sse(*items):
    return b"".join(
        b"data: " + (item if isinstance(item, bytes) else json.dumps(item).encode()) + b"\n\n" for item in items
    )


class Exchange:
    """One request at the upstream, and the means to respond byte by byte."""

    def __init__(self, head, body, reader, writer, connection):
        lines = head.decode("latin-1").split("\r\n")
        self.path = lines[0].split(" ")[1]
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        self.body = body
        self.connection = connection
        self._reader = reader
        self._writer = writer

    @property
    def json(self):
        return json.loads(self.body)

    async def raw(self, data):
        self._writer.write(data)
        await self._writer.drain()

    async def reply(self, body, status=200, headers=None):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        await self.raw(
            f"HTTP/1.1 {status} Reason\r\ncontent-type: application/json\r\n{extra}"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def stream_head(self):
        await self.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def send(self, data):
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self):
        await self.raw(b"0\r\n\r\n")

    async def stream(self, *items, done=True):
        await self.stream_head()
        for item in items:
            await self.send(sse(item))
        if done:
            await self.send(sse(b"[DONE]"))
        await self.end()

    def close(self):
        self._writer.close()

    def end_writing(self):
        """Close this side alone."""
        self._writer.write_eof()

    async def gone(self):
        """Wait until the gateway closes the connection."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            with contextlib.suppress(ConnectionError):
                while await self._reader.read(4096):
                    pass


async def response(exchange):
    """The response of an upstream that has no script of its own."""
    if exchange.path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
        usage = {"prompt_tokens": 6, "total_tokens": 6}
        await exchange.reply({"object": "list", "data": data, "model": "embed-2026", "usage": usage})
    elif exchange.json.get("stream"):
        await exchange.stream(chunk("Hel"), chunk("lo"), chunk(finish="stop"), usage_chunk())
    else:
        await exchange.reply(COMPLETION)


class Upstream:
    """A provider whose every byte is scripted."""

    def __init__(self, name, script):
        self.name = name
        self.script = script
        self.exchanges = []
        self.gone = 0
        self.connections = 0
        self.open_connections = 0
        self._server = None
        self._tasks = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        self.open_connections += 1
        connection = self.connections
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET "):
                    # A probe is no call: it runs no script, and is not among the exchanges.
                    await Exchange(head, b"", reader, writer, connection).reply({"data": []})
                    continue
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                exchange = Exchange(head, await reader.readexactly(length), reader, writer, connection)
                self.exchanges.append(exchange)
                await self.script(exchange)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open_connections -= 1
            self._tasks.discard(asyncio.current_task())
            writer.close()


class FakeKeys:
    """Three callers, and every way in which a key can fail."""

    def __init__(self, requests_per_minute=None, tokens_per_minute=None):
        self._caller = Caller(
            key_id="key_1", plan="free", requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute
        )

    async def find(self, secret):
        if secret == KEY:
            return self._caller
        if secret == OTHER_KEY:
            return msgspec.structs.replace(self._caller, key_id="key_2")
        if secret == "expired-key":
            raise KeyExpiredError("The trial of this key is over.")
        if secret == "no-database":
            raise StoreUnavailableError("The gateway's database does not respond; try again.")
        raise InvalidApiKeyError("Incorrect API key provided.")


class ListLedger:
    def __init__(self):
        self.rows = []

    def append(self, row):
        self.rows.append(row)


class InProcessServer(GatewayServer):
    """The real server, without a claim on the signals of the test's process."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield

    async def main_loop(self):
        await self.on_tick(0)
        while not self.should_exit:  # noqa: ASYNC110  the flag is uvicorn's
            await asyncio.sleep(0.005)


class RunningGateway:
    """A gateway on a socket, and everything that its ports recorded."""

    def __init__(self, *, port, gateway, recorder, ledger, server, app):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.gateway = gateway
        self.recorder = recorder
        self.ledger = ledger
        self.server = server
        self.app = app
        self.session = aiohttp.ClientSession(self.url, headers={"authorization": f"Bearer {KEY}"})

    async def chat(self, **fields):
        """Send a chat and return status, headers and decoded body."""
        fields = {"model": "acme/tiny", "messages": [{"role": "user", "content": "Say hello"}], **fields}
        return await self.post("/v1/chat/completions", json.dumps(fields).encode())

    async def post(self, path, body, headers=None):
        async with self.session.post(path, data=body, headers=headers) as response:
            raw = await response.read()
            with contextlib.suppress(ValueError):
                return SimpleNamespace(status=response.status, headers=response.headers, raw=raw, json=json.loads(raw))
            return SimpleNamespace(status=response.status, headers=response.headers, raw=raw, json=None)

    async def stream(self, **fields):
        """Stream a chat and return the data of its events."""
        response = await self.chat(stream=True, **fields)
        assert response.status == 200, response.raw
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.raw.endswith(b"\n\n")
        events = response.raw[:-2].split(b"\n\n")
        assert all(event.startswith(b"data: ") for event in events), events
        return [event[6:] if event == b"data: [DONE]" else json.loads(event[6:]) for event in events]

    async def finished(self):
        """Wait until every request has ended, check that events, ledger and sums agree, and return the events."""
        await until(lambda: all(request.finished for request in self.recorder.requests), "the end of every request")
        requests = self.recorder.requests
        calls = self.recorder.of(CallFinished)
        attempts = [attempt for request in requests for attempt in request.attempts]
        assert all(attempt.finished is not None for attempt in attempts), "an attempt never ended"
        assert len(calls) == len(self.ledger.rows)
        for call, row in zip(calls, self.ledger.rows, strict=True):
            usage = call.usage
            for name in (*SUMMED, "cost_source", "reported_nanousd"):
                assert getattr(usage, name) == getattr(row, name), name
            assert (call.status, call.error_kind, call.attempts) == (row.status, row.error_kind, row.attempts)
        for name in SUMMED:
            of_attempts = sum(getattr(attempt.finished.usage, name) for attempt in attempts)
            assert of_attempts == sum(getattr(call.usage, name) for call in calls), name
        for request in requests:
            assert sum(isinstance(event, CallFinished) for event in request.events) <= 1
        assert len(self.gateway.calls_in_flight) == 0
        return SimpleNamespace(
            calls=calls,
            rows=self.ledger.rows,
            attempts=[attempt.finished for attempt in attempts],
            started=[attempt.started for attempt in attempts],
            requests=[request.finished for request in requests],
            all=self.recorder.events,
            of=self.recorder.of,
        )


def model_config(*providers, name="acme/tiny", cached_input_usd_per_million=None, **options):
    routes = tuple(
        RouteConfig(
            provider=provider,
            upstream_model=f"{provider}-tiny",
            input_usd_per_million=0.15,
            cached_input_usd_per_million=cached_input_usd_per_million,
            output_usd_per_million=0.6,
        )
        for provider in providers
    )
    return ModelConfig(name=name, routes=routes, **options)


@pytest.fixture
async def stack() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def make_upstream(stack) -> Callable[..., Awaitable[Upstream]]:
    async def make(script=response, name="alpha"):
        upstream = Upstream(name, script)
        await upstream.start()
        stack.push_async_callback(upstream.stop)
        return upstream

    return make


@pytest.fixture
def make_gateway(stack) -> Callable[..., Awaitable[RunningGateway]]:
    """Start a gateway in front of upstreams (or of provider configurations)."""

    async def make(
        *upstreams,
        models=None,
        limits=(None, None),
        plan=None,
        max_concurrent_requests=100,
        shares=None,
        offload=None,
        response_budget=None,
        cache=None,
        max_client_connections=1_000,
        server_config=None,
        grace_seconds=5.0,
        cache_ttl_seconds=0.0,
        recorder=None,
        ledger=None,
        catalogue=None,
        clock=None,
        breaker=None,
        budgets=None,
        **provider_options,
    ):
        configs = [
            each
            if isinstance(each, ProviderConfig)
            else ProviderConfig(name=each.name, base_url=f"http://127.0.0.1:{each.port}/v1", **provider_options)
            for each in upstreams
        ]
        names = [config.name for config in configs]
        if models is None:
            models = [
                model_config(*names, cache_ttl_seconds=cache_ttl_seconds),
                model_config(*names, name="acme/embed", operation="embeddings"),
            ]
        server_config = server_config or ServerConfig(max_body_bytes=1_000_000)
        clock, ledger = clock or SystemClock(), ledger or ListLedger()
        recorder = recorder or RecordingRecorder()
        providers = {config.name: Provider(config, f"key-of-{config.name}") for config in configs}
        app_config = AppConfig(providers=tuple(configs), models=tuple(models), breaker=breaker or BreakerConfig())
        states = ProviderStates(app_config, clock, recorder)
        call_ids = iter(range(1_000_000))
        gateway = Gateway(
            models=ModelTable(models, providers, catalogue),
            gate=states,
            keys=FakeKeys(*limits),
            limiter=RateLimiter([plan or PlanConfig(name="free")], clock),
            cache=MemoryResponseCache(1_000_000, clock) if cache is None else cache,
            ledger=ledger,
            calls_in_flight=CallsInFlight(max_concurrent_requests, **(shares or {})),
            clock=clock,
            new_call_id=lambda: f"call-{next(call_ids)}",
            offload=offload,
            response_budget=response_budget,
            budgets=budgets,
        )

        @contextlib.asynccontextmanager
        async def lifespan(_app):
            for provider in providers.values():
                await provider.start()
            yield
            await gateway.close()
            for provider in providers.values():
                await provider.close()

        app = build_app(
            [api_router(gateway, server_config)],
            recorder=recorder,
            clock=clock,
            lifespan=lifespan,
            cors_origins=server_config.cors_origins,
        )
        printed = []
        connections = Connections(max_client_connections)
        protocol = bounded_protocol(server_config, connections, clock, gateway.loop_sharing)
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        config.access_log = False
        server = InProcessServer(
            config,
            calls=gateway.calls_in_flight,
            connections=connections,
            sharing=gateway.loop_sharing,
            grace_seconds=grace_seconds,
            print_line=printed.append,
            forced_exit_code=1,
            send_stall_seconds=server_config.send_stall_seconds,
        )
        await stack.enter_async_context(app.lifespan())
        listener = listen(msgspec.structs.replace(server_config, port=0))
        task = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started or task.done(), "the server's start")
        port = listener.getsockname()[1]
        running = RunningGateway(port=port, gateway=gateway, recorder=recorder, ledger=ledger, server=server, app=app)
        running.printed = printed
        running.connections = connections
        running.states = states
        running.providers = providers
        running.serve_task = task

        async def stop():
            await running.session.close()
            server.should_exit = True
            await task

        stack.push_async_callback(stop)
        return running

    return make


@pytest.fixture
def wire() -> SimpleNamespace:
    """The vocabulary of the scripts."""
    return SimpleNamespace(
        response=response,
        chunk=chunk,
        usage_chunk=usage_chunk,
        sse=sse,
        until=until,
        model_config=model_config,
        completion=COMPLETION,
        usage=USAGE,
        key=KEY,
        other_key=OTHER_KEY,
        json=msgspec.json,
        AttemptFinished=AttemptFinished,
        RequestFinished=RequestFinished,
    )
