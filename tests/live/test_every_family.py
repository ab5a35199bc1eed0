"""Every family that has a writer: an HTTP event moves it, and `/metrics`, its categories and the OTLP push show the same.

One gateway process serves all cases; each drives its own event and looks at what that moved.
"""

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from app.version import VERSION
from otel.catalogue import CATALOGUE
from otel.catalogue.spec import Category, Kind
from tests.harness.exposition import read_exposition
from tests.harness.otlp_data import HistogramPoint
from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.polling import DEADLINE_SECONDS, wait_for
from tests.harness.programs import UPSTREAM, running_programs

pytestmark = pytest.mark.live

SPECS = {spec.name: spec for spec in CATALOGUE}
ANSWER = {"prompt_tokens": 10, "completion_tokens": 5}
FIRST = {"provider": "first", "model": "test/model"}
SECOND = {"provider": "second", "model": "test/model"}
CHAT = {"app_name": "gatewayz", "method": "POST", "path": "/v1/chat/completions"}
MODELS = {"app_name": "gatewayz", "method": "GET", "path": "/v1/models"}
CONFIG = """
[server]
port = 0
max_connections = 30
[monitoring]
share_seconds = 0.0
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[ledger]
max_queued_rows = 20
[jobs]
business_seconds = 0.2
model_usage_seconds = 0.2
[breaker]
# What opens stays open, so that its state is there to look at.
open_seconds = 3600.0
max_open_seconds = 3600.0
[probes]
provider_interval_seconds = 2.0
timeout_seconds = 2.0
[[providers]]
name = "first"
base_url = "{upstream}/flaky/v1"
[[providers]]
name = "second"
base_url = "{upstream}/healthy/v1"
[[providers]]
name = "fragile"
base_url = "{upstream}/breaking/v1"
[[providers]]
name = "narrow"
base_url = "{upstream}/healthy/v1"
max_connections = 1
pool_wait_seconds = 0.2
[[models]]
name = "test/narrow"
routes = [{{ provider = "narrow", upstream_model = "n" }}]
[[models]]
name = "test/fragile"
routes = [{{ provider = "fragile", upstream_model = "breaking-1" }}]
[[models]]
name = "test/unpriced"
routes = [{{ provider = "second", upstream_model = "unpriced-1" }}]
[[models]]
name = "test/model"
cache_ttl_seconds = 60.0
routes = [
  {{ provider = "first", upstream_model = "f", input_usd_per_million = 1.0, output_usd_per_million = 2.0 }},
  {{ provider = "second", upstream_model = "s", input_usd_per_million = 3.0, output_usd_per_million = 4.0 }},
]
[[plans]]
name = "free"
[[plans]]
name = "tight"
key_requests_per_minute = 1
plan_usd_per_day = 1000.0
"""

Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


class Gateway:
    """The running gateway, as a client and an observer see it."""

    def __init__(
        self,
        url: str,
        upstream: str,
        receiver: OtlpReceiver,
        *,
        create_key: Callable[..., str],
        keys: Mapping[str, str],
        folder: Path,
    ) -> None:
        self.receiver = receiver
        self.upstream = upstream
        self.create_key = create_key
        self.keys = keys
        self.database = folder / "gateway.db"
        self.client = httpx.Client(base_url=url, timeout=DEADLINE_SECONDS)

    def chat(self, script: dict | None = None, *, plan: str = "free", **fields: object) -> httpx.Response:
        """Send one call; `script` says what each provider's upstream does."""
        return self.client.post("/v1/chat/completions", headers=self.headers(plan), json=self.body(script, **fields))

    def headers(self, plan: str = "free") -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[plan]}"}

    def body(self, script: dict | None, **fields: object) -> dict[str, object]:
        messages = [{"role": "user", "content": "one two three"}]
        return {"model": "test/model", "messages": messages, "x_script": script or {"flaky": ANSWER}} | fields

    def scrape(self, category: Category | None = None) -> Samples:
        path = "/metrics" if category is None else f"/prometheus/metrics/{category}"
        response = self.client.get(path, headers={"accept": "text/plain;version=0.0.4"})
        assert response.status_code == 200
        return read_exposition(response.text)

    def pushed(self, family: str) -> Samples:
        """What the newest OTLP push says of a family, in the shape of a scrape."""
        samples = {}
        for labels, point in self.receiver.metric_points(family).items():
            if isinstance(point, HistogramPoint):
                samples |= {(f"{family}_count", labels): point.count, (f"{family}_sum", labels): point.sum}
                bounds = [*map(str, point.bounds), "+Inf"]
                for index, bound in enumerate(bounds):
                    bucket = tuple(sorted((*labels, ("le", bound))))
                    samples[f"{family}_bucket", bucket] = sum(point.bucket_counts[: index + 1])
            else:
                samples[family, labels] = point
        return samples


def of_family(family: str, samples: Samples) -> Samples:
    """Return the samples of one family, histograms with all their parts."""
    parts = ("_bucket", "_sum", "_count") if SPECS[family].kind is Kind.HISTOGRAM else ("",)
    names = {family + part for part in parts}
    return {key: value for key, value in samples.items() if key[0] in names}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("families")
    with running_programs(folder) as programs, OtlpReceiver() as receiver:
        upstream = programs.start(*UPSTREAM)
        config = folder / "gateway.toml"
        config.write_text(CONFIG.format(folder=folder, upstream=upstream.url))
        environ = os.environ | {"GATEWAYZ_CONFIG": str(config), "OTEL_METRIC_EXPORT_INTERVAL": "200"}

        def create_key(plan: str, *options: str) -> str:
            return programs.create_key(environ, *options, plan=plan)

        keys = {plan: create_key(plan) for plan in ("free", "tight")}
        server = programs.start("app", "serve", environ=environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
        running = Gateway(server.url, upstream.url, receiver, create_key=create_key, keys=keys, folder=folder)
        running.chat()  # the key is known from here on, so that a case moves only what it means to
        yield running
        running.client.close()
        assert (server.stop(), upstream.stop()) == (0, 0)


# The events. Each is one exchange over HTTP with a certain outcome.


def responded(gateway: Gateway) -> None:
    assert gateway.chat().status_code == 200


def streamed(gateway: Gateway) -> None:
    script = {"flaky": ANSWER | {"chunks": 5, "chunk_delay_seconds": 0.01}}
    assert gateway.chat(script, stream=True).text.endswith("data: [DONE]\n\n")


def failed_over(gateway: Gateway) -> None:
    assert gateway.chat({"flaky": {"status": 500}, "healthy": ANSWER}).status_code == 200


def failed(gateway: Gateway) -> None:
    assert gateway.chat({"flaky": {"status": 500}, "healthy": {"status": 500}}).status_code == 502


def broken(gateway: Gateway) -> None:
    """Failures in a row open the breaker of a provider that is in no other case; then no provider is left to try."""
    for _ in range(5):
        assert gateway.chat({"breaking": {"status": 500}}, model="test/fragile").status_code == 502
    response = gateway.chat({"breaking": ANSWER}, model="test/fragile")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "providers_unavailable")
    assert 3_500 < int(response.headers["retry-after"]) <= 3_600


def not_reported(gateway: Gateway) -> None:
    assert gateway.chat({"flaky": {"usage": "omitted", "words": 3}}).status_code == 200


def absurd(gateway: Gateway) -> None:
    """Three words, and a hundred thousand tokens where sixteen were asked for."""
    script = {"flaky": ANSWER | {"completion_tokens": 100_000, "words": 3}}
    assert gateway.chat(script, max_tokens=16).status_code == 200


def detailed(gateway: Gateway) -> None:
    """5 of 10 tokens are cached; the provider's figure is far over the price of 20 millionths of a dollar."""
    script = {"flaky": {"usage": "detailed", "prompt_tokens": 10, "completion_tokens": 5}}
    assert gateway.chat(script).status_code == 200


def unpriced(gateway: Gateway) -> None:
    """A model whose one target has no price."""
    assert gateway.chat({"healthy": ANSWER}, model="test/unpriced").status_code == 200


def listed(gateway: Gateway) -> None:
    assert gateway.client.get("/v1/models", headers=gateway.headers()).status_code == 200


def repeated(gateway: Gateway) -> None:
    """Two equal deterministic requests that were never sent before: a miss, then a hit."""
    nonce = time.monotonic_ns()
    states = [gateway.chat(temperature=0, seed=nonce).headers["x-gatewayz-cache"] for _ in range(2)]
    assert states == ["miss", "hit"]


def refused(gateway: Gateway) -> None:
    """The plan admits one request a minute."""
    assert gateway.chat(plan="tight").status_code == 200
    assert gateway.chat(plan="tight").status_code == 429


def left(gateway: Gateway) -> None:
    """A client that reads the head and the first chunk of a stream that stands still, and goes."""
    script = {"flaky": ANSWER | {"chunks": 4, "pause_after_chunks": 1, "tag": f"left{time.monotonic_ns()}"}}
    body = gateway.body(script, stream=True)
    with gateway.client.stream("POST", "/v1/chat/completions", headers=gateway.headers(), json=body) as response:
        next(response.iter_lines())


def queued(gateway: Gateway) -> None:
    """A call that waits in vain for the only connection to its provider, which another call's stream holds."""
    tag = f"queued{time.monotonic_ns()}"
    script = {"healthy": ANSWER | {"chunks": 4, "pause_after_chunks": 1, "tag": tag}}
    body = gateway.body(script, stream=True, model="test/narrow")
    with gateway.client.stream("POST", "/v1/chat/completions", headers=gateway.headers(), json=body) as response:
        lines = response.iter_lines()
        next(lines)
        assert gateway.chat({"healthy": ANSWER}, model="test/narrow").status_code == 503
        httpx.post(f"{gateway.upstream}/_upstream/release/{tag}").raise_for_status()
        assert [*lines][-2:] == ["data: [DONE]", ""]


def unwritable(gateway: Gateway) -> None:
    """More calls than the ledger may queue, while somebody else holds the database's write lock."""
    database = sqlite3.connect(gateway.database, isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        before = gateway.scrape()["gatewayz_ledger_rows_dropped_total", ()]
        for _ in range(400):
            responded(gateway)
            if gateway.scrape()["gatewayz_ledger_rows_dropped_total", ()] > before:
                break
        database.execute("ROLLBACK")
    finally:
        database.close()


def export_refused(gateway: Gateway) -> None:
    """The OTLP endpoint rejects a batch, then asks to retry later, then is healthy again."""
    page = ("gatewayz_telemetry_dropped_total", (("reason", "rejected"), ("signal", "traces")))
    retries = ("gatewayz_telemetry_retries_total", (("signal", "traces"),))
    dropped_before = gateway.scrape()[page]
    gateway.receiver.respond_status(400)
    responded(gateway)
    wait_for(lambda: gateway.scrape()[page] > dropped_before, "a batch is refused")
    retries_before = gateway.scrape()[retries]
    gateway.receiver.respond_status(503)
    responded(gateway)
    wait_for(
        lambda: gateway.scrape()[retries] > retries_before,
        "a batch is tried again",
    )
    gateway.receiver.accept()


def crowded(gateway: Gateway) -> None:
    """More idle connections than there may be."""
    url = gateway.client.base_url
    idle = [socket.create_connection((url.host, url.port)) for _ in range(40)]
    wait_for(
        lambda: gateway.scrape()["gatewayz_client_connections", ()] <= 30,
        "the bound",
    )
    for connection in idle:
        connection.close()


def subscribed(gateway: Gateway) -> None:
    gateway.create_key("tight")


def tried(gateway: Gateway) -> None:
    gateway.create_key("tight", "--trial-days", "7")


class Case(NamedTuple):
    """An event and what it adds to samples of one family; None: it grows, by how much is not the event's to say."""

    drive: Callable[[Gateway], None]
    moves: Mapping[str, Mapping[tuple[tuple[str, str], ...], float | None]]


def moved(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def case(drive: Callable[[Gateway], None], by: float | None, *label_sets: dict[str, str], part: str = "") -> Case:
    return Case(drive, {part: {moved(**labels): by for labels in label_sets}})


CASES: dict[str, Case] = {
    "fastapi_requests_total": case(listed, 1, MODELS | {"status_code": "200"}),
    "fastapi_responses_total": case(failed, 1, CHAT | {"status_code": "502"}),
    "fastapi_requests_duration_seconds": case(streamed, 1, CHAT, part="_count"),
    "fastapi_exceptions_total": case(failed, 1, CHAT | {"exception_type": "UpstreamFailedError"}),
    "provider_response_time_seconds": case(
        failed_over, 1, {"provider": "first"}, {"provider": "second"}, part="_count"
    ),
    "model_inference_requests_total": case(failed_over, 1, FIRST | {"status": "error"}, SECOND | {"status": "success"}),
    "model_inference_duration_seconds": case(responded, 1, FIRST, part="_count"),
    "gatewayz_attempt_failures_total": case(failed_over, 1, FIRST | {"error_kind": "upstream_5xx"}),
    "gatewayz_failed_attempt_duration_seconds": case(failed_over, 1, FIRST | {"fault": "provider"}, part="_count"),
    "gatewayz_overhead_seconds": case(responded, 1, {"operation": "chat", "stream": "false"}, part="_count"),
    "gatewayz_longest_chunk_gap_seconds": case(streamed, 1, FIRST, part="_count"),
    "gatewayz_pool_wait_seconds": case(queued, 1, {"provider": "narrow"}, part="_count"),
    "tokens_used_total": Case(
        streamed, {"": {moved(**FIRST, token_type="input"): 10, moved(**FIRST, token_type="output"): 5}}
    ),
    "credits_used_total": case(responded, 20e-6, FIRST),
    "gatewayz_cost_by_provider": case(failed_over, 50e-6, {"provider": "second"}),
    "gatewayz_cost_usd_total": case(failed_over, 50e-6, SECOND | {"cost_source": "priced"}),
    "gatewayz_tokens_detail_total": Case(
        detailed,
        {"": {moved(**FIRST, token_detail="cached"): 5, moved(**FIRST, token_detail="reasoning"): 1}},
    ),
    "gatewayz_reported_cost_difference_usd_total": case(detailed, 103.456e-6, FIRST | {"direction": "over"}),
    "gatewayz_unpriced_tokens_total": case(unpriced, 15, {"provider": "second", "model": "test/unpriced"}),
    "gatewayz_exposure_usd_total": case(left, None, FIRST),
    "database_query_duration_seconds": case(responded, None, {"operation": "insert"}, part="_count"),
    "cache_hits_total": case(repeated, 1, {"cache": "response"}),
    "cache_misses_total": case(repeated, 1, {"cache": "response"}),
    "rate_limited_requests": case(refused, 1, {"limit_type": "key_requests"}),
    "gatewayz_time_to_first_token_seconds": case(streamed, 1, FIRST, part="_count"),
    "gatewayz_output_tokens_per_second": case(streamed, 1, FIRST, part="_count"),
    "gatewayz_attempts_per_request": Case(
        failed_over, {"_sum": {moved(model="test/model"): 2}, "_count": {moved(model="test/model"): 1}}
    ),
    "gatewayz_cancelled_calls_total": case(left, 1, FIRST | {"phase": "after_first_byte"}),
    "gatewayz_estimated_usage_total": case(not_reported, 1, FIRST),
    "gatewayz_implausible_usage_total": case(absurd, 1, FIRST | {"token_type": "output"}),
    "gatewayz_circuit_breaker_transitions_total": case(broken, 1, {"provider": "fragile", "state": "open"}),
    "gatewayz_provider_probes_total": case(responded, None, {"provider": "second", "outcome": "up"}),
    "active_api_keys": case(subscribed, 1, {}),
    "subscription_count": case(subscribed, 1, {"plan": "tight"}),
    "trial_active": case(tried, 1, {}),
    "gatewayz_event_loop_lag_seconds": case(listed, None, {}, part="_count"),
    "gatewayz_client_connections_closed_total": case(crowded, None, {"reason": "idlest"}),
    "gatewayz_ledger_rows_dropped_total": case(unwritable, None, {}),
    "gatewayz_telemetry_exported_total": case(responded, None, {"signal": "traces"}, {"signal": "logs"}),
    "gatewayz_telemetry_dropped_total": case(export_refused, None, {"signal": "traces", "reason": "rejected"}),
    "gatewayz_telemetry_retries_total": case(export_refused, None, {"signal": "traces"}),
    "gatewayz_telemetry_scrape_duration_seconds": case(listed, None, {}, part="_count"),
    "process_cpu_seconds_total": case(responded, None, {}),
}

# What no HTTP event can move on purpose, or what is a state and no count: it is there, under the same labels everywhere.
PRESENT = {
    "fastapi_app_info": moved(app_name="gatewayz", version=VERSION),
    # An anomaly needs minutes of traffic; tests/app/anomaly moves it.
    "gatewayz_detected_anomalies": moved(type="latency_spike"),
    "gatewayz_model_uptime_24h": moved(model="test/model"),
    "gatewayz_token_efficiency": moved(model="test/model"),
    "gatewayz_job_last_success_timestamp_seconds": moved(job_name="business"),
    "gatewayz_job_last_duration_seconds": moved(job_name="business"),
    "gatewayz_job_lag_seconds": moved(job_name="business"),
    "gatewayz_job_failures_total": moved(job_name="business", reason="timeout"),
    "gatewayz_telemetry_queued_bytes": moved(signal="traces"),
    "gatewayz_telemetry_queued_items": moved(signal="logs"),
    "gatewayz_telemetry_record_failures_total": moved(),
    # Counted at the start; tests/app/config/test_telemetry_variables.py moves it.
    "gatewayz_telemetry_ignored_settings": moved(),
    "gatewayz_telemetry_log_lines_dropped_total": moved(),
    "provider_availability": moved(provider="second"),
    "provider_error_rate": moved(provider="first"),
    "gatewayz_provider_health_score": moved(provider="first"),
    "gatewayz_circuit_breaker_state": moved(provider="fragile", state="half_open"),
    "gatewayz_model_circuit_breaker_state": moved(provider="first", model="test/model", state="open"),
    "gatewayz_client_connections": moved(),
    "gatewayz_upstream_quota_remaining": moved(**FIRST, quota="requests"),
    "gatewayz_upstream_quota_limit": moved(**FIRST, quota="requests"),
    "gatewayz_model_listed": moved(provider="fragile", model="test/fragile"),
    "gatewayz_budget_limit_usd": moved(plan="tight", period="day"),
    # tests/app/store/test_spending.py moves it.
    "gatewayz_budget_remaining_usd": moved(plan="tight", period="day"),
    "process_resident_memory_bytes": moved(),
    "process_open_fds": moved(),
    "process_start_time_seconds": moved(),
}

IN_PROGRESS = "fastapi_requests_in_progress"

ABSENT = {
    # Labels are bounded by construction, so no client can overflow a stream; tests/otel/metrics/test_reader.py overflows one by hand.
    "gatewayz_telemetry_overflow_total",
}

# They move by themselves between two looks: scrapes, pushes, the clock.
RESTLESS = {
    "gatewayz_client_connections",
    "gatewayz_event_loop_lag_seconds",
    "gatewayz_job_last_success_timestamp_seconds",
    "gatewayz_job_last_duration_seconds",
    "gatewayz_job_lag_seconds",
    "gatewayz_telemetry_exported_total",
    "gatewayz_telemetry_scrape_duration_seconds",
    "gatewayz_telemetry_queued_bytes",
    "gatewayz_telemetry_queued_items",
    "gatewayz_telemetry_retries_total",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "provider_availability",
    "gatewayz_provider_health_score",
    "gatewayz_provider_probes_total",
}


def test_every_catalogued_family_has_a_case_or_a_reason() -> None:
    assert CASES.keys() | PRESENT.keys() | ABSENT | {IN_PROGRESS} == SPECS.keys()


@pytest.mark.parametrize("family", CASES)
def test_an_event_moves_its_family_everywhere(gateway: Gateway, family: str) -> None:
    drive, moves = CASES[family]
    before = gateway.scrape()
    drive(gateway)

    def growths() -> list[tuple[float, float | None]]:
        now = gateway.scrape()
        return [
            (now.get((family + part, labels), 0.0) - before.get((family + part, labels), 0.0), by)
            for part, by_labels in moves.items()
            for labels, by in by_labels.items()
        ]

    def is_moved() -> bool:
        return all(growth > 0 if by is None else growth == pytest.approx(by, abs=1e-12) for growth, by in growths())

    wait_for(is_moved, f"{family} moves: {growths()}")
    assert_the_same_everywhere(gateway, family)


@pytest.mark.parametrize("family", PRESENT)
def test_a_state_is_there_everywhere(gateway: Gateway, family: str) -> None:
    wait_for(
        lambda: (family, PRESENT[family]) in gateway.scrape(),
        f"{family} is there",
    )
    assert_the_same_everywhere(gateway, family)


def test_uptime_and_token_efficiency_are_those_of_the_ledger(gateway: Gateway) -> None:
    label = moved(model="test/model")

    def of_ledger() -> tuple[int, int, int, int, int]:
        database = sqlite3.connect(gateway.database)
        query = """
            SELECT count(*), sum(status = 'success'), sum(status = 'error'), sum(output_tokens), sum(input_tokens)
            FROM ledger WHERE model = 'test/model'
        """
        found = database.execute(query).fetchone()
        database.close()
        return found

    def ratios() -> tuple[float, float]:
        _, successes, failures, given, taken = of_ledger()
        return successes / (successes + failures), given / taken

    def exposed() -> tuple[float | None, float | None]:
        samples = gateway.scrape()
        return samples.get(("gatewayz_model_uptime_24h", label)), samples.get(("gatewayz_token_efficiency", label))

    calls = of_ledger()[0]
    failed(gateway)
    responded(gateway)
    wait_for(lambda: of_ledger()[0] == calls + 2, "both calls are in the ledger")
    wait_for(
        lambda: exposed() == pytest.approx(ratios()),
        f"{exposed()} becomes {ratios()}",
    )
    assert 0 < ratios()[0] < 1


def test_a_request_is_in_progress_until_it_ends(gateway: Gateway) -> None:
    key = (IN_PROGRESS, moved(**CHAT))
    wait_for(lambda: gateway.scrape()[key] == 0, "earlier requests end")
    script = {"flaky": ANSWER | {"chunks": 4, "pause_after_chunks": 1, "tag": "in-progress"}}
    body = gateway.body(script, stream=True)
    with gateway.client.stream("POST", "/v1/chat/completions", headers=gateway.headers(), json=body) as response:
        lines = response.iter_lines()
        next(lines)
        assert gateway.scrape()[key] == 1
        assert_the_same_everywhere(gateway, IN_PROGRESS)
        httpx.post(f"{gateway.upstream}/_upstream/release/in-progress").raise_for_status()
        assert [*lines][-2:] == ["data: [DONE]", ""]
    wait_for(lambda: gateway.scrape()[key] == 0, "the request ends")
    assert_the_same_everywhere(gateway, IN_PROGRESS)


def test_what_has_no_writer_is_absent(gateway: Gateway) -> None:
    exposed = {name for name, _ in gateway.scrape()}
    assert not exposed & ABSENT
    assert not gateway.receiver.metrics.keys() & ABSENT


def assert_the_same_everywhere(gateway: Gateway, family: str) -> None:
    """The categories show what `/metrics` shows, and the push says the same: name, labels and value."""
    wait_for(lambda: family in gateway.receiver.metrics, f"{family} is pushed")
    if family in RESTLESS:
        wait_for(
            lambda: gateway.pushed(family).keys() == here(gateway, family).keys(),
            f"{family}: the same series",
        )
    else:
        wait_for(
            lambda: gateway.pushed(family) == pytest.approx(here(gateway, family)),
            f"{family}: the same samples",
        )
    for category in Category:
        shown = of_family(family, gateway.scrape(category))
        if category not in SPECS[family].categories:
            assert not shown
        elif family in RESTLESS:
            assert shown.keys() == here(gateway, family).keys()
        else:
            # Something may happen in the gateway between the two scrapes: a job queries the database, say.
            wait_for(
                lambda category=category: of_family(family, gateway.scrape(category)) == here(gateway, family),
                f"{family}: the same samples in {category}",
            )
    metric = gateway.receiver.metrics[family]
    assert (metric.unit, metric.description) == (SPECS[family].unit, SPECS[family].help)
    assert metric.kind == {"histogram": "histogram", "counter": "sum"}.get(
        SPECS[family].kind.prometheus_type, metric.kind
    )


def here(gateway: Gateway, family: str) -> Samples:
    return of_family(family, gateway.scrape())
