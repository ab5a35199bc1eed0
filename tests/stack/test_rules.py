"""Prometheus' own tool on what Prometheus reads: configurations, rules, and each rule's cases, which notice when a rule is changed."""

import asyncio
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "dashboards" / "rules"
PROMETHEUS_FILES = sorted(path.name for path in (ROOT / "compose" / "prometheus").glob("prometheus*.yml"))

BREAKER = 'max_over_time((max by (provider) (gatewayz_circuit_breaker_state{state="open"}))[1m:15s])'

# Ways to get a rule wrong, by the file of the cases that must notice: the documented mistake, and similar ones.
WRONG = [
    ("high_error_rate", "> 0.05", "> 0.03"),
    ("high_error_rate", "> 0.05", "> 0.11"),
    ("high_error_rate", 'status_code=~"5.."', 'status_code=~"[45].."'),
    ("high_error_rate", "and\n          sum(rate(fastapi_requests_total[5m])) > 0.1", ""),
    ("high_error_rate", "for: 5m", "for: 1m"),
    ("provider_health_degraded", "for: 10m", "for: 8m"),
    ("provider_health_degraded", "min by (provider) (gatewayz", "(gatewayz"),
    ("provider_health_degraded", "min by (provider)", "max by (provider)"),
    ("provider_health_degraded", "_score) < 0.7", "_score) <= 0.7"),
    ("high_latency", "for: 5m", "for: 1m"),
    ("high_latency", "histogram_quantile(0.95", "histogram_quantile(0.94"),
    ("high_latency", "sum by (le, path)", "sum by (le, path, instance)"),
    ("high_latency", 'path!~"/v1/(chat/completions|embeddings)"', 'path!~"none"'),
    ("high_latency", ")) > 30", ")) > 60"),
    ("circuit_breaker_open", BREAKER, 'max by (provider) (gatewayz_circuit_breaker_state{state="open"})'),
    ("circuit_breaker_open", "[1m:15s]", "[2m:15s]"),
    ("circuit_breaker_open", 'state="open"', 'state="closed"'),
    ("high_cost_rate", "for: 10m", "for: 18m"),
    ("high_cost_rate", "* 3600 > 100", "* 60 > 100"),
    ("high_cost_rate", "* 3600 > 100", "* 3600 > 80"),
    ("high_cost_rate", "sum(rate(gatewayz_cost_by_provider[10m]))", "rate(gatewayz_cost_by_provider[10m])"),
    ("high_cost_rate", "sum(rate(gatewayz_cost_by_provider[10m]))", "sum(delta(gatewayz_cost_by_provider[10m])) / 600"),
    ("anomaly_detected", "sum by (type) (increase(gatewayz_detected_anomalies[5m]))", "gatewayz_detected_anomalies"),
    ("anomaly_detected", "s[5m])) > 0", "s[5m])) > 0 and on () sum(rate(fastapi_requests_total[1m])) > 0"),
    ("pipeline", 'up{job="gatewayz-backend"} == 0', "up == 0"),
    ("pipeline", "sum(up{", "count(up{"),
    ("pipeline", "count(fastapi_app_info) or vector(0)", "count(fastapi_app_info)"),
    ("pipeline", "> (count(fastapi", "!= (count(fastapi"),
    ("pipeline", "increase(gatewayz_telemetry_dropped_total[5m])", "gatewayz_telemetry_dropped_total"),
]


async def promtool(binaries: dict[str, Path], *arguments: str | Path) -> tuple[int, str]:
    """Return its exit code and output."""
    process = await asyncio.create_subprocess_exec(
        binaries["promtool"], *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_every_rule_is_valid(binaries: dict[str, Path]) -> None:
    code, output = await promtool(
        binaries, "check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yml"))
    )
    assert code == 0, output


async def test_every_case_holds(binaries: dict[str, Path]) -> None:
    files = sorted((RULES / "tests").glob("*_test.yml"))
    code, output = await promtool(binaries, "test", "rules", *files)
    assert code == 0, output
    assert output.count("SUCCESS") == len(files)


@pytest.mark.parametrize(("cases", "right", "wrong"), WRONG)
async def test_the_cases_notice_a_wrong_rule(
    binaries: dict[str, Path], tmp_path: Path, cases: str, right: str, wrong: str
) -> None:
    shutil.copytree(RULES, tmp_path / "rules")
    changed = 0
    for path in (tmp_path / "rules").glob("*.yml"):
        text = path.read_text()
        changed += text.count(right)
        path.write_text(text.replace(right, wrong))
    assert changed, "the rule no longer has what is to be got wrong"
    code, output = await promtool(binaries, "test", "rules", tmp_path / "rules" / "tests" / f"{cases}_test.yml")
    assert code != 0
    assert "exp:" in output, "the wrong rule is to be a valid one"


@pytest.mark.parametrize("name", PROMETHEUS_FILES)
async def test_every_configuration_is_valid_and_reads_the_rules(
    binaries: dict[str, Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / "rules").symlink_to(RULES)
    (tmp_path / "targets").symlink_to(ROOT / "compose" / "prometheus" / "targets")
    (tmp_path / name).symlink_to(ROOT / "compose" / "prometheus" / name)
    code, output = await promtool(binaries, "check", "config", "--lint=all", "--lint-fatal", tmp_path / name)
    assert code == 0, output
    assert output.count("rules found") == 2


async def test_rules_in_the_main_file_are_refused_because_rules_belong_to_their_own_files(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text((RULES / "gateway.yml").read_text())
    code, output = await promtool(binaries, "check", "config", path)
    assert code != 0
    assert "field groups not found" in output
