"""Secrets leave no text, and text without secrets is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.redaction import REDACTED, redact

SECRETS = [
    "sk-proj-abcdefghijklmnop1234",
    "gwz_" + "a1B2" * 10 + "xyz",
    "AIzaSyA1234567890abcdefgh",
    "ghp_abcdefghijklmnopqrstuvwxyz",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "token {} was refused", '{{"message":"{}"}}', "https://h/?q={}&x=1"])
def test_secrets_are_replaced_wherever_they_stand(secret: str, around: str) -> None:
    redacted = redact(around.format(secret))
    assert secret not in redacted
    assert REDACTED in redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: [redacted]"),
        ("authorization=abcdefgh next", "authorization=[redacted] next"),
        ('{"api_key":"abcdef","model":"m"}', '{"api_key":"[redacted]","model":"m"}'),
        ("postgresql://gateway:hunter22@db/ledger", "postgresql://gateway:[redacted]@db/ledger"),
        ("sent bearer abcdefgh12345 there", "sent bearer [redacted] there"),
    ],
)
def test_the_introduction_of_a_secret_stays_readable(text: str, expected: str) -> None:
    assert redact(text) == expected


@given(st.text(alphabet="abcdefghij klmnop.,:0123456789", max_size=200))
def test_plain_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_public_identifiers_stay() -> None:
    text = "key_abcdefghijklmnop asked 4bf92f3577b34da6a3ce929d0e0e4736 for task-force-of-fourteen"
    assert redact(text) == text
