"""Reads environment variables by the OpenTelemetry "Environment Variable Specification".

An empty variable is unset, enum values are case-insensitive, and only `true` is true. A value that
cannot be used becomes a warning and counts as unset.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from otel.redaction import redact

MAX_MILLISECONDS: Final = 2**31 - 1
_MAX_DIGITS: Final = 10
_MAX_SHOWN_CHARS: Final = 60


class EnvironReader:
    """Reads variables and collects warnings, each line once and in reading order."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line per value that could not be used."""
        return tuple(self._warnings)

    def warn(self, name: str, problem: str, used: str) -> None:
        """Add a warning: the problem of a variable and its replacement, neither with a secret."""
        self._warnings[f"{name} {problem}; {used}"] = None

    def is_set(self, name: str) -> bool:
        """Whether the variable has a value, usable or not."""
        return bool(self._environ.get(name, "").strip())

    def text(self, name: str, *, used: str = "it is ignored") -> str | None:
        """Return the value without surrounding blanks, None where it is unset or not UTF-8."""
        value = self._environ.get(name, "").strip()
        try:
            value.encode()
        except UnicodeEncodeError:
            self.warn(name, "is not UTF-8 text", used)
            return None
        return value or None

    def flag(self, name: str) -> bool | None:
        """Return a Boolean: `true` or `false` in any case; anything else is false."""
        value = self.text(name, used="using false")
        if value is None:
            return None
        if value.lower() not in {"true", "false"}:
            self.warn(name, f"is {shown(value)}, neither true nor false", "using false")
        return value.lower() == "true"

    def choice(self, name: str, allowed: Sequence[str], *, used: str) -> str | None:
        """Return one of `allowed`, which are in lower case."""
        value = self.text(name, used=used)
        if value is None or value.lower() in allowed:
            return value and value.lower()
        self.warn(name, f"is {shown(value)}, not {' or '.join(allowed)}", used)
        return None

    def choices(self, name: str, allowed: Sequence[str], *, used: str) -> tuple[str, ...]:
        """Return those of `allowed` that a comma-separated list names, without duplicates.

        `used` is the replacement where none is left.
        """
        names = dict.fromkeys(part.strip().lower() for part in (self.text(name, used=used) or "").split(","))
        names.pop("", None)
        chosen = tuple(each for each in names if each in allowed)
        for each in names:
            if each not in allowed:
                instead = f"using {', '.join(chosen)}" if chosen else used
                self.warn(name, f"names {shown(each)}, which is not {' or '.join(allowed)}", instead)
        if "none" in chosen and len(chosen) > 1:
            chosen = tuple(each for each in chosen if each != "none")
            self.warn(name, "names none beside others", f"using {', '.join(chosen)}")
        return chosen

    def whole_number(self, name: str, *, lowest: int, highest: int, used: str, unit: str = "") -> int | None:
        """Return a whole number from `lowest` to `highest`."""
        value = self.text(name, used=used)
        if value is None:
            return None
        if value.isascii() and value.isdigit() and len(value.lstrip("0")) <= _MAX_DIGITS:
            number = int(value)
            if lowest <= number <= highest:
                return number
        self.warn(name, f"is {shown(value)}, not a whole number{unit} from {lowest} to {highest}", used)
        return None

    def milliseconds(self, name: str, default: int) -> int:
        """Return a duration; the specification has all of them in whole milliseconds."""
        found = self.whole_number(
            name, lowest=1, highest=MAX_MILLISECONDS, used=f"using {default}", unit=" of milliseconds"
        )
        return default if found is None else found


def shown(value: str) -> str:
    """Return a value for a warning: one line, bounded, without anything like a secret."""
    text = repr(redact(value))
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…'"
