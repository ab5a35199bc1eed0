"""Reads the query string: each parameter once, by its type; what is unknown or unreadable is a 400 that names it."""

import math
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import parse_qsl

from console.http.responses import ProblemError
from console.query.paging import MAX_PAGE_ROWS, Cursor, parse_cursor
from console.query.request_filter import Range
from console.query.times import floor_to_ms, to_ns

T = TypeVar("T")

MAX_QUERY_BYTES: Final = 8_192
MAX_PARAMETERS: Final = 100
DEFAULT_LIMIT: Final = 50
_MAX_SECONDS: Final = 2.0**33
_TRACE_ID_DIGITS: Final = 32
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class Parameters:
    """The parameters of one request. `finish` refuses those that were not read."""

    def __init__(self, query: bytes) -> None:
        if len(query) > MAX_QUERY_BYTES:
            raise bad("the query is longer than 8 KiB")
        try:
            pairs = parse_qsl(
                query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict"
            )
        except ValueError:
            raise bad("the query is not percent-encoded UTF-8, or has too many parameters") from None
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)
        self._read: set[str] = set()

    def finish(self) -> None:
        """Raise 400 where a parameter was not read."""
        unknown = sorted(self._values.keys() - self._read)
        if unknown:
            raise bad(f"unknown parameter {unknown[0][:100]!r}")

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the values of a repeatable parameter."""
        self._read.add(name)
        return tuple(self._values.get(name, ()))

    def text(self, name: str) -> str | None:
        """Return the value of a parameter; None without one."""
        values = self.texts(name)
        if len(values) > 1:
            raise bad(f"{name} may be given once")
        return values[0] if values else None

    def number(self, name: str) -> float | None:
        """Return a finite number."""
        text = self.text(name)
        if text is None:
            return None
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise bad(f"{name}={text[:100]!r} is not a number")
        return found

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number within bounds."""
        found = self.number(name)
        if found is None:
            return default
        if not least <= found <= most or found != int(found):
            raise bad(f"{name} takes a whole number from {least} to {most}")
        return int(found)

    def flag(self, name: str) -> bool | None:
        """Return true or false."""
        text = self.text(name)
        if text is not None and text not in _BOOLEANS:
            raise bad(f"{name} takes true or false")
        return None if text is None else _BOOLEANS[text]

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """Return one of the choices."""
        self.text(name)
        return next(iter(self.choices(name, choices)), None)

    def choices(self, name: str, choices: Collection[str]) -> tuple[str, ...]:
        """Return the values of a repeatable parameter, each of which is one of the choices."""
        texts = self.texts(name)
        if not set(texts).issubset(choices):
            raise bad(f"{name} takes one of {', '.join(choices)}")
        return texts

    def range(self, name: str) -> Range:
        """Return the bounds `name_min` and `name_max`."""
        return Range(self.number(f"{name}_min"), self.number(f"{name}_max"))

    def trace_ids(self) -> tuple[bytes, ...]:
        """Return the trace ids."""
        return tuple(trace_id(text) for text in self.texts("trace_id"))

    def window(self, now_ns: int, default_seconds: float) -> tuple[int, int]:
        """Return the window of `from`, `to` and `range`, in whole milliseconds."""
        begin, end, length = (self._seconds(name) for name in ("from", "to", "range"))
        if begin is not None and length is not None:
            raise bad("from and range exclude each other")
        # The end is exclusive: what arrived now belongs to a window that ends now.
        end_ns = now_ns + 1_000_000 if end is None else to_ns(end)
        begin_ns = end_ns - to_ns(default_seconds if length is None else length) if begin is None else to_ns(begin)
        if begin_ns >= end_ns:
            raise bad("from must be before to")
        return max(0, floor_to_ms(begin_ns)), floor_to_ms(end_ns)

    def page(self) -> tuple[Cursor | None, int]:
        """Return the cursor and the limit of a page."""
        text = self.text("cursor")
        after = None if text is None else readable(parse_cursor, text)
        return after, self.whole("limit", DEFAULT_LIMIT, least=1, most=MAX_PAGE_ROWS)

    def _seconds(self, name: str) -> float | None:
        found = self.number(name)
        if found is not None and not 0 <= found <= _MAX_SECONDS:
            raise bad(f"{name} takes seconds, from 0 to {_MAX_SECONDS:.0f}")
        return found


def bad(detail: str) -> ProblemError:
    """Return a 400."""
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)


def readable(read: Callable[[str], T], text: str) -> T:
    """Return what a function reads; its ValueError becomes a 400."""
    try:
        return read(text)
    except ValueError as error:
        raise bad(str(error)[:500]) from None


def trace_id(text: str) -> bytes:
    """Return a trace id of 32 hex digits, in any case and with blanks around; raises 400 for anything else."""
    digits = text.strip().lower()
    if len(digits) != _TRACE_ID_DIGITS or not all(digit in "0123456789abcdef" for digit in digits):
        raise bad("a trace id has 32 hex digits")
    return bytes.fromhex(digits)
