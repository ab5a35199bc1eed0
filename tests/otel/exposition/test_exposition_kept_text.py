"""Text retained from earlier scrapes equals what a new exposition writes for the same collection."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.exposition import Exposition, series_block
from otel.metrics.label_set import LabelSet
from tests.harness.metered import OPENMETRICS, Metered

NAMES = {"calls_total": Kind.COUNTER, "in_progress": Kind.UP_DOWN_COUNTER, "seconds": Kind.HISTOGRAM}
SPECS = tuple(
    MetricSpec(
        name=name,
        instrument=name,
        kind=kind,
        unit="1",
        help="Help.",
        labels=(Label("model"),),
        categories=(Category.SYSTEM,),
        buckets=(0.1, 1.0) if kind is Kind.HISTOGRAM else (),
        series_limit=3,
    )
    for name, kind in NAMES.items()
)
record = st.tuples(
    st.sampled_from([*NAMES, "other"]), st.integers(0, 5) | st.floats(0, 5), st.sampled_from("abcde"), st.booleans()
)


def _record(metered: Metered, other: Any, step: tuple[str, float, str, bool]) -> None:
    name, value, model, is_traced = step
    if name == "other":
        # Two attribute sets with the same labels: the exposition adds them up.
        other.add(value, {"a.b": model} if is_traced else {"a_b": model})
    elif is_traced:
        with metered.span():
            metered.instruments.record(name, value, {"model": model})
    else:
        metered.instruments.record(name, value, {"model": model})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(record, max_size=6), min_size=1, max_size=6))
def test_every_scrape_equals_one_of_a_new_exposition(rounds: list[list[Any]]) -> None:
    metered = Metered(SPECS, share_seconds=0.5)
    other = metered.meter.create_counter("other_total")
    for steps in rounds:
        metered.clock.seconds += 1.0
        for step in steps:
            _record(metered, other, step)
        for accept in (None, OPENMETRICS):
            new = Exposition(metered.reader, SPECS)
            expected = new.respond(method="GET", accept=accept, accept_encoding=None).body
            assert metered.scrape(accept).body == expected


def test_only_the_block_of_the_series_that_changed_is_written_again(monkeypatch: Any) -> None:
    monkeypatch.setattr("otel.exposition.series_block.LINES_PER_BLOCK", 2)
    written: list[str] = []
    encoded = series_block._encoded
    monkeypatch.setattr(series_block, "_encoded", lambda text: written.append(text) or encoded(text))
    spec = msgspec.structs.replace(SPECS[0], series_limit=100)
    metered, root = Metered([spec]), LabelSet()
    for model in "abcdef":
        metered.instruments.record("calls_total", 1, root.plus("model", model))
    metered.text()
    assert len(written) == 3
    written.clear()
    metered.instruments.record("calls_total", 7, root.plus("model", "d"))
    assert 'calls_total{model="d"} 8\n' in metered.text()
    assert written == ['calls_total{model="c"} 1\ncalls_total{model="d"} 8\n']
    written.clear()
    metered.text()
    assert written == []
