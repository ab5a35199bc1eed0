"""No client input becomes a label value: every result is in a closed set."""

from hypothesis import given
from hypothesis import strategies as st

from otel.labels import LabelBounds

BOUNDS = LabelBounds.from_routes(
    "gw",
    (("openrouter", "a/b"), ("vllm", "c")),
    paths=frozenset({"/v1/models", "/v1/models/{model}"}),
    exception_types=frozenset({"UpstreamFailedError"}),
)


@given(st.text())
def test_any_text_maps_into_the_closed_sets(text: str) -> None:
    assert BOUNDS.provider(text) in {"openrouter", "vllm", "other"}
    assert BOUNDS.model(text) in {"a/b", "c", "other"}
    assert BOUNDS.path(text) in {"/v1/models", "/v1/models/{model}", "unmatched"}
    assert BOUNDS.method(text) in {
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "CONNECT",
        "OPTIONS",
        "TRACE",
        "PATCH",
        "_OTHER",
    }


@given(st.integers())
def test_any_number_is_an_http_status(code: int) -> None:
    assert 100 <= int(BOUNDS.status_code(code)) <= 599


def test_exception_types_are_the_codes_own_or_builtin() -> None:
    assert BOUNDS.exception_type("UpstreamFailedError") == "UpstreamFailedError"
    assert BOUNDS.exception_type("KeyError") == "KeyError"
    assert BOUNDS.exception_type("print") == "other"
    assert BOUNDS.exception_type("SomebodyElses") == "other"
    assert BOUNDS.provider(None) == "other"
