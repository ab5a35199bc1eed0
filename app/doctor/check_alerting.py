"""Checks that rules are loaded and evaluate, that alerts reach a receiver, and that Grafana shows and links them."""

import re
from http import HTTPStatus
from typing import Final

import msgspec

from app.counted import counted
from app.doctor.check_gateway import shown
from app.doctor.check_stores import reachable
from app.doctor.facts import Facts
from app.doctor.findings import Check, Verdict, broken, ok, unknown, unused
from app.doctor.web import read_json

_RECEIVER: Final = re.compile(r"^\s*-?\s*(\w+)_configs:", re.MULTILINE)
_TYPES: Final = ("prometheus", "loki", "tempo")
_NO_SOURCES: Final = (
    "its data sources may not be read: put a service account's token into GATEWAYZ_DOCTOR_GRAFANA_TOKEN"
)


class _Config(msgspec.Struct):
    original: str


class _Status(msgspec.Struct):
    """What is read of Alertmanager's `/api/v2/status`."""

    config: _Config


def _rules(facts: Facts) -> Verdict:
    count, errors = facts.prometheus.rules, facts.prometheus.rule_errors
    if not facts.servers["prometheus"].url:
        return unused()
    if count is None:
        return unknown("Prometheus did not report it")
    if errors:
        return broken(
            f"{counted(len(errors), 'failing rule')}: {shown(list(errors))}",
            "correct the expression under dashboards/rules/ and reload Prometheus",
        )
    if not count:
        return broken("no rule is loaded", "rule_files of prometheus.yml must find the files of dashboards/rules/")
    return ok(f"{count} rules, none fails")


def _connected(facts: Facts) -> Verdict:
    count = facts.prometheus.alertmanagers
    if not facts.servers["prometheus"].url or not facts.servers["alertmanager"].url:
        return unused()
    if count is None:
        return unknown("Prometheus did not report it")
    if not count:
        return broken(
            "Prometheus knows no Alertmanager", "name it in targets/alertmanager.yml (alerting in prometheus.yml)"
        )
    return ok(f"Prometheus sends to {count}")


def _receivers(facts: Facts) -> Verdict:
    document = read_json(facts.servers["alertmanager_status"].body, _Status)
    if document is None:
        return unknown("Alertmanager did not report it")
    kinds = sorted(set(_RECEIVER.findall(document.config.original)))
    if not kinds:
        return broken(
            "alerts are sent to no receiver",
            "give the route's receiver a webhook_configs or the like in compose/alertmanager/alertmanager.yml",
        )
    return ok(f"receivers by {shown(kinds)}")


def _grafana(facts: Facts) -> Verdict:
    server = facts.servers["grafana"]
    if not server.url:
        return unused()
    if not server.responds:
        return unknown(f"not running ({server.trouble}); it is optional")
    if server.status != HTTPStatus.OK:
        return broken(
            f"{server.url}/api/health returned {server.status}",
            "Grafana's log names what it lacks, most often its database",
        )
    return ok(f"{server.url} is healthy")


def _sources(facts: Facts) -> Verdict:
    if not facts.servers["grafana"].responds:
        return unknown("Grafana is not running")
    if facts.data_sources is None:
        return unknown(_NO_SOURCES)
    types = {source.type for source in facts.data_sources}
    missing = [kind for kind in _TYPES if kind not in types]
    if missing:
        return broken(
            f"no data source of type {shown(missing)}", "provision it: dashboards/grafana/provisioning/ has the file"
        )
    return ok("Prometheus, Loki and Tempo")


def _links(facts: Facts) -> Verdict:
    by_type = {source.type: source for source in facts.data_sources or ()}
    if not all(kind in by_type for kind in _TYPES):
        return unknown("not all data sources exist")
    prometheus, loki, tempo = (by_type[kind] for kind in _TYPES)
    links = (
        (
            "Prometheus -> Tempo (exemplarTraceIdDestinations)",
            tempo,
            prometheus.json_data.exemplar_trace_id_destinations,
        ),
        ("Loki -> Tempo (derivedFields)", tempo, loki.json_data.derived_fields),
        ("Tempo -> Loki (tracesToLogsV2)", loki, (tempo.json_data.traces_to_logs_v2,)),
        ("Tempo -> Prometheus (tracesToMetrics)", prometheus, (tempo.json_data.traces_to_metrics,)),
    )
    lost = [name for name, target, ends in links if target.uid not in {end.datasource_uid for end in ends}]
    if lost:
        return broken(
            f"links that lead nowhere: {shown(lost)}",
            "each datasourceUid in jsonData must be the uid of the data source that the link opens",
        )
    return ok("exemplar to trace, line to trace, trace to logs, trace to metrics")


ALERTING_CHECKS: Final[tuple[Check[Facts], ...]] = (
    Check(name="alerting.rules", judge=_rules, needs=("prometheus.reachable",)),
    Check(name="alertmanager.reachable", judge=reachable("alertmanager", "Alertmanager")),
    Check(name="alertmanager.connected", judge=_connected, needs=("prometheus.reachable",)),
    Check(name="alertmanager.receivers", judge=_receivers, needs=("alertmanager.reachable",)),
    Check(name="grafana.reachable", judge=_grafana),
    Check(name="grafana.data_sources", judge=_sources, needs=("grafana.reachable",)),
    Check(name="grafana.links", judge=_links, needs=("grafana.reachable", "grafana.data_sources")),
)
