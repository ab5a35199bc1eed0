"""Gateways without a pipeline, with one whose stores are not followed, and fresh ones: what cannot be seen yet is not called broken."""

import itertools

import msgspec
import pytest

from app.doctor.checks import CHECKS
from app.doctor.findings import Finding, State, judge_all
from app.doctor.report import as_table
from app.doctor.settings import DEFAULTS

NO_STORES = {"prometheus": "", "loki": "", "tempo": "", "alertmanager": "", "grafana": ""}


def states(findings, state) -> set[str]:
    return {name for name, each in findings.items() if each.state is state}


async def test_an_export_that_comes_late_is_waited_for_where_no_store_is_followed(pipeline):
    scrapes = itertools.count()
    complete = pipeline.gateway_metrics

    def slowly() -> str:
        pipeline.is_refused = next(scrapes) < 12  # nothing is exported yet
        return complete()

    pipeline.gateway_metrics = slowly
    addresses = pipeline.settings().addresses | NO_STORES
    findings = await pipeline.findings(addresses=addresses)
    assert states(findings, State.BROKEN) == set()
    assert {f"export.{signal}_taken" for signal in ("traces", "metrics", "logs")} <= states(findings, State.OK)
    assert {"prometheus.names", "loki.line", "tempo.trace", "alerting.rules", "grafana.links"} <= states(
        findings, State.UNUSED
    )


async def test_an_export_that_never_comes_is_broken_once_it_had_the_time(pipeline):
    pipeline.is_refused = True
    pipeline.extra_gateway_lines = 'gatewayz_telemetry_queued_items{signal="logs"} 3\n'
    findings = await pipeline.findings(addresses=pipeline.settings().addresses | NO_STORES)
    assert {"export.traces_taken", "export.logs_taken"} <= states(findings, State.BROKEN)
    assert "OTEL_TRACES_SAMPLER" in findings["export.traces_taken"].fix


async def test_an_export_that_had_no_time_is_unknown(pipeline):
    pipeline.is_refused = True
    pipeline.extra_gateway_lines = 'gatewayz_telemetry_queued_items{signal="logs"} 3\n'
    findings = await pipeline.findings(addresses=pipeline.settings().addresses | NO_STORES, timeout_seconds=4.0)
    assert states(findings, State.BROKEN) == set()
    assert "wait for their batch" in findings["export.logs_taken"].found


async def test_a_collection_from_before_the_request_says_nothing_about_it(pipeline):
    pipeline.scrapes_by_an_old_collection = 1_000_000
    complete = pipeline.gateway_metrics
    pipeline.gateway_metrics = lambda: "".join(
        line for line in complete().splitlines(keepends=True) if "fastapi_requests" not in line
    )
    findings = await pipeline.findings()
    assert findings["gateway.families"].state is State.UNKNOWN
    assert "share_seconds" in findings["gateway.families"].found


async def test_a_collection_with_the_request_is_waited_for(pipeline):
    scrapes = itertools.count()
    complete = pipeline.gateway_metrics

    def slowly() -> str:
        text = complete()
        is_fresh = next(scrapes) < 6
        return "".join(
            line for line in text.splitlines(keepends=True) if not is_fresh or "fastapi_requests" not in line
        )

    pipeline.gateway_metrics = slowly
    assert (await pipeline.findings())["gateway.families"].state is State.OK


async def test_without_otlp_there_is_no_collector_and_no_export_to_judge(pipeline):
    pipeline.pushed = set()
    addresses = dict.fromkeys(DEFAULTS, "") | {"gateway": f"{pipeline.url}/gateway"}
    findings = await pipeline.findings(addresses=addresses, otlp={})
    assert states(findings, State.BROKEN) == set()
    hops = {name.partition(".")[0] for name in states(findings, State.OK)}
    assert hops == {"gateway", "clock", "export"}
    assert not {name for name in states(findings, State.UNKNOWN) if not name.startswith("clock")}
    table = as_table(list(findings.values()))
    assert "left out" not in table
    assert "collector.reachable" not in table
    assert "not used: " in table
    assert "healthy: " in table


async def test_without_otlp_a_gateway_that_pushes_is_judged_by_what_it_counts(pipeline):
    addresses = dict.fromkeys(DEFAULTS, "") | {"gateway": f"{pipeline.url}/gateway"}
    assert states(await pipeline.findings(addresses=addresses, otlp={}), State.BROKEN) == set()
    pipeline.is_refused = True
    pipeline.extra_gateway_lines = 'gatewayz_telemetry_dropped_total{signal="logs",reason="rejected"} N\n'
    assert "export.logs_taken" in states(await pipeline.findings(addresses=addresses, otlp={}), State.BROKEN)


async def test_where_no_pipeline_responds_the_option_that_leaves_it_out_is_named(pipeline):
    pipeline.down = {"otlp", "collector_health", "collector_metrics", "prometheus", "loki", "tempo"}
    findings = await pipeline.findings()
    assert "--otlp off" in findings["collector.reachable"].fix
    assert as_table(list(findings.values())).splitlines()[-1] == (
        "no pipeline, as beside `gatewayz serve --console`? `gatewayz doctor --otlp off` leaves it out"
    )
    pipeline.down = {"prometheus"}
    assert "--otlp off" not in as_table(list((await pipeline.findings()).values()))


def test_one_check_is_no_checks():
    unused = [Finding(check=name, state=State.UNUSED, found="") for name in ("a.b", "a.c")]
    fine = Finding(check="x.y", state=State.OK, found="")
    assert "not used: 1 check of a\n" in as_table([fine, unused[0]])
    assert "not used: 2 checks of a\n" in as_table([fine, *unused])


@pytest.mark.parametrize(("timeout_seconds", "state"), [(15.0, State.OK), (6.0, State.UNKNOWN)])
async def test_without_otlp_the_next_push_of_metrics_is_waited_for(pipeline, timeout_seconds, state):
    scrapes = itertools.count()
    complete = pipeline.gateway_metrics

    def pushed_late() -> str:
        pipeline.is_refused = next(scrapes) < 40
        return complete()

    pipeline.gateway_metrics = pushed_late
    addresses = dict.fromkeys(DEFAULTS, "") | {"gateway": f"{pipeline.url}/gateway"}
    findings = await pipeline.findings(addresses=addresses, otlp={}, timeout_seconds=timeout_seconds)
    found = findings["export.metrics_taken"]
    assert found.state is state
    if state is State.UNKNOWN:
        assert "run the doctor with a --timeout above the gateway's OTEL_METRIC_EXPORT_INTERVAL" in found.found


@pytest.mark.parametrize(
    ("status", "changes", "fix"),
    [
        (401, {"api_key": "gwz_wrong"}, "GATEWAYZ_DOCTOR_KEY"),
        (404, {"api_key": "gwz_k", "model": "nope"}, "--model"),
        (404, {}, "--gateway"),
        (429, {"api_key": "gwz_k"}, "another plan"),
        (403, {"api_key": "gwz_k"}, "docs/gateway.md"),
        (302, {"api_key": "gwz_k"}, "docs/gateway.md"),
    ],
)
async def test_a_response_that_was_not_to_be_expected_is_a_finding(pipeline, status, changes, fix):
    path = "/gateway/v1/chat/completions" if "model" in changes else "/gateway/v1/models"
    pipeline.responses[path] = (status, {"error": {}})
    finding = (await pipeline.findings(timeout_seconds=0.5, **changes))["gateway.request"]
    assert finding.state is State.BROKEN
    assert str(status) in finding.found
    assert fix in finding.fix


async def test_without_a_key_401_is_the_right_response(pipeline):
    facts = await pipeline.observe(timeout_seconds=0.5)
    marked = msgspec.structs.replace(facts.marked, status=401)
    findings = {each.check: each for each in judge_all(CHECKS, msgspec.structs.replace(facts, marked=marked))}
    assert findings["gateway.request"].state is State.OK
    assert "without a key" in findings["gateway.request"].found


async def test_settings_that_the_gateway_ignored_are_named_where_it_pushes_nothing(pipeline):
    pipeline.pushed = {"metrics", "logs"}
    pipeline.extra_gateway_lines = "gatewayz_telemetry_ignored_settings 2\n"
    finding = (await pipeline.findings(timeout_seconds=0.5))["export.traces_on"]
    assert finding.state is State.BROKEN
    assert "warned of 2 OTEL_* settings" in finding.found
