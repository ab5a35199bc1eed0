"""The exception event of a span, by the semantic conventions for exceptions on spans."""

import traceback
from collections.abc import Mapping


def exception_attributes(exception: BaseException, *, escaped: bool) -> Mapping[str, str]:
    """Return the attributes of the event."""
    kind = type(exception)
    module = kind.__module__
    return {
        "exception.type": kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}",
        "exception.message": text_of(exception),
        "exception.stacktrace": "".join(traceback.format_exception(exception)),
        "exception.escaped": str(escaped),
    }


def text_of(exception: BaseException) -> str:
    """Return the text of an exception, even where `str()` of it raises."""
    try:
        return str(exception)
    except Exception as error:  # noqa: BLE001  a `__str__` may raise anything
        return f"<str() raised {type(error).__name__}>"
