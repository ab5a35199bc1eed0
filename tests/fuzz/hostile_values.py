"""Hostile values: the old acquaintances of every fuzzer, what a batch is made of, and a mutator of bytes."""

import json
import random
from typing import Final

import msgspec

from tests.fuzz.canaries import MODEL, PROMPT

TEXTS: Final = (
    "", " ", "\n", "\r\n", "\x00", "a\x00b", '"', "'", "\\", "\\n", '",provider="x', '"} 1\nfastapi_requests_total{path="x"} 9 ',
    "# TYPE x counter", "{}", "{{7*7}}", "${jndi:ldap://127.0.0.1/a}", "' OR 1=1 --", "../../etc/passwd", "%s%n%x", "%00", "%0d%0a",
    "null", "true", "NaN", "Infinity", "-1", "0", "1e400", "__proto__", "constructor", "other", "_OTHER", "unmatched", "le", "+Inf",
    "\ud800", "\udfff\ud800", "\ufeff", "\u202eevil", "\u200d", "é", "日本語", "🙂" * 40, "\u2028", "\x1b[31m", "a" * 513, "b" * 9_000,
    "<script>alert(1)</script>", "gpt-4", "fuzz/liar\n", "fuzz/liar ", "FUZZ/LIAR", "fuzz%2fliar", "x-trace-id: 1", "data: [DONE]\n\n",
    MODEL, f'{MODEL}",provider="x', f"{MODEL}\n{MODEL} 1", PROMPT,
)  # fmt: skip
NUMBERS: Final = (
    "0", "-0", "-1", "1", "1.5", "-1.5", "1e3", "1E400", "-1e400", "1e-400", "9" * 400, "9223372036854775807", "9223372036854775808",
    "-9223372036854775809", "18446744073709551616", "1000000000", "1000000001", "12.0", "1.0000000000000000000001", "2147483648",
)  # fmt: skip
NO_JSON: Final = (
    "NaN",
    "Infinity",
    "-Infinity",
    "0x10",
    "01",
    ".5",
    "1.",
    "+1",
    "'a'",
    "undefined",
    "nan",
    "tru",
    '"\\x"',
    '"\\ud8"',
    "[1,]",
)
STRUCTURES: Final = (
    "null", "true", "false", "{}", "[]", "[[]]", "[null]", "[{}]", '[""]', '{"":""}', '{"a":{"b":[1,{"c":null}]}}', "[" * 60 + "]" * 60,
    '[{"text":1}]', '[{"type":"text","text":"x"}]', '{"a":1,"a":2}', '"\\ud800"', '"\\u0000"', '[{"role":"user","content":null}]',
)  # fmt: skip


class Material(msgspec.Struct, frozen=True):
    """What the inputs of one batch are made of: JSON values as text, texts (lone surrogates included), and bytes."""

    values: list[str]
    texts: list[str]
    blobs: list[bytes]

    def value(self, rng: random.Random) -> str:
        """Return some JSON value as text; now and then it is none."""
        draw = rng.random()
        if draw < 0.5:
            return rng.choice(self.values)
        if draw < 0.7:
            return json.dumps(rng.choice(TEXTS))
        if draw < 0.97:
            return rng.choice(rng.choice((NUMBERS, STRUCTURES)))
        return rng.choice(NO_JSON)

    def text(self, rng: random.Random) -> str:
        """Return some text."""
        return rng.choice(TEXTS) if rng.random() < 0.5 else rng.choice(self.texts)


_TOKENS: Final = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b"\xff", b"\xc3", b"\xed\xa0\x80", b"%",
    b"\r\n\r\n", b"HTTP/1.1", b"GET ", b"0\r\n\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"\\ud800", b"1e999",
)  # fmt: skip


def mutate(rng: random.Random, data: bytes, *, most: int = 5) -> bytes:
    """Return the bytes with a few random changes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        position = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0 if changed:
                changed[position % len(changed)] ^= 1 << rng.randrange(8)
            case 1:
                changed[position:position] = rng.choice(_TOKENS)
            case 2:
                del changed[position : position + rng.randint(1, 12)]
            case 3:
                changed[position:position] = changed[position : position + rng.randint(1, 40)]
            case 4:
                changed[position : position + 1] = rng.randbytes(rng.randint(1, 3))
            case _:
                if rng.random() < 0.3:
                    del changed[position:]
    return bytes(changed)
