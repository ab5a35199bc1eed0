"""Secrets are removed from text, and text without secrets stays unchanged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.redaction import REDACTED, RULES, STEMS, KnownSecrets, redact

SECRETS = [
    "sk-proj-abcdefghijklmnop1234",
    "gwz_" + "a1B2" * 10 + "xyz",
    "AIzaSyA1234567890abcdefgh",
    "ghp_abcdefghijklmnopqrstuvwxyz",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "token {} was refused", '{{"message":"{}"}}', "https://h/?q={}&x=1"])
def test_secrets_are_replaced_anywhere_in_a_text(secret: str, around: str) -> None:
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
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert redact(text) == text


def test_public_identifiers_stay() -> None:
    text = "key_abcdefghijklmnop asked 4bf92f3577b34da6a3ce929d0e0e4736 for task-force-of-fourteen"
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"api_key": "v"}', '{"api_key": "[redacted]"}'),
        ("{'password': 'v w'}", "{'password': '[redacted]'}"),
        ('password="v w" user=ada', 'password="[redacted]" user=ada'),
        ("api-key: v", "api-key: [redacted]"),
        ("map[Accept:[*/*] X-Api-Key:[a1b2c3d4e5f6g7]]", "map[Accept:[*/*] X-Api-Key:[[redacted]]]"),
        ('http.Header{"X-Api-Key":[]string{"a1b2c3d4e5f6"}}', 'http.Header{"X-Api-Key":[]string{"[redacted]"}}'),
        ("{'Authorization': ['Bearer abc123def456ghi']}", "{'Authorization': ['[redacted]']}"),
        (r'{"m":"{\"api_key\": [\"abcd1234567890efgh\"]}"}', r'{"m":"{\"api_key\": [\"[redacted]\"]}"}'),
        ('{"api_key": ["a1b2c3d4e5f6g7", "z9y8x7w6v5u4t3", "none"]}', '{"api_key": ["[redacted]", "none"]}'),
        ('{"api_key": ["a1b2c3d4e5f6g7", 1234567890123]}', '{"api_key": ["[redacted]", 1234567890123]}'),
        ("X-Api-Key:[]string{'a1b2c3d4e5f6g7', 'z9y8x7w6v5u4t3'}", "X-Api-Key:[]string{'[redacted]'}"),
        ("map[X-Api-Key:[a1b2c3d4e5f6g7 z9y8x7w6v5u4t3]]", "map[X-Api-Key:[[redacted]]]"),
        ("map[Authorization:[Token a1b2c3d4e5f6g7]]", "map[Authorization:[[redacted]]]"),
        ("map[Ocp-Apim-Subscription-Key:[0123456789abcdef]]", "map[Ocp-Apim-Subscription-Key:[[redacted]]]"),
        (r'{"m":"api_key:[\"abc1234567890","next1234567890":1}', r'{"m":"api_key:[\"[redacted]","next1234567890":1}'),
        (r'{"m":"{\"password\": \"line1\\nrest\"}"}', r'{"m":"{\"password\": \"[redacted]\"}"}'),
        (
            r'{"m":"{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n\"}"}',
            r'{"m":"{\"private_key\": \"[redacted]\"}"}',
        ),
        (r"{'private_key': '-----BEGIN PRIVATE KEY-----\nMIIE\n'}", "{'private_key': '[redacted]'}"),
        (
            r'{"m":"{\"pem\": \"-----BEGIN PRIVATE KEY-----\\nMIIE\"}"}',
            r'{"m":"{\"pem\": \"-----BEGIN PRIVATE KEY-----[redacted]\"}"}',
        ),
        ('{"access_token": [12345678901234]}', '{"access_token": [12345678901234]}'),
        ("Password:[none]", "Password:[none]"),
        ('{"client_secret":null,"n":1}', '{"client_secret":"[redacted]","n":1}'),
        (r'{"error":"got {\"api_key\": \"v\"}"}', r'{"error":"got {\"api_key\": \"[redacted]\"}"}'),
        ("{'x-api-key': b'abc'}", "{'x-api-key': b'[redacted]'}"),
        ("OPENAI_API_KEY=abc", "OPENAI_API_KEY=[redacted]"),
        ("GET /v1?key=abc&model=m", "GET /v1?key=[redacted]&model=m"),
        ("https://user:p@ss@host/path", "https://user:[redacted]@host/path"),
        ("redis://:pw@host/0", "redis://:[redacted]@host/0"),
        ("monitoring_token: a1B2c3D4e5F6", "monitoring_token: [redacted]"),
        ('{"token":"a1B2c3D4e5F6"}', '{"token":"[redacted]"}'),
        ("--token=a1B2c3D4e5F6 --verbose", "--token=[redacted] --verbose"),
        ("Server=h;Pwd=a1B2c3D4e5F6;Uid=x", "Server=h;Pwd=[redacted];Uid=x"),
        ("AccountKey=a1B2c3D4e5F6==;x=y", "AccountKey=[redacted];x=y"),
        ("Set-Cookie: sid=a1B2c3D4e5F6; Path=/", "Set-Cookie: [redacted]; Path=/"),
        ("[(b'authorization', b'Bearer a1B2c3D4e5F6')]", "[(b'authorization', b'[redacted]')]"),
        ("('x-api-key', 'a1B2c3D4e5F6')", "('x-api-key', '[redacted]')"),
        ("Incorrect API key provided: a1B2c3.", "Incorrect API key provided: [redacted]"),
        ("/p?X-Amz-Signature=abcdef&n=1", "/p?X-Amz-Signature=[redacted]&n=1"),
        ("/go?to=%2F%3Fapi_key%3Dabcdef&n=1", "/go?to=%2F%3Fapi_key%3D[redacted]&n=1"),
        ("xoxb-12345678901-abc", "[redacted]"),
        ("github_pat_11AAAAAAA_bbbbbbb", "[redacted]"),
        ("pplx-a1B2c3D4e5F6g7", "[redacted]"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\n\nMIIE\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----",
        ),
    ],
)
def test_secrets_are_found_in_each_notation(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens: 5, token_type=input",
        "the secretary: Ada",
        '"http://h:1","x":"a@b"',
        "field 'password': must be a string",
        '"password": field required',
        '{"required": ["password", "username"], "token": 100000000000}',
        "Unexpected token: '<', eos_token=<|endoftext|>, stop_token: 50256",
        "session: expired; cookie: missing; pwd: /srv/gateway",
        '{"error":"name the \\"password\\":","n":1}',
        '{"api_key\\"=":null}',
    ],
)
def test_what_only_resembles_a_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_known_secrets_are_found_whatever_they_look_like() -> None:
    secrets = KnownSecrets(["correct horse/battery", "tiny", "pa\"ss'word"])
    assert secrets.redact("got correct horse/battery, tiny") == "got [redacted], tiny"
    assert secrets.redact("correct%20horse%2Fbattery") == REDACTED
    assert json.loads(secrets.redact(json.dumps({"m": "pa\"ss'word"}))) == {"m": REDACTED}
    assert "horse" not in repr(secrets)


def test_long_text_is_redacted_in_linear_time() -> None:
    """A quadratic pattern would take minutes for these."""
    for piece in (
        "a",
        " ",
        "password",
        "password:",
        '\\"',
        "://",
        "api_key = ",
        "://a:",
        "'",
        "eyJ",
        "eyJ-",
        "?key=",
        "key:['a1b2c3d4e5',",
    ):
        redact(piece * 20_000)


def test_every_word_of_a_rule_contains_a_stem() -> None:
    words = {word for _, _, words in RULES for word in words}
    assert [word for word in words if not any(stem in word for stem in STEMS)] == []
