"""The screen Now, against numbers computed by hand."""

import pytest

from app.gateway.fault import FAULTS as GATEWAY_FAULTS
from console.query.faults import FAULTS
from console.query.now import read_now
from tests.harness.console import metrics, resource, traces
from tests.harness.console_metrics import at, counter, gauge, histogram
from tests.harness.gateway_lines import attempt_span

ATTEMPTS = "model_inference_requests_total"
GOOD = {"provider": "good", "model": "small", "status": "success"}
BAD = {"provider": "bad", "model": "small", "status": "success"}
BAD_ERROR = {"provider": "bad", "model": "small", "status": "error"}


def failures(kind, *points, provider="bad"):
    labels = {"provider": provider, "model": "small", "error_kind": kind}
    return counter("gatewayz_attempt_failures_total", *((seconds, value, labels) for seconds, value in points))


def breaker(provider, state):
    return gauge(
        "gatewayz_circuit_breaker_state",
        *(
            (-5, float(each == state), {"provider": provider, "state": each})
            for each in ("closed", "open", "half_open")
        ),
    )


def health(provider, score, availability, error_rate):
    return (
        gauge("gatewayz_provider_health_score", (-5, score, {"provider": provider})),
        gauge("provider_availability", (-5, availability, {"provider": provider})),
        gauge("provider_error_rate", (-5, error_rate, {"provider": provider})),
    )


def row(now, kind, name):
    return next(each for each in now.rows if (each.kind, each.name) == (kind, name))


@pytest.fixture
async def two_providers(console):
    await console.send(
        metrics(
            counter(ATTEMPTS, *((seconds, value, GOOD) for seconds, value in ((-400, 10), (-200, 30), (-10, 110)))),
            counter(ATTEMPTS, *((seconds, value, BAD) for seconds, value in ((-400, 5), (-10, 35)))),
            counter(ATTEMPTS, *((seconds, value, BAD_ERROR) for seconds, value in ((-400, 0), (-10, 10)))),
            failures("rate_limited", (-400, 2), (-10, 5)),
            failures("upstream_5xx", (-400, 0), (-10, 7)),
            failures("bad_response", (-400, 9), (-10, 9)),
            counter("gatewayz_cost_usd_total", (-700, 1.0, GOOD), (-10, 1.5, GOOD), (-700, 0.0, BAD), (-10, 0.25, BAD)),
            histogram("provider_response_time_seconds", (-400, [0, 0, 0], GOOD), (-10, [50, 50, 0], GOOD)),
            histogram("gatewayz_time_to_first_token_seconds", (-400, [0, 0, 0], GOOD), (-10, [100, 0, 0], GOOD)),
            *health("good", 0.97, 1.0, 0.0),
            *health("bad", 0.6, 0.5, 0.25),
            breaker("good", "closed"),
            breaker("bad", "open"),
            gauge("fastapi_app_info", (-5, 1.0, {"app_name": "g", "version": "1"})),
        )
    )


async def test_red_rows_come_first_and_say_why(two_providers, look):
    with look() as view:
        now = read_now(view)
    assert [(each.kind, each.name, each.level) for each in now.rows] == [
        ("provider", "bad", "red"),
        ("model", "small", "amber"),
        ("provider", "good", "green"),
    ]
    assert row(now, "provider", "bad").reasons == [
        "circuit breaker of bad is open",
        "health 0.60",
        "17.5% fail at the provider",
    ]
    assert now.newest_sample == at(-5) / 1e9


async def test_attempts_and_causes_are_those_of_the_last_five_minutes(two_providers, look):
    with look() as view:
        errors = row(read_now(view), "provider", "bad").errors
    assert (errors.attempts, errors.failed, errors.rate) == (40, 10, 0.25)
    assert [(cause.error_kind, cause.fault, cause.count) for cause in errors.by_cause] == [
        ("upstream_5xx", "provider", 7),
        ("rate_limited", "policy", 3),
    ]
    assert errors.by_cause[0].share == 7 / 40


async def test_a_score_is_taken_apart(two_providers, look):
    with look() as view:
        found = row(read_now(view), "provider", "bad").health
    assert (found.score, found.availability, found.error_rate) == (0.6, 0.5, 0.25)
    assert found.latency_score == pytest.approx((0.6 - 0.4 * 0.5 - 0.3 * 0.75) / 0.3)


async def test_rates_quantiles_and_money(two_providers, look):
    with look() as view:
        good = row(read_now(view), "provider", "good")
    assert good.attempts_per_minute == 100 / 5
    assert good.usd_per_hour == pytest.approx(0.5 * 6)
    assert good.p95_seconds == pytest.approx(1 + 0.9)
    assert good.ttft_p95_seconds == pytest.approx(0.95)
    assert good.errors.rate == 0
    assert good.newest_failure is None


async def test_the_sparkline_has_a_step_per_minute_and_gaps_are_unknown(two_providers, look):
    with look() as view:
        spark = row(read_now(view), "provider", "good").spark
    assert (len(spark.attempts), spark.step_seconds) == (60, 60.0)
    assert [value for value in spark.attempts if value is not None] == [20, 80]
    assert spark.attempts[-1] == 80
    assert spark.attempts[-2] is None


async def test_a_provider_without_telemetry_is_unknown_not_green(console, look):
    await console.send(metrics(gauge("gatewayz_circuit_breaker_state", (-5, 0.0, {"provider": "a", "state": "open"}))))
    with look() as view:
        (found,) = read_now(view).rows
    assert found.level == "unknown"
    assert (found.errors.attempts, found.errors.rate, found.p95_seconds, found.usd_per_hour) == (None, None, None, None)


async def test_an_old_gauge_and_an_ended_one_are_unknown(console, look):
    old = {"provider": "a"}
    await console.send(
        metrics(
            gauge("provider_availability", (-400, 1.0, old)),
            gauge("gatewayz_provider_health_score", (-20, 0.5, old), (-10, None, old)),
            counter(ATTEMPTS, (-30, 1, {**GOOD, "provider": "a"}), (-20, 1, {**GOOD, "provider": "a"})),
        )
    )
    with look() as view:
        assert row(read_now(view), "provider", "a").health is None


async def test_callers_make_no_provider_red(console, look):
    await console.send(
        metrics(
            counter(ATTEMPTS, (-400, 0, BAD_ERROR), (-10, 50, BAD_ERROR)),
            failures("upstream_4xx", (-400, 0), (-10, 50)),
        )
    )
    with look() as view:
        found = row(read_now(view), "provider", "bad")
    assert (found.level, found.errors.rate) == ("green", 1)


async def test_of_two_gateways_the_worst_state_counts(console, look):
    for instance, score, state in (("1", 0.9, "closed"), ("2", 0.8, "half_open")):
        origin = resource(service__name="g", service__instance__id=instance)
        await console.send(metrics(*health("a", score, score, 0.0), breaker("a", state), origin=origin))
    with look() as view:
        (found,) = read_now(view).rows
    assert (found.health.score, found.health.availability) == (0.8, 0.8)
    assert [each.state for each in found.breakers] == ["half_open"]
    assert found.level == "amber"


async def test_a_gateway_that_just_started_is_counted_over_the_time_that_it_runs(console, look):
    await console.send(metrics(counter(ATTEMPTS, (-5, 30, GOOD), started=-30)))
    with look() as view:
        assert row(read_now(view), "provider", "good").attempts_per_minute == 60


async def test_the_newest_failing_trace_is_one_click_away(console, look):
    await console.send(metrics(counter(ATTEMPTS, (-30, 1, BAD_ERROR), (-20, 2, BAD_ERROR))))
    await console.send(
        traces(
            attempt_span(1, 1, "bad", "rate_limited", -50),
            attempt_span(2, 1, "bad", "upstream_5xx", -20),
            attempt_span(3, 1, "bad", None, -10),
        )
    )
    with look() as view:
        failure = row(read_now(view), "provider", "bad").newest_failure
    assert (int(failure.trace_id, 16), failure.error_kind, failure.at) == (2, "upstream_5xx", at(-20) / 1e9)


async def test_totals_are_those_of_http_requests(console, look):
    def requests(status, *points):
        labels = {"app_name": "g", "method": "POST", "path": "/x", "status_code": status}
        return counter("fastapi_requests_total", *((seconds, value, labels) for seconds, value in points))

    await console.send(
        metrics(
            requests("200", (-400, 100), (-10, 190)),
            requests("502", (-400, 1), (-10, 11)),
            gauge("fastapi_requests_in_progress", (-5, 3.0, {"path": "/x"}), (-5, 2.0, {"path": "/y"})),
        )
    )
    with look() as view:
        totals = read_now(view).totals
    assert (totals.requests_per_minute, totals.error_share, totals.in_progress) == (20, 0.1, 5)
    assert (totals.p95_seconds, totals.usd_per_hour) == (None, None)


@pytest.fixture
async def ten_minutes(console):
    def requests(status, *points):
        labels = {"app_name": "g", "method": "POST", "path": "/x", "status_code": status}
        return counter("fastapi_requests_total", *((seconds, value, labels) for seconds, value in points))

    await console.send(
        metrics(
            requests("200", (-601, 7), (-310, 52), (-10, 152)),
            requests("502", (-601, 0), (-310, 5), (-10, 5)),
            counter("tokens_used_total", (-601, 100, GOOD), (-301, 600, GOOD), (-10, 650, GOOD)),
            counter("gatewayz_cost_usd_total", (-1_201, 1.0, GOOD), (-601, 1.5, GOOD), (-10, 1.5, GOOD)),
            histogram("fastapi_requests_duration_seconds", (-601, [0, 0, 0], {}), (-310, [0, 50, 0], {})),
        )
    )


async def test_totals_are_compared_with_the_window_of_the_same_length_before(ten_minutes, look):
    with look() as view:
        now = read_now(view)
    before = now.totals_before
    assert (now.totals.requests_per_minute, before.requests_per_minute) == (100 / 5, 50 / 5)
    assert (now.totals.error_share, before.error_share) == (0, 5 / 50)
    assert (now.totals.tokens_per_minute, before.tokens_per_minute) == (50 / 5, 500 / 5)
    assert (now.totals.usd_per_hour, before.usd_per_hour) == (0, 0.5 * 6)
    assert before.p95_seconds == pytest.approx(1 + 0.95)
    assert before.in_progress is None


async def test_totals_before_the_console_has_data_are_unknown(ten_minutes, look):
    # Two seconds earlier no sample is older than the window; the cost's reaches back twice as far.
    with look(now_ns=at(-2)) as view:
        before = read_now(view).totals_before
    fields = before.__struct_fields__
    assert {name: getattr(before, name) for name in fields} == dict.fromkeys(fields)


async def test_the_row_with_the_most_own_failures_comes_first_and_callers_faults_do_not_count(console, look):
    def attempts(provider, failed, kind):
        labels = {"provider": provider, "model": f"m-{provider}"}
        return (
            counter(ATTEMPTS, *((at_s, n, {**labels, "status": "error"}) for at_s, n in ((-400, 0), (-10, failed)))),
            counter(
                ATTEMPTS, *((at_s, n, {**labels, "status": "success"}) for at_s, n in ((-400, 0), (-10, 100 - failed)))
            ),
            counter(
                "gatewayz_attempt_failures_total",
                *((at_s, n, {**labels, "error_kind": kind}) for at_s, n in ((-400, 0), (-10, failed))),
            ),
        )

    await console.send(
        metrics(
            *attempts("a", 11, "upstream_5xx"),
            *attempts("b", 90, "rate_limited"),
            *attempts("c", 100, "connect_error"),
            *attempts("d", 19, "upstream_5xx"),
            *attempts("e", 30, "upstream_5xx"),
            *attempts("f", 20, "upstream_5xx"),
            breaker("f", "open"),
        )
    )
    with look() as view:
        rows = read_now(view).rows
    assert [each.name for each in rows if each.kind == "provider"] == ["c", "f", "e", "a", "d", "b"]
    assert row(read_now(view), "provider", "e").reasons == ["30% fail at the provider"]


def many(count, failing=()):
    """Return the attempts of so many providers, each with a model of its own."""

    def attempts(number, status, value):
        labels = {"provider": f"p{number:03}", "model": f"m{number:03}", "status": status}
        return counter(ATTEMPTS, (-400, 0, labels), (-10, value, labels))

    good = (attempts(number, "success", 100) for number in range(count))
    bad = (
        metric
        for number in failing
        for metric in (
            attempts(number, "error", 50),
            counter(
                "gatewayz_attempt_failures_total",
                *(
                    (
                        seconds,
                        value,
                        {"provider": f"p{number:03}", "model": f"m{number:03}", "error_kind": "upstream_5xx"},
                    )
                    for seconds, value in ((-400, 0), (-10, 50))
                ),
            ),
        )
    )
    return metrics(*good, *bad)


async def test_of_many_names_the_worst_are_rows_and_the_others_are_counted_and_can_be_found(console, look, monkeypatch):
    monkeypatch.setattr("console.query.now.MOST_ROWS", 4)
    await console.send(many(30, failing=(7, 21, 22)))
    with look() as view:
        now = read_now(view)
        assert [each.name for each in now.rows] == ["p007", "p021", "p022", "m007"]
        assert now.left_out == {"red": 2, "green": 54}
        assert now.rows[0].spark.failed[-1] == 50
        found = read_now(view, "P029")
        assert [(each.name, each.errors.attempts, each.spark.attempts[-1]) for each in found.rows] == [
            ("p029", 100, 100)
        ]
        assert found.left_out == {}
        assert read_now(view, "nothing").rows == []


async def test_statements_do_not_grow_with_the_names(console, look, monkeypatch):
    monkeypatch.setattr("console.query.now.MOST_ROWS", 4)

    async def statements(count):
        await console.send(many(count))
        with look() as view:
            found = []
            view.connection.set_trace_callback(found.append)
            assert len(read_now(view).rows) == 4
            view.connection.set_trace_callback(None)
            return len(found)

    assert await statements(200) <= await statements(5) + 2


async def test_the_steps_of_a_sparkline_are_fewer_where_there_are_thousands_of_series(console, look, monkeypatch):
    monkeypatch.setattr("console.query.now.MOST_SPARK_VALUES", 100)
    await console.send(many(5))
    with look() as view:
        spark = read_now(view).rows[0].spark
    assert (len(spark.attempts), spark.step_seconds) == (15, 240.0)
    assert sum(value for value in spark.attempts if value is not None) == 100


def test_fault_domains_are_those_of_the_gateway():
    assert {kind: fault.domain for kind, fault in GATEWAY_FAULTS.items()} == FAULTS


async def test_every_number_of_a_row_has_a_basis(two_providers, look):
    with look() as view:
        now = read_now(view)
    fields = {"p95_seconds", "ttft_p95_seconds", "attempts_per_minute", "usd_per_hour", "spark", "newest_failure"}
    assert fields <= now.basis.keys()
    assert {f"totals.{name}" for name in now.totals.__struct_fields__} <= now.basis.keys()
    assert {f"health.{name}" for name in row(now, "provider", "bad").health.__struct_fields__} <= now.basis.keys()
