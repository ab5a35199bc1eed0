"""The words and codes that providers have for success and for failure inside a response.

Input: decoded values. Output: whether they name an error. Pure.
"""

import re
from http import HTTPStatus
from typing import Final

_FAILED: Final = frozenset({"abort", "aborted", "insufficient_system_resource", "timeout", "failed"})
_ERROR: Final = "error"
_NO_ERROR: Final = re.compile(r"(?:\bno|without)[ _-]?errors?")
_WELL: Final = frozenset({"", "0", "200", "false", "none", "null"})
_WELL_WORDS: Final = re.compile(
    r"(?:(?:the |your )?(?:request|call|operation|response) )?(?:is |was |has )?"
    r"(?:ok(?:ay)?|succe(?:ss(?:ful(?:ly)?)?|eded)|no[ _-]?errors?|normal|(?:请求)?成功)[.!]?"
)
_LONGEST_WORDS: Final = 80
# What is no word about the outcome.
_LABEL: Final = re.compile(r"(?:\w*[_-])?(?:id|sid|time|timestamp|created)|\w*Id", re.ASCII)
_SUCCESS: Final = frozenset({"success", "ok"})

UNFINISHED: Final = frozenset({"null", "none", "finish_reason_unspecified"})
"""What some servers write for no reason to finish: JSON's, Python's and Gemini's. In lower case."""


def is_failure(finish_reason: str) -> bool:
    """Whether a reason to finish is a failure of the provider; `content_filter` and `length` are responses.

    So is each with the word "error" (`model_error`). vLLM and SGLang send `abort` where their engine
    stopped, and the usual end marker behind it. Cohere's are `ERROR`, `ERROR_TOXIC` and `TIMEOUT`.
    """
    reason = finish_reason.lower()
    return reason in _FAILED or (_ERROR in reason and _NO_ERROR.search(reason) is None)


def is_well(value: object) -> bool:
    """Whether a code or a word, as a number or as text, names no error."""
    if isinstance(value, str):
        words = value[: _LONGEST_WORDS + 1].strip().lower()
        return words in _WELL or _WELL_WORDS.fullmatch(words) is not None
    return not value or (value == HTTPStatus.OK and not isinstance(value, bool))


def names_no_error(error: object) -> bool:
    """Whether what stands in an error's place is none: `"OK"`, `{"code": 0, "message": "success"}`.

    An object is none where no field of it names one: beside words that explain an error a code of 0
    stands for none.
    """
    if not isinstance(error, dict):
        return is_well(error)
    fields = [(name, value) for name, value in error.items() if not _LABEL.fullmatch(name)]
    return bool(fields or not error) and all(
        is_well(value) or (value is True and name.lower() in _SUCCESS) for name, value in fields
    )
