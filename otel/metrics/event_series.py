"""The series that events of one kind with the same labels change, for many such events at once."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from opentelemetry.context import Context

from otel.metrics.pending import Measured

Labels: TypeAlias = Mapping[str, str]
Find: TypeAlias = Callable[[str, Any], Any]
"""Returns the series of a family with these labels; raises KeyError where there is no such family."""

Columns: TypeAlias = Sequence[Sequence[Any]]
"""For each series the values of all events."""

_VALUES: Final = itemgetter(1)
_SPAN: Final = itemgetter(4)


class EventSeries:
    """`counted` change by a fixed amount with each event; `valued` by the event's values, in their order.

    A value None is not recorded. A series is looked up with its first value: an application may lack
    families whose values it never has. `measure` makes the values of the series of those that the
    events have, for many events at once. Used under the lock of the series.
    """

    __slots__ = ("_counted", "_find", "_measure", "_valued")

    def __init__(
        self,
        find: Find,
        counted: Sequence[tuple[str, Labels, int]] = (),
        valued: Sequence[tuple[str, Labels]] = (),
        measure: Callable[[Columns], Columns] = tuple,
    ) -> None:
        self._find = find
        self._measure = measure
        self._counted: list[tuple[Any, int]] = [(find(name, labels), amount) for name, labels, amount in counted]
        self._valued: list[Any] = list(valued)

    def record(self, values: Sequence[float | None], context: Context | None) -> None:
        """Record one event at once."""
        for series, amount in self._counted:
            series.record(amount, context if amount > 0 else None)
        for position, column in enumerate(self._measure([(each,) for each in values])):
            for value in column:
                if value is not None:
                    self._series(position).record(value, context)

    def add_up(self, events: list[Measured]) -> None:
        """Add the values of these events, which are of this kind; raises the first error after the last value."""
        failed: Exception | None = None
        for series, amount in self._counted:
            try:
                series.count(amount, events)
            except Exception as error:  # noqa: BLE001  raised below: one value must not cost the others
                failed = failed or error
        are_sampled = all(map(_SPAN, events))  # a span's context is never false
        try:
            columns = self._measure(tuple(zip(*map(_VALUES, events), strict=True)))
        except Exception as error:  # noqa: BLE001  as above
            columns, failed = self._measure_each(events), failed or error
        for position, values in enumerate(columns):
            try:
                # Comparing a number with None costs more than adding it.
                if values and (values[0] is not None or values.count(None) != len(values)):
                    self._series(position).record_each(values, events, are_sampled=are_sampled)
            except Exception as error:  # noqa: BLE001  as above
                failed = failed or error
        if failed is not None:
            raise failed

    def _measure_each(self, events: list[Measured]) -> Columns:
        """Return the values of the series where those of an event cannot be made: it has none."""
        measured: list[Columns] = []
        for event in events:
            try:
                measured.append(self._measure([(each,) for each in event[1]]))
            except Exception:  # noqa: BLE001  the caller knows the first
                measured.append([()] * len(self._valued))
        of_series = zip(*measured, strict=True)
        return [[value[0] if value else None for value in values] for values in of_series]

    def _series(self, position: int) -> Any:
        """Return the series of a value."""
        series = self._valued[position]
        if type(series) is tuple:
            series = self._valued[position] = self._find(*series)
        return series
