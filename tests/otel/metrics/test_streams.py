"""Streams collected as columns have the points of the SDK's own collection, whichever way their values came."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otel.metrics.columns import Columns
from otel.metrics.label_set import LabelSet
from otel.metrics.views import build_views
from tests.otel.metrics.test_aggregations import CONTEXTS, KINDS, SPECS, Collected, sdk_views

STEPS = st.lists(
    st.one_of(
        st.none(),
        st.tuples(
            st.sampled_from(sorted(KINDS)),
            # Eighths are exact, whatever the order in which they are added.
            st.integers(-3, 50) | st.integers(-20, 400).map(lambda eighths: eighths / 8),
            st.sampled_from("abcde"),
            st.sampled_from(CONTEXTS),
            st.booleans(),
        ),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_columns_equal_what_the_sdk_collects(steps: list[Any]) -> None:
    ours, sdks, root = Collected(build_views(SPECS)), Collected(sdk_views()), LabelSet()
    for step in [*steps, None, None]:
        if step is None:
            assert ours.points() == sdks.points()
            continue
        name, value, model, context, is_bound = step
        labels = root.plus("model", model) if is_bound else {"model": model}
        # Which of two exemplars is the latest shows only in values that came the same way.
        context = context if is_bound else None
        ours.instruments.record(name, value, labels, context)
        sdks.instruments.record(name, value, {"model": model}, context)


def _streams(collected: Collected) -> dict[str, Any]:
    return {metric.name: metric.data.data_points for metric in collected.metrics()}


def test_an_idle_series_keeps_its_item_and_all_points_have_the_time_of_the_collection() -> None:
    collected, root = Collected(build_views(SPECS)), LabelSet()
    for name in KINDS:
        for model in "ab":
            collected.instruments.record(name, 1000.5, root.plus("model", model))
    first = _streams(collected)
    for name in KINDS:
        collected.instruments.record(name, 1, root.plus("model", "b"))
    second = _streams(collected)
    for name in KINDS:
        assert second[name].attributes is first[name].attributes
        assert second[name].items[0] is first[name].items[0]
        assert second[name].items[1] is not first[name].items[1]
        (then,) = {point.time_unix_nano for point in first[name]}
        (now,) = {point.time_unix_nano for point in second[name]}
        assert now > then


def test_a_later_collection_changes_none_before() -> None:
    collected, root = Collected(build_views(SPECS)), LabelSet()
    for name in KINDS:
        collected.instruments.record(name, 1, root.plus("model", "a"))
    first = _streams(collected)
    for model in "ab":
        for name in KINDS:
            collected.instruments.record(name, 5, root.plus("model", model), CONTEXTS[1])
            collected.instruments.record(name, 5, {"model": model})
    _streams(collected)
    points = [point for stream in first.values() for point in stream]
    assert [getattr(point, "value", None) or point.sum for point in points] == [1, 1, 1]
    assert [list(point.exemplars) for point in points] == [[], [], []]


def test_columns_are_a_sequence_of_points() -> None:
    collected, root = Collected(build_views(SPECS)), LabelSet()
    for value, model in ((1, "a"), (2, "b"), (3, "c")):
        collected.instruments.record("calls_total", value, root.plus("model", model))
    points = _streams(collected)["calls_total"]
    assert type(points) is Columns
    assert [points[0].value, points[-1].value, len(points)] == [1, 3, 3]
    assert [point.value for point in points] == [1, 2, 3]
    assert [point.value for point in points[1:]] == [2, 3]
    assert points[0] is next(iter(points))
