"""The Collector's redaction is the second line behind otel/redaction.py: what one finds, the other finds."""

import json
import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel.redaction import REDACTED, RULES, redact
from tests.collector.redaction_rules import WORDS, collector, rule, statements, words


def test_every_context_has_the_gateways_rules_in_the_same_order() -> None:
    found = [rule(each) for each in statements()]
    assert found[:3] == [(pattern, re.sub(r"\\(\d)", r"\\g<\1>", to)) for pattern, to, _ in RULES]
    assert found == found[:3] * (len(found) // 3)
    assert len(found) == 3 * 8  # resource three times, span, span event, log attributes, text bodies, structured bodies


TEXTS = st.lists(
    st.sampled_from(WORDS) | st.text(alphabet=string.ascii_letters + string.digits + "._-", max_size=14), max_size=14
).map("".join)


@given(TEXTS)
@example("postgresql://gateway:hunter22@db/ledger")
@example('{"api_key":"abcdef","model":"m"}')
@example("Authorization: Bearer abc.def-123")
def test_what_the_collector_lets_pass_has_nothing_left_to_redact(text: str) -> None:
    assert redact(collector(text)) == collector(text)


@given(TEXTS)
def test_the_collector_leaves_alone_what_the_gateway_leaves_alone(text: str) -> None:
    clean = redact(text)
    assert collector(clean) == clean


@pytest.mark.parametrize(
    "secret", ["sk-proj-abcdefghijklmnop1234", "gwz_" + "a1B2" * 10, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln"]
)
def test_secrets_are_replaced(secret: str) -> None:
    assert collector(f'{{"message":"token {secret}"}}') == f'{{"message":"token {REDACTED}"}}'


def test_no_text_is_skipped_that_a_rule_would_change() -> None:
    assert [words(each) for each in statements() if " where " in each] == [list(needed) for _, _, needed in RULES]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, JSON_VALUES, max_size=5), st.sampled_from([(",", ":"), (", ", ": ")]))
@example({"access-token:\n0000000000": None}, (",", ":"))
@example({"message": "token=\\x00000000000"}, (",", ":"))
@example({"message": 'pwd: "\n\té0123456789'}, (",", ":"))
@example({"api_key": ["a1b2c3d4e5f6g7", "z9y8x7w6v5u4t3", 1234567890123]}, (",", ":"))
@example({"message": "api_key:['a1b2c3d4e5f6g7", "z9y8x7w6v5u4t3": 1}, (", ", ": "))
@example({"message": "-----BEGIN PRIVATE KEY-----\nMIIE"}, (",", ":"))
def test_json_stays_json(value: dict[str, object], separators: tuple[str, str]) -> None:
    """Also where a value holds JSON, as an error that quotes a request does."""
    for text in (
        json.dumps(value, separators=separators),
        json.dumps({"message": json.dumps(value, separators=separators)}),
    ):
        assert json.loads(collector(text)) is not None
        assert collector(text) == redact(text)


@pytest.mark.parametrize("between", ["", "\n", "\r\n\t", "\f", "\x1b"])
@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_secret_after_escapes_is_found_and_its_escapes_stay(between: str, levels: int) -> None:
    text, expected = f"token:{between}0123456789abcdef", f"token:{between}{REDACTED}"
    for _ in range(levels):
        text, expected = json.dumps(text), json.dumps(expected)
    if not levels and between == "\x1b":
        expected = text  # a control character is no separator; in JSON it is an escape
    assert redact(text) == collector(text) == expected
