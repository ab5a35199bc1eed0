"""Every shipped query is checked, and the check finds what is wrong with queries that are."""

import msgspec
import pytest

from otel.catalogue import DOCUMENTED_FAMILIES
from tests.checks import promql, queries
from tests.checks.documented_queries import AS_WRITTEN, REPLACED
from tests.checks.promql import families_in, problems_of

P95 = "histogram_quantile(0.95, {})"


def test_every_shipped_query_is_sound():
    assert queries.problems() == []


@pytest.mark.parametrize(
    ("source", "at_least"),
    [
        (queries.rule_queries, 10),
        (queries.panel_queries, 120),
        (queries.variable_queries, 14),
        (queries.link_queries, 3),
        (queries.catalogue_queries, 40),
    ],
)
def test_no_source_of_queries_is_overlooked(source, at_least):
    assert len(list(source())) >= at_least


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        # As the reference document writes them.
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
        ('sum(rate(gatewayz_time_to_first_token_seconds_bucket{le="2.0"}[5m]))', 'le="2.0" is le="2" by OTLP'),
        ('sum(rate(gatewayz_time_to_first_token_seconds_bucket{le="2"}[5m]))', 'le="2" is le="2" by OTLP'),
        ("sum(rate(fastapi_requests_total[5m])", "does not parse"),
        ("max by (version) (process_start_time_seconds * on (job) fastapi_app_info)", "has no label version"),
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
        'sum(rate(gatewayz_time_to_first_token_seconds_bucket{le=~"2|2.0"}[5m]))',
        'sum(rate(gatewayz_time_to_first_token_seconds_bucket{le="0.5"}[5m]))',
        'sum(rate(gatewayz_time_to_first_token_seconds_bucket{le="+Inf"}[5m]))',
        "max by (version) (process_start_time_seconds * on (job) group_left (version) fastapi_app_info)",
    ],
)
def test_a_sound_query_is_untouched(query):
    assert problems_of(query) == []


def test_families_of_a_query_are_named_without_their_parts():
    query = f"{P95.format('sum by (le) (rate(provider_response_time_seconds_bucket[5m]))')} > 0 and on () up == 1"
    assert families_in(query) == {"provider_response_time_seconds"}


@pytest.mark.parametrize("query", AS_WRITTEN)
def test_a_query_of_the_reference_names_families_that_we_have(query):
    # What else is wrong with it (a quantile of each series, the rate of a state) is the reference document's; it is answered as written.
    assert {spec.name for spec in DOCUMENTED_FAMILIES} >= families_in(query) != set()


@pytest.mark.parametrize(("query", "replacement"), REPLACED.items())
def test_a_query_of_the_reference_that_does_not_parse_has_a_sound_one_in_its_place(query, replacement):
    assert problems_of(query)[0].startswith("does not parse")
    assert problems_of(replacement) == []
    assert replacement in {query for _, query in queries.catalogue_queries()}


def test_every_family_of_the_reference_is_in_a_query_of_it_or_in_an_example():
    asked = set().union(*(families_in(query) for query in AS_WRITTEN))
    examples = set().union(*(families_in(query) for _, query in queries.catalogue_queries()))
    assert {spec.name for spec in DOCUMENTED_FAMILIES} - asked - examples == set()


def test_a_metric_renamed_in_the_catalogue_alone_is_found_in_rules_runbooks_and_boards(monkeypatch):
    families = dict(promql._FAMILIES)
    renamed = msgspec.structs.replace(
        families.pop("gatewayz_attempt_failures_total"), name="gatewayz_failed_attempts_total"
    )
    monkeypatch.setattr(promql, "_FAMILIES", families | {renamed.name: renamed})
    lines = [line for line in queries.problems() if "no family is called gatewayz_attempt_failures_total" in line]
    places = {line.partition(": ")[0] for line in lines}
    assert {"causes.yml", "recording.yml", "runbooks/HighErrorRate.md", "queries.md"} <= places
    assert any(place.endswith(".json") for place in places)
