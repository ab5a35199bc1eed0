"""Produces the telemetry of a busy gateway without the gateway, to measure the servers behind it on the same two cores.

The gateway's recorder and delivery make, per request, a server span, a client span, a request log line and every
measurement of a call. There is no HTTP request and no provider.
"""

import asyncio
import random
import time

from otel.config.environ import telemetry_config_from_environ
from otel.delivery import DeliveryReport
from otel.events import (
    AttemptFinished,
    AttemptStarted,
    CacheLookedUp,
    CallerIdentified,
    CallFinished,
    QueryFinished,
    RequestFinished,
    RequestReceived,
)
from otel.events.usage import Usage
from otel.labels import LabelBounds
from otel.pipeline import PipelineSettings, build_pipeline

PROVIDERS = ("openrouter", "openai", "anthropic", "vllm")
MODELS = tuple(f"vendor/model-{number}" for number in range(5))
PATH = "/v1/chat/completions"
_TICK_SECONDS = 0.02
_SHUTDOWN_SECONDS = 20.0


class ServerLoad:
    """Records requests at a steady rate; `sent` counts them. For one event loop."""

    def __init__(self, endpoint: str, rng: random.Random) -> None:
        routes = tuple((provider, model) for provider in PROVIDERS for model in MODELS)
        self.sent = 0
        self._rng = rng
        self._telemetry = build_pipeline(
            telemetry_config_from_environ({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}),
            PipelineSettings(
                bounds=LabelBounds.from_routes("gatewayz", routes, paths=frozenset({PATH})),
                version="bench",
                instance_id=f"bench-{rng.getrandbits(32):08x}",
                clock=time.monotonic,
                unix_ns=time.time_ns,
                rng=rng,
            ),
        )
        self._telemetry.start()

    async def run(self, per_second: float, seconds: float) -> None:
        """Record at this rate for so long; what a tick is late is made up for in the next."""
        began = time.monotonic()
        first = self.sent
        while (passed := time.monotonic() - began) < seconds:
            while self.sent - first < passed * per_second:
                self._request()
            await asyncio.sleep(_TICK_SECONDS)

    def end(self) -> DeliveryReport:
        """Push what is left; return what was lost."""
        return self._telemetry.shutdown(_SHUTDOWN_SECONDS)

    def _request(self) -> None:
        """Record one call: one in twenty fails at its only provider, a third streams."""
        rng = self._rng
        provider, model = rng.choice(PROVIDERS), rng.choice(MODELS)
        seconds, fails, stream = rng.lognormvariate(0.0, 0.7), rng.random() < 0.05, rng.random() < 0.33
        usage = Usage(
            input_tokens=rng.randrange(20, 2_000), output_tokens=rng.randrange(5, 500), cost_nanousd=1_500_000
        )
        request = self._telemetry.recorder.start_request(RequestReceived(method="POST", path=PATH))
        request.record(CallerIdentified(key_id=f"key-{rng.randrange(50)}", plan="free"))
        request.record(CacheLookedUp(cache="api_key", hit=True))
        attempt = request.start_attempt(
            AttemptStarted(
                provider=provider,
                model=model,
                upstream_model=model,
                operation="chat",
                stream=stream,
                number=1,
                server_address="api.example.com",
                server_port=443,
            )
        )
        attempt.finish(
            AttemptFinished(
                status="error" if fails else "success",
                duration_seconds=seconds,
                error_kind="upstream_5xx" if fails else None,
                http_status=503 if fails else 200,
                response_seconds=seconds / 2,
                usage=Usage() if fails else usage,
                response_id=None if fails else f"chatcmpl-{rng.getrandbits(64):016x}",
                response_model=None if fails else model,
                finish_reason=None if fails else "stop",
            )
        )
        request.record(
            CallFinished(
                operation="chat",
                model=model,
                provider=provider,
                status="error" if fails else "success",
                stream=stream,
                attempts=1,
                duration_seconds=seconds,
                error_kind="upstream_5xx" if fails else None,
                usage=Usage() if fails else usage,
            )
        )
        self._telemetry.recorder.record(QueryFinished(operation="insert", duration_seconds=0.001))
        request.finish(
            RequestFinished(
                status_code=502 if fails else 200,
                duration_seconds=seconds,
                outcome="error" if fails else "ok",
                response_bytes=1_000,
            )
        )
        self.sent += 1
