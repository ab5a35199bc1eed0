"""The Collector's redaction is the second line behind otel/redaction.py: what one finds, the other finds."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel.redaction import REDACTED, redact
from tests.collector.redaction_rules import WORDS, collector, rule, statements


def test_every_context_has_both_rules_in_the_same_order() -> None:
    found = [rule(each) for each in statements()]
    assert len(set(found)) == 2
    assert found == found[:2] * (len(found) // 2)
    assert len(found) == 2 * 8  # resource three times, span, span event, log attributes, text bodies, structured bodies


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
