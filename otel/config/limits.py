"""The limits of attributes, events and links, `OTEL_*_LIMIT`.

The SDK reads these variables itself where it gets no value, and raises for one that it cannot use.
It therefore gets all of them from here.
"""

from typing import Final

import msgspec
from opentelemetry.sdk._logs import LogRecordLimits
from opentelemetry.sdk.trace import SpanLimits

from otel.config.values import EnvironReader

_DEFAULT_COUNT: Final = 128
_MAX_LIMIT: Final = 2**31 - 1


class AttributeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one span or log record may hold; a length of None is unlimited."""

    attribute_count: int = _DEFAULT_COUNT
    attribute_length: int | None = None
    span_attribute_count: int = _DEFAULT_COUNT
    span_attribute_length: int | None = None
    span_event_count: int = _DEFAULT_COUNT
    span_link_count: int = _DEFAULT_COUNT
    event_attribute_count: int = _DEFAULT_COUNT
    link_attribute_count: int = _DEFAULT_COUNT
    log_attribute_count: int = _DEFAULT_COUNT
    log_attribute_length: int | None = None

    def for_spans(self) -> SpanLimits:
        """Return the SDK's limits of spans."""
        return SpanLimits(
            max_attributes=self.attribute_count,
            max_events=self.span_event_count,
            max_links=self.span_link_count,
            max_span_attributes=self.span_attribute_count,
            max_event_attributes=self.event_attribute_count,
            max_link_attributes=self.link_attribute_count,
            max_attribute_length=_or_unset(self.attribute_length),
            max_span_attribute_length=_or_unset(self.span_attribute_length),
        )

    def for_log_records(self) -> LogRecordLimits:
        """Return the SDK's limits of log records."""
        return LogRecordLimits(
            max_attributes=self.attribute_count,
            max_attribute_length=_or_unset(self.attribute_length),
            max_log_record_attributes=self.log_attribute_count,
            max_log_record_attribute_length=_or_unset(self.log_attribute_length),
        )


def read_limits(reader: EnvironReader) -> AttributeLimits:
    """Read the limits; a general limit applies where a specific one is not set."""

    def read(name: str, fallback: int | None) -> int | None:
        used = f"using {'no limit' if fallback is None else fallback}"
        found = reader.whole_number(f"OTEL_{name}_LIMIT", lowest=0, highest=_MAX_LIMIT, used=used)
        return fallback if found is None else found

    def count(name: str, fallback: int = _DEFAULT_COUNT) -> int:
        found = read(name, fallback)
        return fallback if found is None else found

    attributes = count("ATTRIBUTE_COUNT")
    length = read("ATTRIBUTE_VALUE_LENGTH", None)
    return AttributeLimits(
        attribute_count=attributes,
        attribute_length=length,
        span_attribute_count=count("SPAN_ATTRIBUTE_COUNT", attributes),
        span_attribute_length=read("SPAN_ATTRIBUTE_VALUE_LENGTH", length),
        span_event_count=count("SPAN_EVENT_COUNT"),
        span_link_count=count("SPAN_LINK_COUNT"),
        event_attribute_count=count("EVENT_ATTRIBUTE_COUNT", attributes),
        link_attribute_count=count("LINK_ATTRIBUTE_COUNT", attributes),
        log_attribute_count=count("LOGRECORD_ATTRIBUTE_COUNT", attributes),
        log_attribute_length=read("LOGRECORD_ATTRIBUTE_VALUE_LENGTH", length),
    )


def _or_unset(length: int | None) -> int:
    return SpanLimits.UNSET if length is None else length
