"""The whole doctor against a scripted pipeline: what is healthy stays unblamed, and each fault is named where it is."""

import pytest

from app.doctor.findings import State

ALL_SERVERS = {
    "gateway",
    "collector_health",
    "collector_metrics",
    "otlp",
    "prometheus",
    "loki",
    "tempo",
    "alertmanager",
}


async def test_a_healthy_pipeline_has_no_finding_and_nothing_unknown(pipeline):
    findings = await pipeline.findings()
    assert {name: each.found for name, each in findings.items() if each.state is not State.OK} == {}


async def test_one_request_is_sent_with_its_trace_and_key(pipeline):
    await pipeline.findings(api_key="gwz_x")
    [request] = [each for each in pipeline.seen if each.path == "/gateway/v1/models"]
    assert request.headers["traceparent"].split("-")[1] == "ab" * 16
    assert request.headers["traceparent"].endswith("-01")
    assert request.headers["authorization"] == "Bearer gwz_x"


async def test_the_whole_of_metrics_is_read_only_before_and_after(pipeline):
    pipeline.lost_on_the_way = {"metrics"}
    await pipeline.findings()
    scrapes = [each for each in pipeline.seen if each.path == "/gateway/metrics"]
    assert len(scrapes) > 4
    fresh = [scrape.query.getall("name[]", []) for scrape in scrapes].index([])
    assert ["name[]" in each.query for each in scrapes[fresh + 1 :]] == [*[True] * (len(scrapes) - fresh - 2), False]


@pytest.mark.parametrize("scrapes", [1, 3])
async def test_what_was_refused_before_it_began_is_not_meanwhile(pipeline, scrapes):
    pipeline.scrapes_by_an_old_collection = scrapes
    pipeline.refused_before_that = 1
    pipeline.is_refused = True  # nothing more is exported, so that a refusal would be for good
    pipeline.lost_on_the_way = {"metrics"}
    facts = await pipeline.observe()
    assert facts.gateway_growth("gatewayz_telemetry_dropped_total", signal="metrics") == 0
    assert "export.metrics_taken" not in await pipeline.broken()


async def test_a_collection_that_responds_indefinitely_is_not_waited_for(pipeline):
    pipeline.scrapes_by_an_old_collection = 1_000_000
    assert await pipeline.broken() == set()


async def test_an_endpoint_that_refuses_a_part(pipeline):
    pipeline.lost_on_the_way = {"metrics", "logs"}
    pipeline.extra_gateway_lines = "".join(
        f'gatewayz_telemetry_dropped_total{{signal="{signal}",reason="rejected"}} N\n' for signal in ("metrics", "logs")
    )
    findings = await pipeline.findings()
    assert findings["export.metrics_taken"].state is State.OK
    assert findings["export.logs_taken"].state is State.BROKEN
    assert "1 of 4" in findings["export.logs_taken"].found


async def test_without_a_request_it_only_looks(pipeline):
    findings = await pipeline.findings(send_request=False)
    assert pipeline.requests == 0
    assert [name for name, each in findings.items() if each.state is State.BROKEN] == []
    assert findings["tempo.trace"].state is findings["loki.line"].state is State.UNKNOWN


async def test_a_server_that_is_down_is_the_one_finding(pipeline):
    for server in ("gateway", "prometheus", "loki", "tempo", "alertmanager"):
        pipeline.down = {server}
        assert await pipeline.broken() == {f"{server}.reachable"}, server


async def test_what_follows_names_its_root(pipeline):
    pipeline.down = {"gateway"}
    findings = await pipeline.findings()
    assert findings["tempo.trace"].follows_from == "gateway.reachable"
    assert findings["loki.reachable"].state is State.OK


async def test_a_dead_collector_explains_everything_behind_it(pipeline):
    pipeline.down = {"otlp", "collector_health", "collector_metrics"}
    pipeline.lost_on_the_way = {"traces", "metrics", "logs"}
    assert await pipeline.broken() == {"collector.reachable"}


async def test_a_server_left_out_is_no_finding(pipeline):
    pipeline.down = {"loki", "grafana"}
    addresses = pipeline.settings().addresses | {"loki": "", "grafana": ""}
    assert await pipeline.broken(addresses=addresses) == set()


async def test_a_missing_pipeline(pipeline):
    pipeline.responses["/otlp/v1/traces"] = (404, "404 page not found")
    pipeline.lost_on_the_way = {"traces"}
    pipeline.extra_gateway_lines = 'gatewayz_telemetry_dropped_total{signal="traces",reason="rejected"} N\n'
    findings = await pipeline.findings()
    assert {name for name, each in findings.items() if each.state is State.BROKEN} == {"collector.traces_pipeline"}
    assert findings["tempo.trace"].follows_from == "collector.traces_pipeline"


async def test_a_missing_token_is_told_from_a_wrong_address(pipeline):
    pipeline.is_refused = True
    pipeline.lost_on_the_way = {"traces", "metrics", "logs"}
    pipeline.extra_gateway_lines = "".join(
        f'gatewayz_telemetry_dropped_total{{signal="{signal}",reason="rejected"}} N\n'
        for signal in ("traces", "metrics", "logs")
    )
    findings = await pipeline.findings()
    assert "sends elsewhere" in findings["export.traces_taken"].fix
    for signal in ("traces", "metrics", "logs"):
        pipeline.responses[f"/otlp/v1/{signal}"] = (401, "")
    findings = await pipeline.findings()
    assert {name for name, each in findings.items() if each.state is State.BROKEN} == {
        "export.traces_taken",
        "export.metrics_taken",
        "export.logs_taken",
    }
    assert "OTEL_EXPORTER_OTLP_HEADERS" in findings["export.logs_taken"].fix


async def test_a_token_that_only_the_doctor_lacks_is_no_finding(pipeline):
    for signal in ("traces", "metrics", "logs"):
        pipeline.responses[f"/otlp/v1/{signal}"] = (401, "")
    assert await pipeline.broken() == set()


async def test_something_else_behind_the_otlp_address(pipeline):
    for signal in ("traces", "metrics", "logs"):
        pipeline.responses[f"/otlp/v1/{signal}"] = (404, "")
    assert await pipeline.broken() == {"collector.otlp"}


async def test_an_exporter_that_is_off(pipeline):
    pipeline.pushed = {"traces", "metrics"}
    pipeline.lost_on_the_way = {"logs"}
    findings = await pipeline.findings()
    assert {name for name, each in findings.items() if each.state is State.BROKEN} == {"export.logs_on"}
    assert "OTEL_LOGS_EXPORTER" in findings["export.logs_on"].fix
    assert findings["loki.line"].follows_from == "export.logs_on"


async def test_metrics_that_are_scraped_instead_of_pushed_are_no_finding(pipeline):
    pipeline.pushed = {"traces", "logs"}
    pipeline.jobs = {"fastapi_app_info": ["gatewayz-backend"]}
    assert await pipeline.broken() == set()


@pytest.mark.parametrize(("without_a_target", "without_samples"), [(0, 0), (0, 1), (3, 3), (3, 4)])
async def test_a_first_scrape_that_comes_late_is_waited_for(pipeline, without_a_target, without_samples):
    """A Prometheus that has just started knows its targets seconds later, and reports one as up before it stores what it scraped."""
    pipeline.pushed = {"traces", "logs"}
    pipeline.jobs = {"fastapi_app_info": ["gatewayz-backend"]}
    pipeline.target_queries_without_a_target = without_a_target
    pipeline.process_queries_without_samples = without_samples
    assert await pipeline.broken() == set()


async def test_metrics_that_are_neither_pushed_nor_stored(pipeline):
    pipeline.pushed = {"traces", "logs"}
    pipeline.lost_on_the_way = {"metrics"}
    assert await pipeline.broken() == {"export.metrics_on"}


FULL = """
otelcol_exporter_queue_size{exporter="logs/2",data_type="logs"} 95
otelcol_exporter_queue_capacity{exporter="logs/2",data_type="logs"} 100
"""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (FULL, "is full: 95 of 100 used"),
        (
            'otelcol_exporter_enqueue_failed_log_records{exporter="logs"} N\n',
            "refused 1 log_records with 0 of 100 used",
        ),
        ('otelcol_exporter_send_failed_log_records_total{exporter="logs"} N\n', "refused 1 log_records permanently"),
    ],
)
async def test_a_full_queue_and_a_refusing_store(pipeline, lines, said):
    pipeline.lost_on_the_way = {"logs"}
    pipeline.extra_collector_lines = lines
    findings = await pipeline.findings()
    assert {name for name, each in findings.items() if each.state is State.BROKEN} == {"collector.logs_sent"}
    assert said in findings["collector.logs_sent"].found
    assert findings["loki.line"].follows_from == "collector.logs_sent"


async def test_what_came_in_a_moment_ago_has_the_time_to_leave(pipeline):
    scrapes = 0

    async def collector_metrics(path, request):
        nonlocal scrapes
        scrapes += 1
        sent = 5 if scrapes > 5 else 1
        return f"otelcol_receiver_accepted_spans {scrapes}\notelcol_exporter_sent_spans {sent}\n"

    pipeline._collector_metrics = collector_metrics
    assert await pipeline.broken(send_request=False) == set()
    scrapes = -1000
    assert await pipeline.broken(send_request=False) == {"collector.traces_sent"}


async def test_a_line_without_the_job_label(pipeline):
    pipeline.line_labels = {"service_name": "gatewayz"}
    assert await pipeline.broken() == {"loki.job_label"}


async def test_a_wrong_translation_strategy(pipeline):
    renamed = {"gatewayz_detected_anomalies": "gatewayz_detected_anomalies_total"}
    pipeline.stored_name = lambda name: renamed.get(name, name)
    pipeline.strategy = "UnderscoreEscapingWithSuffixes"
    findings = await pipeline.findings()
    assert {name for name, each in findings.items() if each.state is State.BROKEN} == {"prometheus.names"}
    assert "translation_strategy" in findings["prometheus.names"].fix


async def test_a_renamed_family_even_that_of_the_request(pipeline):
    renamed = {"fastapi_requests_total": "http_requests"}
    pipeline.stored_name = lambda name: renamed.get(name, name)
    findings = await pipeline.findings()
    assert {name for name, each in findings.items() if each.state is State.BROKEN} == {"prometheus.names"}
    assert "fastapi_requests_total; instead: http_requests" in findings["prometheus.names"].found
    assert "processor" in findings["prometheus.names"].fix


async def test_scraped_and_pushed_is_counted_twice(pipeline):
    pipeline.jobs = {"fastapi_app_info": ["gatewayz", "gatewayz-backend"], "trial_active": ["gatewayz"]}
    findings = await pipeline.findings()
    assert {name for name, each in findings.items() if each.state is State.BROKEN} == {"prometheus.counted_once"}
    assert "metric_relabel_configs" in findings["prometheus.counted_once"].fix


async def test_clocks(pipeline):
    pipeline.skew_seconds = {"gateway": 90.0}
    assert await pipeline.broken() == {"clock.gateway"}
    pipeline.skew_seconds = dict.fromkeys(ALL_SERVERS, -120.0)
    assert await pipeline.broken() == {"clock.own"}


async def test_the_monitoring_token(pipeline):
    pipeline.responses["/gateway/metrics"] = (401, "")
    findings = await pipeline.findings()
    assert {name for name, each in findings.items() if each.state is State.BROKEN} == {"gateway.metrics"}
    assert "GATEWAYZ_DOCTOR_METRICS_TOKEN" in findings["gateway.metrics"].fix


async def test_an_unbounded_label_and_an_overflow(pipeline):
    pipeline.extra_gateway_lines = "".join(f'sessions{{user_id="{number}"}} 1\n' for number in range(501))
    findings = await pipeline.findings()
    assert findings["gateway.cardinality"].state is State.BROKEN
    assert "sessions has 501 values of user_id" in findings["gateway.cardinality"].found
    pipeline.extra_gateway_lines = 'gatewayz_telemetry_overflow_total{metric="tokens_used_total"} 3\n'
    assert "tokens_used_total" in (await pipeline.findings())["gateway.cardinality"].found


async def test_tokens_without_a_price(pipeline):
    sample = 'gatewayz_unpriced_tokens_total{{model="m",provider="p"}} {tokens}\n'
    pipeline.extra_gateway_lines = sample.format(tokens=0)
    assert (await pipeline.findings())["gateway.prices"].state is State.OK
    pipeline.extra_gateway_lines = sample.format(tokens=1_500)
    finding = (await pipeline.findings())["gateway.prices"]
    assert finding.state is State.BROKEN
    assert "1,500 tokens of m at p" in finding.found
    assert "input_usd_per_million" in finding.fix


async def test_rules_and_alertmanager(pipeline):
    pipeline.responses["/prometheus/api/v1/rules"] = (200, {"data": {"groups": []}})
    pipeline.responses["/prometheus/api/v1/alertmanagers"] = (200, {"data": {"activeAlertmanagers": []}})
    pipeline.responses["/alertmanager/api/v2/status"] = (200, {"config": {"original": "receivers:\n- name: nobody\n"}})
    assert await pipeline.broken() == {"alerting.rules", "alertmanager.connected", "alertmanager.receivers"}


async def test_grafana_links(pipeline):
    sources = [{"type": "prometheus", "uid": "p"}, {"type": "loki", "uid": "l"}, {"type": "tempo", "uid": "t"}]
    pipeline.responses["/grafana/api/datasources"] = (200, sources)
    assert await pipeline.broken() == {"grafana.links"}
    pipeline.responses["/grafana/api/datasources"] = (401, {})
    assert await pipeline.broken() == set()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"<html>",
        b"[1]",
        b"{}",
        b'{"data": {"a": 1}, "config": 3}',
        b'{"data": null}',
        b"\xff\xfe",
        b"x 1e5000 y\nx{a=} 1",
    ],
)
async def test_servers_that_talk_nonsense_end_in_findings_not_in_errors(pipeline, nonsense):
    async def talk_nonsense(path, request):
        return nonsense

    for server in (*ALL_SERVERS, "grafana"):
        setattr(pipeline, f"_{server}", talk_nonsense)
    assert "tempo.trace" in await pipeline.findings(timeout_seconds=0.2)
