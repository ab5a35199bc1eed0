"""Many threads scrape, push and record at once: nothing is empty, duplicated or decreasing."""

import re
import sys
import threading
from collections.abc import Callable

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from otel.catalogue.spec import Category
from otel.exposition.family import Family
from otel.exposition.series import SeriesWriter
from tests.harness.metered import OPENMETRICS, Metered

SCRAPES = 60


@pytest.fixture
def eager_switching():
    """Let threads switch after a microsecond instead of five milliseconds."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def run_all(works: list[Callable[[], None]]) -> None:
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  it is raised again in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


@pytest.fixture
def one_writer_at_a_time(monkeypatch):
    """Fail where two threads write lines at once, because the text cached per series has no lock."""
    busy = threading.Lock()
    original = SeriesWriter.lines

    def lines(writer: SeriesWriter, family: Family) -> list[str]:
        assert busy.acquire(blocking=False), "two threads write lines at once"
        try:
            return original(writer, family)
        finally:
            busy.release()

    monkeypatch.setattr(SeriesWriter, "lines", lines)


@pytest.mark.usefixtures("eager_switching", "one_writer_at_a_time")
@pytest.mark.parametrize("share_seconds", [0.0, 3600.0])
def test_concurrent_scrapes_are_whole(share_seconds):  # noqa: C901  one scenario of nine threads
    metered = Metered(share_seconds=share_seconds)
    families = ["provider_response_time_seconds", "gatewayz_cost_by_provider", "cache_hits_total"]

    def record() -> None:
        for number in range(400):
            provider = f"p{number % 40}"  # new series all the time, so that kept text is rebuilt
            with metered.span():
                metered.instruments.record(families[0], number / 100, {"provider": provider})
            metered.instruments.record(families[1], 0.5, {"provider": provider})
            metered.instruments.record(families[2], 1, {"cache": "response"})

    metered.instruments.record(families[0], 1, {"provider": "p0"})
    metered.instruments.record(families[1], 1, {"provider": "p0"})
    metered.instruments.record(families[2], 1, {"cache": "response"})

    def scrape_text() -> None:
        hits = 0
        for _ in range(SCRAPES):
            text = metered.text()
            assert sorted(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) == sorted(families)
            lines = [line.rsplit(" ", 1)[0] for line in text.splitlines()]
            assert len(lines) == len(set(lines))
            now = int(re.search(r"^cache_hits_total\{[^}]*\} (\d+)$", text, re.MULTILINE)[1])
            assert now >= hits
            hits = now

    def scrape_openmetrics() -> None:
        for _ in range(SCRAPES // 4):
            assert len(list(parse_openmetrics(metered.scrape(OPENMETRICS).body.decode()))) == len(families)

    def scrape_category() -> None:
        for _ in range(SCRAPES):
            text = metered.text(Category.PROVIDERS)
            assert re.findall(r"^# TYPE (\S+)", text, re.MULTILINE) == families[:2]

    def push() -> None:
        for _ in range(SCRAPES):
            data = metered.reader.collect_for_push()
            (resource,) = data.resource_metrics
            assert len(resource.scope_metrics[0].metrics) == len(families)

    def flush() -> None:
        for _ in range(SCRAPES):
            metered.provider.force_flush()

    run_all([record, record, scrape_text, scrape_text, scrape_text, scrape_openmetrics, scrape_category, push, flush])
    metered.clock.seconds = 7200
    text = metered.text()
    assert 'cache_hits_total{cache="response"} 801\n' in text
    counts = re.findall(r"^provider_response_time_seconds_count\{[^}]*\} (\d+)$", text, re.MULTILINE)
    assert sum(map(int, counts)) == 801


@pytest.mark.usefixtures("eager_switching")
def test_no_exemplar_is_lost_between_scrapes_and_pushes():  # noqa: C901  likewise
    """Each trace has its own bucket, so each must reach exactly one push, whichever thread collected it."""
    metered = Metered()
    recorded: set[str] = set()
    pushed: list[str] = []

    def collect_pushed() -> None:
        for resource in metered.reader.collect_for_push().resource_metrics:
            for metric in resource.scope_metrics[0].metrics:
                for point in metric.data.data_points:
                    pushed.extend(f"{exemplar.trace_id:032x}" for exemplar in point.exemplars)

    def record() -> None:
        for number in range(300):
            with metered.span() as trace_id:
                metered.instruments.record("provider_response_time_seconds", 0.3, {"provider": str(number)})
            recorded.add(trace_id)

    def scrape() -> None:
        for _ in range(SCRAPES):
            metered.openmetrics()

    def push() -> None:
        for _ in range(SCRAPES):
            collect_pushed()

    run_all([record, scrape, scrape, push])
    collect_pushed()
    assert sorted(pushed) == sorted(recorded)
