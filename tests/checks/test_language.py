import pytest

from tests.checks.language import ALLOWED, WORDS, findings


@pytest.mark.parametrize(
    "text",
    [
        "It is in the books.", "class DeliveryRig:", "make_rig(1)", "LEASH = 1", "two twins", "calls_in_hand", "calls in hand",
        "a look-up", "Time-outs end it", "roll-up", "fail-over", "read anew", "for ever", "as the guide wants", "LeanSpan", "lean_tracer",
        "a lean logger", "surprises", "no surprise", "left alone", "passed over", "made true", "a sketch of a request",
    ],
)  # fmt: skip
def test_a_word_of_the_list_is_found_in_prose_and_in_identifiers(text: str) -> None:
    assert len(list(findings("a.md", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "bookshelf",
        "trigger",
        "right",
        "origin",
        "timeout",
        "lookup",
        "a new one",
        "forever",
        "the guideline",
        "clean span",
        "in handler",
    ],
)
def test_other_words_are_not(text: str) -> None:
    assert list(findings("a.md", text)) == []


@pytest.mark.parametrize(
    "text", ["an answer", "UpstreamAnswer", "first_answer", "answered_at", "nobody waits", "ours", "_ask(route)", "ask_stores", "was_told"]
)  # fmt: skip
def test_words_of_a_conversation_are_found_in_the_product_alone(text: str) -> None:
    assert len(list(findings("app/a.py", text))) == 1
    assert list(findings("tests/a.py", text)) == []


@pytest.mark.parametrize("text", ["whole_answer_timeout", "whole_answer_seconds", "_task", "ask the operator", "hours"])
def test_names_that_users_hold_and_prose_are_not(text: str) -> None:
    assert list(findings("app/a.py", text)) == []


def test_a_finding_names_the_line_and_the_replacement() -> None:
    assert list(findings("a.py", "one\na look-up\n")) == ["a.py:2: 'look-up'; write: lookup"]


@pytest.mark.parametrize(
    "header", ["MEASURE: what it does.", "STAGE of the benchmarks: what it does.", "FAULT CHECKS: more."]
)
def test_a_heading_in_capitals_is_found(header: str) -> None:
    assert len(list(findings("a.py", f'"""{header}"""\n'))) == 1
    assert list(findings("a.py", f'"""It does {header.lower()}"""\n')) == []


def test_the_formula_of_old_headers_is_found() -> None:
    assert len(list(findings("a.py", '"""What it does.\n\nComes in: a line. Goes out: another.\n"""\n'))) == 2


def test_an_exception_has_a_reason_and_a_word_of_the_list() -> None:
    for path, reasons in ALLOWED.items():
        for word, reason in reasons.items():
            assert word in WORDS, path
            assert reason, path
