"""Attacks with one key, by the bodies of requests."""

import itertools
import json

from bench.attacks.answers import gzip_bomb
from bench.attacks.attack import Attack
from bench.attacks.heads import CHAT
from bench.attacks.target import Target, at_once, burst, flood, hold, leave, post

EMBEDDINGS = "/v1/embeddings"
_BODY_BYTES = 10_000_000
_MESSAGES = '[{"role":"user","content":"hello"}]'


def chat(model: str, messages: str = _MESSAGES, *, stream: bool = False, more: str = "") -> bytes:
    """Return the body of a chat."""
    streamed = ',"stream":true' if stream else ""
    return f'{{"model":"{model}","messages":{messages}{streamed}{more}}}'.encode()


def call(target: Target, body: bytes, *, path: str = CHAT, headers: tuple[str, ...] = ()) -> bytes:
    """Return a request of the attacker's key."""
    return post(path, body, key=target.key, headers=headers)


def _list_of(item: str, total_bytes: int = _BODY_BYTES) -> str:
    return f"[{','.join([item] * (total_bytes // (len(item) + 1) - 100))}]"


async def slow_bodies(target: Target) -> None:
    beginning = post(CHAT, b"{", key=target.key, declared_bytes=1_000)
    await hold(target, 1_000, lambda: beginning, drip=b" ")


async def unfinished(target: Target) -> None:
    whole = chat("plain", _list_of("{}"))
    beginning = post(CHAT, whole[:-1], key=target.key, declared_bytes=len(whole))
    await hold(target, 100, lambda: beginning)


async def refused_429(target: Target) -> None:
    request = post(CHAT, chat("plain", _list_of("{}")), key=target.limited_key)
    await flood(target, 8, lambda: request)


async def refused_404(target: Target) -> None:
    request = call(target, chat("nobody", _list_of("{}")))
    await flood(target, 8, lambda: request)


async def values(target: Target) -> None:
    kinds = [
        chat("no-usage", _list_of("{}")),
        chat("no-usage", _list_of('{"role":"user","content":"a"}')),
        chat("plain", more=f',"tools":{_list_of("[]")}'),
        chat("cached", more=f',"temperature":0,"x":{_list_of("0.5", 9_900_000)}'),
        chat("cached", more=f',"temperature":0,"x":{_list_of("9" * 4_300)}'),
        chat("plain", more=',"x":' + "[" * 190 + "]" * 190),
        chat("plain", more=',"x":' + "[" * 100_000 + "]" * 100_000),
        chat("plain", more="," + ",".join(f'"f{n}":{n}' for n in range(600_000))),
    ]
    requests = itertools.cycle([call(target, body) for body in kinds])
    await flood(target, 8, lambda: next(requests))


async def texts(target: Target) -> None:
    escapes = (r"\ud83d ", r"\u00e4", "ä", r"\"", "\U0001f600")
    kinds = [
        chat("no-usage", f'[{{"role":"user","content":"{each * (9_000_000 // len(each.encode()))}"}}]')
        for each in escapes
    ]
    requests = itertools.cycle([call(target, body) for body in kinds])
    await flood(target, 8, lambda: next(requests))


async def below_offload(target: Target) -> None:
    kinds = [chat("no-usage", _list_of(each, 255_000)) for each in ("{}", '{"role":"user","content":"a"}', "[]", '""')]
    kinds += [
        chat("cached", more=f',"temperature":0,"x":{_list_of(each, 250_000)}')
        for each in ("{}", "0.5", "[[]]", '{"a":1}')
    ]
    requests = itertools.cycle([call(target, body) for body in kinds])
    await flood(target, 64, lambda: next(requests))


async def below_values(target: Target) -> None:
    many = ",".join(['{"role":"user","content":"' + "a" * 500 + '"}'] * 6_000)
    escaped, surrogates, accents = r"\u0061" * 650_000, r"\ud83d " * 550_000, r"\u00e4" * 650_000
    kinds = [
        chat("no-usage", f"[{many}]"),
        chat("cached", f'[{{"role":"user","content":"{escaped}"}}]', more=',"temperature":0'),
        chat("no-usage", f'[{{"role":"user","content":"{surrogates}"}}]'),
        chat("no-usage", f'[{{"role":"user","content":"{accents}"}}]'),
        chat("plain", more=',"x":' + "9" * 3_900_000),
        chat("cached", more=',"temperature":0,"x":' + "1" + "0" * 3_900_000),
    ]
    requests = itertools.cycle([call(target, body) for body in kinds])
    await flood(target, 16, lambda: next(requests))


async def bombs(target: Target) -> None:
    whole = gzip_bomb(b"[]," * 1_000, 200_000_000)
    fits = gzip_bomb(b" " * 1_000, 10_000_000)
    twice = gzip_bomb(gzip_bomb(b" " * 1_000, 9_000_000) + b"\0" * 9_000_000, 9_000_000)
    kinds = itertools.cycle(((whole, "gzip"), (fits, "gzip"), (whole, "zstd"), (whole, "br"), (twice, "gzip, gzip")))

    def request() -> bytes:
        body, coding = next(kinds)
        return call(target, body, headers=(f"content-encoding: {coding}",))

    await flood(target, 16, request)


async def large_inputs(target: Target) -> None:
    kinds = (
        f'{{"model":"vectors","input":{_list_of("1")}}}',
        f'{{"model":"vectors","input":{_list_of("[1,2]")}}}',
        json.dumps({"model": "vectors", "input": "word " * 1_900_000}),
        f'{{"model":"vectors","input":{_list_of(chr(34) * 2)}}}',
    )
    requests = itertools.cycle([call(target, body.encode(), path=EMBEDDINGS) for body in kinds])
    await flood(target, 8, lambda: next(requests))


async def calls_500(target: Target) -> None:
    request = call(target, chat("plain"))
    await flood(target, 500, lambda: request)


async def invalid(target: Target) -> None:
    kinds = (b"{", b"[]", b'{"model":1}', chat("nobody"), chat("plain", "{}"), b"\xff", chat("vectors"))
    requests = itertools.cycle([call(target, body) for body in kinds])
    await flood(target, 100, lambda: next(requests))


async def limited(target: Target) -> None:
    request = post(CHAT, chat("plain"), key=target.limited_key)
    await flood(target, 100, lambda: request)


async def distinct(target: Target) -> None:
    def request() -> bytes:
        text = f"{next(target.numbers)} " + "word " * 4_000
        return call(target, chat("cached", f'[{{"role":"user","content":"{text}"}}]', more=',"temperature":0'))

    await flood(target, 64, request)


async def models(target: Target) -> None:
    def request() -> bytes:
        return call(target, chat(f"{next(target.numbers)}" + "m" * 100_000))

    await flood(target, 32, request)


async def leave_silent(target: Target) -> None:
    await leave(
        target, 400, lambda: call(target, chat("silent", stream=bool(target.random.getrandbits(1)))), after_seconds=0.02
    )


async def silent(target: Target) -> None:
    request = call(target, chat("silent", more=f',"x":"{"x" * 100_000}"'))
    await hold(target, 1_000, lambda: request)


async def reset_bodies(target: Target) -> None:
    request = call(target, chat("plain", _list_of("{}")))
    await burst(target, 32, lambda: request, stay_seconds=0.15)


async def pipelined_calls(target: Target) -> None:
    requests = call(target, chat("plain")) * 200

    async def act() -> None:
        async with target.connection() as connection:
            await connection.send(requests)
            for _ in range(200):
                await connection.read_response()

    await at_once(target, 100, act)


CALLS = (
    Attack("slow-1000", "one key", "1 000 bodies that come slowly", slow_bodies),
    Attack("unfinished", "one key", "100 bodies of 10 MB without their last byte", unfinished),
    Attack("refused-429", "one key", "10 MB of lists, over the limit of the key", refused_429),
    Attack("refused-404", "one key", "10 MB of lists, for a model that is not there", refused_404),
    Attack("values", "one key", "10 MB of objects, lists, decimals, integers of 4 300 digits, deep nesting", values),
    Attack("texts", "one key", "9 MB of escapes, lone surrogates, two and four bytes", texts),
    Attack("below-offload", "one key", "255 KB of small values, just read at once, 64 connections", below_offload),
    Attack("below-values", "one key", "4 MB of few values, just read at once", below_values),
    Attack("request-bombs", "one key", "compressed bodies of 10 and 200 MB, once and twice", bombs),
    Attack("large-inputs", "one key", "embeddings of 10 MB of tokens, lists, text", large_inputs),
    Attack("calls-500", "one key", "500 calls at once", calls_500),
    Attack("invalid", "one key", "bodies that are refused, of seven kinds", invalid),
    Attack("limited", "one key", "100 connections over the limit of the key", limited),
    Attack("distinct", "one key", "20 KB of different prompts to a model with a cache", distinct),
    Attack("model-names", "one key", "names of models of 100 KB, all different", models),
    Attack("leave-silent", "one key", "calls that leave before the first content", leave_silent),
    Attack("silent", "one key", "1 000 calls of 100 KB to a provider that does not respond", silent),
    Attack("reset-bodies", "one key", "bodies of 10 MB that are cut", reset_bodies),
    Attack("pipelined-calls", "one key", "200 calls at once on each of 100 connections", pipelined_calls),
)
