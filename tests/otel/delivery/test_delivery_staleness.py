"""A gauge that has ended is ended for the endpoint too: while the process runs, and all of them in its last push."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from otel.delivery.encoding.metrics import NO_RECORDED_VALUE, PushEncoder

NOW_NS = 1_790_000_000_000_000_000


class Harness:
    """Instruments of every kind; `gauges` holds what the observable gauge yields: a value by provider."""

    def __init__(self):
        self.gauges = {}
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], Resource({"service.name": "gw"}), shutdown_on_exit=False)
        meter = self.meters.get_meter("gatewayz")
        self.meter = meter
        self.encoder = PushEncoder(lambda: NOW_NS)
        meter.create_observable_gauge("health", [self._observe], "1", "Health.")

    def _observe(self, options):
        return [Observation(value, {"provider": name, "zone": "a"}) for name, value in self.gauges.items()]

    def push(self, *, is_last=False, acknowledged=True):
        """Return (values by series, ended series) of a push, and check that no series is in it twice."""
        body = self.encoder.encode(self.reader.get_metrics_data(), is_last=is_last)
        if acknowledged:
            self.encoder.acknowledged()
        request = ExportMetricsServiceRequest.FromString(body)
        values, ended = {}, set()
        for group in request.resource_metrics:
            assert [pair.key for pair in group.resource.attributes] == ["service.name"]
            for scoped in group.scope_metrics:
                assert scoped.scope.name == "gatewayz"
                for metric in scoped.metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    for point in data.data_points:
                        pairs = sorted((pair.key, pair.value.string_value) for pair in point.attributes)
                        series = (metric.name, *(value for _, value in pairs))
                        assert series not in values
                        assert series not in ended
                        assert point.time_unix_nano > 0
                        if point.flags & NO_RECORDED_VALUE:
                            assert point.WhichOneof("value") is None
                            assert not point.exemplars
                            ended.add(series)
                        else:
                            values[series] = point
        assert len(request.resource_metrics) <= 1
        return values, ended


def test_the_last_push_ends_gauges_and_sums_that_can_fall_and_leaves_the_rest_final():
    harness = Harness()
    harness.gauges = {"p1": 0.5, "p2": 1}
    harness.meter.create_counter("calls").add(3, {"model": "m"})
    harness.meter.create_up_down_counter("in_progress").add(2, {"path": "/"})
    harness.meter.create_histogram("seconds").record(0.2, {"path": "/"})
    values, ended = harness.push()
    assert (len(values), ended) == (5, set())
    values, ended = harness.push(is_last=True)
    assert ended == {("health", "p1", "a"), ("health", "p2", "a"), ("in_progress", "/")}
    assert set(values) == {("calls", "m"), ("seconds", "/")}
    assert values["calls", "m"].as_int == 3
    assert values["seconds", "/"].count == 1


def test_a_series_that_is_gone_is_ended_until_the_endpoint_has_that():
    harness = Harness()
    harness.gauges = {"p1": 0.5, "p2": 1}
    harness.push()
    del harness.gauges["p2"]
    for _ in range(2):
        values, ended = harness.push(acknowledged=False)
        assert (set(values), ended) == ({("health", "p1", "a")}, {("health", "p2", "a")})
    harness.push()
    assert harness.push()[1] == set()


def test_what_only_an_undelivered_push_showed_is_ended_all_the_same():
    """It may have arrived: a timeout leaves that open."""
    harness = Harness()
    harness.gauges = {"p1": 1}
    harness.push(acknowledged=False)
    harness.gauges = {"p2": 1}
    assert harness.push()[1] == {("health", "p1", "a")}


def test_the_last_gauge_of_all_is_ended_too():
    harness = Harness()
    harness.gauges = {"p1": 1}
    harness.push()
    harness.gauges = {}
    values, ended = harness.push()
    assert (values, ended) == ({}, {("health", "p1", "a")})
    assert harness.push() == ({}, set())


def test_a_process_without_metrics_pushes_nothing():
    encoder = PushEncoder(lambda: NOW_NS)
    assert encoder.encode(None, is_last=False) == b""
    assert encoder.encode(None, is_last=True) == b""


PUSHES = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), max_size=4), st.booleans()), max_size=8
)


@given(PUSHES)
def test_an_endpoint_never_shows_a_series_longer_than_the_process_does(pushes):
    """The model: an endpoint that takes some pushes and misses others. What it took last tells it what is alive."""
    harness = Harness()
    shown = set()
    for gauges, arrives in pushes:
        harness.gauges = gauges
        values, ended = harness.push(acknowledged=arrives)
        if arrives:
            shown = (shown | set(values)) - ended
            assert shown == {("health", name, "a") for name in gauges}
    harness.gauges = {}
    values, ended = harness.push(is_last=True)
    assert (shown | set(values)) - ended == set()
