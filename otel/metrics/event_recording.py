"""How an event's values are recorded: rare events at once, frequent ones later, with those of other events."""

from collections.abc import Callable, Hashable, Sequence
from functools import wraps
from time import time_ns
from typing import Concatenate, ParamSpec, TypeVar

from opentelemetry.context import Context

from otel.metrics.event_series import Columns, EventSeries
from otel.metrics.instruments import Instruments
from otel.metrics.label_set import LabelSet
from otel.metrics.pending import MAX_WAITING
from otel.traces.context import TracedContext

P = ParamSpec("P")
R = TypeVar("R")
Owner = TypeVar("Owner", bound="EventRecording")


def at_once(method: Callable[Concatenate[Owner, P], R]) -> Callable[Concatenate[Owner, P], R]:
    """Let a collection see all measurements of an event or none of them."""

    @wraps(method)
    def locked(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **kwargs)

    return locked


class EventRecording:
    """Records into `instruments`. Safe from any thread."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._record: Callable[[str, float, LabelSet, Context | None], None] = instruments.add
        self._pending = instruments.pending
        self._waiting = self._pending.waiting_events
        self.lock = instruments.lock
        self.add = self._add

    def _add(self, series: EventSeries, values: tuple[float | None, ...], context: Context | None) -> None:
        """Record the values of a frequent event."""
        if type(context) is TracedContext:
            waiting = self._waiting
            waiting.append((series, values, time_ns(), context, context.exemplar))
            if len(waiting) >= MAX_WAITING:
                with self.lock:
                    self._pending.add_up()
        else:
            with self.lock:
                self._pending.add_up()  # what came before, so that the latest exemplar is the latest
                series.record(values, context)

    def _series(
        self,
        labels: LabelSet,
        key: Hashable,
        *,
        counted: Sequence[tuple[str, LabelSet, int]] = (),
        valued: Sequence[tuple[str, LabelSet]] = (),
        measure: Callable[[Columns], Columns] = tuple,
    ) -> EventSeries:
        """Return the series of a kind of event, which are found by `key` from now on."""
        with self.lock:
            made = labels.of_events[key] = EventSeries(self._instruments.series, counted, valued, measure)
        return made
