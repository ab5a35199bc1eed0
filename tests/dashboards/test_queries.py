"""Every shipped query is checked, and the check finds what is wrong with queries that are."""

import pytest

from tests.checks import queries
from tests.checks.promql import families_in, problems_of

P95 = "histogram_quantile(0.95, {})"


def test_every_shipped_query_is_sound():
    assert queries.problems() == []


@pytest.mark.parametrize(
    ("source", "at_least"),
    [
        (queries.rule_queries, 10),
        (queries.panel_queries, 5),
        (queries.variable_queries, 2),
        (queries.link_queries, 3),
        (queries.catalogue_queries, 40),
    ],
)
def test_no_source_of_queries_is_overlooked(source, at_least):
    assert len(list(source())) >= at_least


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        # As the guide writes them.
        (
            f"{P95.format('rate(model_inference_duration_seconds_bucket[5m])')} by (model) * 1000",
            "does not parse",
        ),
        (P95.format("rate(fastapi_requests_duration_seconds_bucket[5m])"), "a quantile needs"),
        ("rate(gatewayz_circuit_breaker_state[5m])", "which is a gauge"),
        # Names, labels and values that no series has.
        ("gatewayz_cost_by_provider_total", "no family is called gatewayz_cost_by_provider_total"),
        ("fastapi_requests_duration_seconds", "is a histogram"),
        ("fastapi_requests_in_progress_bucket", "no family is called"),
        ('active_api_keys{status="active"}', "has no label status"),
        ("sum by (table) (rate(database_query_duration_seconds_sum[5m]))", "has no label table"),
        ('provider_response_time_seconds_sum{le="1.0"}', "has no label le"),
        ('tokens_used_total{token_type="prompt"}', "never has token_type=prompt"),
        ('gatewayz_circuit_breaker_state{state=~"half.open|shut"} * on () absent_family', "no family is called absent"),
        ('gatewayz_circuit_breaker_state{state!="shut"}', "never has state=shut"),
        (P95.format("sum by (provider) (rate(provider_response_time_seconds_bucket[5m]))"), "a quantile needs"),
        ("increase((max by (provider) (provider_availability))[5m:1m])", "which is a gauge"),
        ("sum(rate(fastapi_requests_total[5m])", "does not parse"),
        ('{__name__=~"fastapi.*"}', "no family is called"),
    ],
)
def test_a_wrong_query_is_found(query, problem):
    assert any(problem in line for line in problems_of(query)), problems_of(query)


@pytest.mark.parametrize(
    "query",
    [
        'up{job="gatewayz-backend"} == 0',
        "sum(rate(otelcol_exporter_sent_spans[5m]))",
        "sum by (client, server) (rate(traces_service_graph_request_total[5m]))",
        P95.format("(sum by (le, path) (rate(fastapi_requests_duration_seconds_bucket[5m])))"),
        'sum by (instance) (rate(tokens_used_total{job="gatewayz", token_type=~"in.*"}[5m]))',
        'gatewayz_circuit_breaker_state{state=~"open|half_open"}',
        "sum without (le) (provider_response_time_seconds_bucket)",
    ],
)
def test_a_sound_query_is_left_alone(query):
    assert problems_of(query) == []


def test_families_of_a_query_are_named_without_their_parts():
    query = f"{P95.format('sum by (le) (rate(provider_response_time_seconds_bucket[5m]))')} > 0 and on () up == 1"
    assert families_in(query) == {"provider_response_time_seconds"}
