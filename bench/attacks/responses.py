"""Attacks with one key, by the responses of its provider and by how they are read."""

import itertools
from collections.abc import Sequence

from bench.attacks.attack import Attack
from bench.attacks.calls import EMBEDDINGS, call, chat
from bench.attacks.target import Target, flood, hold, leave, sip


async def _read(target: Target, connections: int, models: Sequence[str], *, stream: bool = False) -> None:
    requests = itertools.cycle([call(target, chat(model, stream=stream)) for model in models])
    await flood(target, connections, lambda: next(requests))


async def small_values(target: Target) -> None:
    await _read(target, 8, ("small-lists", "small-objects"))


async def small_choices(target: Target) -> None:
    await _read(target, 8, ("small-choices",))


async def below_offload(target: Target) -> None:
    await _read(target, 64, ("below-offload",))


async def surrogates(target: Target) -> None:
    await _read(target, 6, ("surrogates", "few-surrogates"))


async def large_vectors(target: Target) -> None:
    request = call(target, b'{"model":"large-vectors","input":"a"}', path=EMBEDDINGS)
    await flood(target, 6, lambda: request)


async def tiny_chunks(target: Target) -> None:
    await _read(target, 8, ("tiny-chunks",))


async def gzip_bombs(target: Target) -> None:
    await _read(target, 8, ("gzip-bomb", "gzip-error-bomb"))


async def large_events(target: Target) -> None:
    await _read(target, 8, ("large-events",), stream=True)


async def many_values(target: Target) -> None:
    await _read(target, 8, ("many-values",), stream=True)


async def lines(target: Target) -> None:
    await _read(target, 16, ("carriage-returns", "line-feeds", "comments", "tiny-events"), stream=True)


async def endless_events(target: Target) -> None:
    await _read(target, 8, ("endless-event",), stream=True)


async def stream_bombs(target: Target) -> None:
    await _read(target, 8, ("gzip-stream-bomb",), stream=True)


async def endless_streams(target: Target) -> None:
    await _read(target, 32, ("endless-stream",), stream=True)


async def kept_state(target: Target) -> None:
    await _read(target, 16, ("tool-calls", "choice-indexes", "usage-fields"), stream=True)


async def long_indexes(target: Target) -> None:
    await _read(target, 16, ("long-indexes",), stream=True)


async def interim(target: Target) -> None:
    await _read(target, 32, ("interim", "endless-head"))


async def large_errors(target: Target) -> None:
    await _read(target, 16, ("error-large",))


async def refusals(target: Target) -> None:
    await _read(target, 100, ("refuses-400", "refuses-404", "refuses-429", "refuses-503"))


async def streamed_refusals(target: Target) -> None:
    await _read(target, 100, ("refuses-400", "refuses-404", "refuses-429", "refuses-503"), stream=True)


async def sipped_responses(target: Target) -> None:
    request = call(target, chat("large-text"))
    await sip(target, 12, lambda: request)


async def unread_responses(target: Target) -> None:
    request = call(target, chat("large-text"))
    await hold(target, 200, lambda: request, receive_bytes=4_096)


async def unread_middling(target: Target) -> None:
    request = call(target, chat("below-offload"))
    await hold(target, 1_000, lambda: request, receive_bytes=4_096)


async def sipped_streams(target: Target) -> None:
    request = call(target, chat("endless-stream", stream=True))
    await sip(target, 400, lambda: request)


async def unread_events(target: Target) -> None:
    request = call(target, chat("large-events", stream=True))
    await hold(target, 200, lambda: request, receive_bytes=4_096)


async def left_streams(target: Target) -> None:
    request = call(target, chat("endless-stream", stream=True))
    await leave(target, 200, lambda: request, after_seconds=0.05)


async def left_responses(target: Target) -> None:
    request = call(target, chat("large-text"))
    await leave(target, 64, lambda: request, after_seconds=0.1)


RESPONSES = (
    Attack("small-values", "one key", "responses of 60 MB of small lists and objects", small_values),
    Attack("small-choices", "one key", "responses of 60 MB of small choices", small_choices),
    Attack("below-child", "one key", "responses of 255 KB of small choices, just read at once", below_offload),
    Attack("surrogates", "one key", "responses of 4 and 20 MB of lone surrogates", surrogates),
    Attack("large-vectors", "one key", "responses of 50 MB of numbers", large_vectors),
    Attack("response-chunks", "one key", "responses in chunks of a byte", tiny_chunks),
    Attack("gzip-bombs", "one key", "compressed responses and errors of 1 GB", gzip_bombs),
    Attack("large-events", "one key", "streams of events of 8 MB", large_events),
    Attack("many-values", "one key", "streams of events of 99 000 values", many_values),
    Attack("lines", "one key", "streams of CR, LF, comments, empty events", lines),
    Attack("endless-event", "one key", "an event of lines without end", endless_events),
    Attack("stream-bombs", "one key", "compressed streams without end", stream_bombs),
    Attack("endless-streams", "one key", "32 streams as fast as they come", endless_streams),
    Attack(
        "kept-state", "one key", "streams whose every chunk is a new choice, call of a tool, field of usage", kept_state
    ),
    Attack("long-indexes", "one key", "streams whose choices have indexes of 4 KB", long_indexes),
    Attack("interim", "one key", "interim responses and heads without end", interim),
    Attack("large-errors", "one key", "errors of 5 MB", large_errors),
    Attack("refusals", "one key", "400, 404, 429, 503 on 100 connections", refusals),
    Attack("stream-refusals", "one key", "the same for streams", streamed_refusals),
    Attack("sipped", "one key", "12 responses of 20 MB, read slowly", sipped_responses),
    Attack("unread", "one key", "200 responses of 20 MB, unread", unread_responses),
    Attack("unread-middling", "one key", "1 000 responses of 255 KB, unread", unread_middling),
    Attack("sipped-streams", "one key", "400 endless streams, read slowly", sipped_streams),
    Attack("unread-events", "one key", "200 streams of events of 8 MB, unread", unread_events),
    Attack("left-streams", "one key", "200 streams at a time, left", left_streams),
    Attack("left-responses", "one key", "64 responses of 20 MB at a time, left", left_responses),
)
