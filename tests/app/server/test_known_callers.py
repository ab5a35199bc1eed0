"""Which requests are recognized by their first bytes, and how many callers are remembered."""

import pytest

from app.server.known_callers import KnownCallers

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"


@pytest.fixture
def callers():
    known = KnownCallers(2)
    known.remember(b"Bearer one", "1")
    return known


@pytest.mark.parametrize(
    "fields", [b"authorization: Bearer one\r\n", b"AUTHORIZATION:Bearer one \t\r\nx: y\r\n", b"x: y\nAuthorization:\t Bearer one\n"]
)  # fmt: skip
def test_a_caller_is_known_by_the_value_of_its_field(callers, fields):
    assert callers.key_id_of(HEAD + fields + b"\r\n{}") == "1"


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"authorization: Bearer two\r\n\r\n",
        b"authorization: Bearer one",  # more of it may follow
        b"x-authorization: Bearer one\r\n\r\n",
        b"\r\nauthorization: Bearer one\r\n",  # of the body, or of another request
        b"authorization: Bearer two\r\nauthorization: Bearer one\r\n\r\n",
    ],
)
def test_nobody_else_is(callers, rest):
    assert callers.key_id_of(HEAD + rest) is None


def test_the_callers_of_last_are_remembered(callers):
    callers.remember(b"Bearer two", "2")
    callers.remember(b"Bearer one", "1")
    callers.remember(b"Bearer three", "3")
    found = [
        callers.key_id_of(HEAD + b"authorization: Bearer " + name + b"\r\n") for name in (b"one", b"two", b"three")
    ]
    assert found == ["1", None, "3"]
