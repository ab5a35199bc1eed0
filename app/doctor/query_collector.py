"""Reads the Collector's own metrics and tests whether its OTLP endpoint accepts an export.

The export is empty: an endpoint that accepts it has a pipeline for the signal, and stores nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus

import msgspec

from app.doctor.facts import OtlpResponse
from app.doctor.scrape import TEXT_FORMAT, Scrape, parse_scrape
from app.doctor.settings import SIGNALS
from app.doctor.web import NoResponse, Web
from otel.config.otlp import OtlpConfig, Signal
from otel.delivery.transport.sender import Accepted, Sender

MakeSender = Callable[[OtlpConfig], Sender]


async def query_collector_metrics(web: Web, url: str) -> Scrape | None:
    """Read the Collector's own metrics; None where they are not served."""
    if not url:
        return None
    reply = await web.get(f"{url}/metrics", headers={"accept": TEXT_FORMAT})
    return None if isinstance(reply, NoResponse) or reply.status != HTTPStatus.OK else parse_scrape(reply.text)


async def query_otlp(
    otlp: Mapping[Signal, OtlpConfig], make_sender: MakeSender, timeout_seconds: float
) -> tuple[dict[Signal, OtlpResponse], bool]:
    """Export nothing of each signal; also return whether the endpoint refuses exports without a token."""
    if not otlp:
        return {}, False
    responses = await asyncio.gather(*(_export(otlp[signal], make_sender, timeout_seconds) for signal in SIGNALS))
    by_signal = dict(zip(SIGNALS, responses, strict=True))
    if any(response.needs_token for response in responses):
        return by_signal, True
    if not otlp["metrics"].headers or not by_signal["metrics"].accepted:
        return by_signal, False
    bare = await _export(msgspec.structs.replace(otlp["metrics"], headers=()), make_sender, timeout_seconds)
    return by_signal, bare.needs_token


async def _export(config: OtlpConfig, make_sender: MakeSender, timeout_seconds: float) -> OtlpResponse:
    def send() -> OtlpResponse:
        sender = make_sender(config)
        try:
            outcome = sender.send(sender.pack(b""), timeout_seconds)
        finally:
            sender.close()
        if isinstance(outcome, Accepted):
            return OtlpResponse(address=config.address, accepted=True)
        return OtlpResponse(address=config.address, accepted=False, reason=outcome.reason)

    return await asyncio.to_thread(send)
