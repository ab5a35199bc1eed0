"""Prometheus' own tool on what Prometheus reads: configurations, rules, and each rule's cases, which notice when a rule is changed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dashboards import mutant_runs, rule_mutations
from tests.stack.command_output import command_output

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "dashboards" / "rules"
PROMETHEUS_FILES = sorted(path.name for path in (ROOT / "compose" / "prometheus").glob("prometheus*.yml"))

BREAKER = 'max_over_time((max by (provider) (gatewayz_circuit_breaker_state{state="open"}))[1m:15s])'
LLM_ROUTES = '"/v1/(chat/completions|completions|responses|messages|embeddings)"'

# Ways to get an alert's expression wrong that are no other number: the documented mistake, and similar ones.
WRONG = [
    ("HighErrorRate", 'status_code=~"5.."', 'status_code=~"[45].."'),
    ("HighErrorRate", "and\nsum(rate(fastapi_requests_total[5m])) > 0.1", ""),
    ("ProviderHealthDegraded", "min by (provider) (gatewayz", "(gatewayz"),
    ("ProviderHealthDegraded", "min by (provider)", "max by (provider)"),
    ("HighLatency", "sum by (le, path)", "sum by (le, path, instance)"),
    ("HighLatency", f"path!~{LLM_ROUTES}", 'path!~"none"'),
    ("CircuitBreakerOpen", BREAKER, 'max by (provider) (gatewayz_circuit_breaker_state{state="open"})'),
    ("CircuitBreakerOpen", 'state="open"', 'state="closed"'),
    ("HighCostRate", "* 3600 > 100", "* 60 > 100"),
    ("HighCostRate", "sum(rate(gatewayz_cost_by_provider[10m]))", "rate(gatewayz_cost_by_provider[10m])"),
    ("HighCostRate", "sum(rate(gatewayz_cost_by_provider[10m]))", "sum(delta(gatewayz_cost_by_provider[10m])) / 600"),
    ("AnomalyDetected", "sum by (type) (increase(gatewayz_detected_anomalies[5m]))", "gatewayz_detected_anomalies"),
    ("AnomalyDetected", "s[5m])) > 0", "s[5m])) > 0 and on () sum(rate(fastapi_requests_total[1m])) > 0"),
    ("GatewayDown", 'up{job="gatewayz-backend"} == 0', "up == 0"),
    ("GatewayMetricsMissing", "sum(up{", "count(up{"),
    ("GatewayMetricsMissing", "count(fastapi_app_info) or vector(0)", "count(fastapi_app_info)"),
    ("GatewayMetricsMissing", "> (count(fastapi", "!= (count(fastapi"),
    ("TelemetryDropped", "increase(gatewayz_telemetry_dropped_total[5m])", "gatewayz_telemetry_dropped_total"),
    ("ProviderAuthenticationFailed", 'error_kind="upstream_auth"', 'error_kind=~".*"'),
    ("ProviderAuthenticationFailed", "sum by (provider) (increase", "(increase"),
    ("ProviderQuotaExhausted", 'error_kind="upstream_quota"', 'error_kind!="upstream_auth"'),
    ("ProviderSlow", "and on (provider)\nprovider:provider_response_time_seconds_count:rate5m > 0.02", ""),
    ("ModelWithdrawn", "max by (provider, model) (gatewayz_model_listed)", "min by (provider, model) (gatewayz_model_listed)"),
    ("ModelWithdrawn", 'error_kind="model_unavailable"', 'error_kind=~".*"'),
    ("UpstreamQuotaNearlyUsed", "min by (provider, model, quota)", "max by (provider, model, quota)"),
    ("PlanBudgetNearlyUsed", "min by (plan, period)", "max by (plan, period)"),
    ("TargetDown", 'up{job!="gatewayz-backend"} == 0', "up == 0"),
    ("PrometheusRejecting", 'code=~"4..|500"', 'code=~"[45].."'),
    ("PrometheusRejecting", 'handler="/api/v1/otlp/v1/metrics", ', ""),
]  # fmt: skip

# The counters that are compared with their value before an outage: alert, counter, window, and whether another server than the gateway has it.
COUNTED = [
    ("AnomalyDetected", "gatewayz_detected_anomalies", "5m", False),
    ("ProviderAuthenticationFailed", 'gatewayz_attempt_failures_total{error_kind="upstream_auth"}', "5m", False),
    ("ProviderQuotaExhausted", 'gatewayz_attempt_failures_total{error_kind="upstream_quota"}', "5m", False),
    ("ModelWithdrawn", 'gatewayz_attempt_failures_total{error_kind="model_unavailable"}', "10m", False),
    ("UnpricedTraffic", "gatewayz_unpriced_tokens_total", "15m", False),
    ("LedgerRowsDropped", "gatewayz_ledger_rows_dropped_total", "15m", False),
    ("TelemetryDropped", "gatewayz_telemetry_dropped_total", "5m", False),
    ("SeriesOverflow", "gatewayz_telemetry_overflow_total", "5m", False),
    ("CollectorRefusing", "otelcol_receiver_refused_spans", "5m", True),
    ("CollectorRefusing", "otelcol_receiver_refused_metric_points", "5m", True),
    ("CollectorRefusing", "otelcol_receiver_refused_log_records", "5m", True),
    ("CollectorSendFailed", "otelcol_exporter_send_failed_spans", "5m", True),
    ("CollectorSendFailed", "otelcol_exporter_send_failed_metric_points", "5m", True),
    ("CollectorSendFailed", "otelcol_exporter_send_failed_log_records", "5m", True),
    ("PrometheusRejecting", 'prometheus_http_requests_total{handler="/api/v1/otlp/v1/metrics", code=~"4..|500"}', "5m", True),
    ("LokiDiscarding", "loki_discarded_samples_total", "5m", True),
    ("TempoDiscarding", "tempo_discarded_spans_total", "5m", True),
]  # fmt: skip


def wrong_after_an_outage() -> Iterator[tuple[str, str, str]]:
    """Yield the ways to get the comparison wrong: without the value before, without 0, without restarts, and old counts of a new server."""
    for alert, counter, window, is_scraped in COUNTED:
        last = f"last_over_time({counter}[6h] offset {window})"
        base = f"({last} <= {counter} or {counter} * 0)"
        yield alert, base, f"({counter} * 0)"
        yield alert, base, f"({last} <= {counter})"
        yield alert, base, f"({last} or {counter} * 0)"
        if is_scraped:
            known = "and on (job, instance) max_over_time(up[6h] offset 5m) == 1"
            yield alert, f"({counter} - {base}) {known}", f"({counter} - {base})"


async def test_every_rule_is_valid(binaries: dict[str, Path]) -> None:
    rules = sorted(RULES.glob("*.yml"))
    code, output = await command_output(binaries["promtool"], "check", "rules", "--lint=all", "--lint-fatal", *rules)
    assert code == 0, output


async def test_every_case_holds(binaries: dict[str, Path]) -> None:
    files = sorted((RULES / "tests").glob("*_test.yml"))
    code, output = await command_output(binaries["promtool"], "test", "rules", *files)
    assert code == 0, output
    assert output.count("SUCCESS") == len(files)


async def test_the_cases_notice_another_number_window_comparison_or_duration(
    binaries: dict[str, Path], tmp_path: Path, say: Callable[[str], None]
) -> None:
    tested = list(rule_mutations.mutants())
    alive = await mutant_runs.survivors(binaries["promtool"], tested, tmp_path)
    missed = [mutant[:4] for mutant in alive if not rule_mutations.is_equivalent(mutant)]
    say(f"{len(tested)} altered rules, {len(tested) - len(alive)} noticed, {len(alive) - len(missed)} cannot be")
    assert missed == []


async def test_the_cases_notice_a_wrong_expression(binaries: dict[str, Path], tmp_path: Path) -> None:
    wrong = [rule_mutations.rewritten(*each) for each in [*WRONG, *wrong_after_an_outage()]]
    assert [mutant[:4] for mutant in await mutant_runs.survivors(binaries["promtool"], wrong, tmp_path)] == []


@pytest.mark.parametrize("name", PROMETHEUS_FILES)
async def test_every_configuration_is_valid_and_reads_the_rules(
    binaries: dict[str, Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / "rules").symlink_to(RULES)
    (tmp_path / "targets").symlink_to(ROOT / "compose" / "prometheus" / "targets")
    (tmp_path / name).symlink_to(ROOT / "compose" / "prometheus" / name)
    promtool = binaries["promtool"]
    code, output = await command_output(promtool, "check", "config", "--lint=all", "--lint-fatal", tmp_path / name)
    assert code == 0, output
    assert output.count("rules found") == len(list(RULES.glob("*.yml")))


async def test_rules_in_the_main_file_are_refused_because_rules_belong_to_their_own_files(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text((RULES / "gateway.yml").read_text())
    code, output = await command_output(binaries["promtool"], "check", "config", path)
    assert code != 0
    assert "field groups not found" in output
