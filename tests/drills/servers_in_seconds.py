"""Writes what a stack of drills runs with: the shipped rules, Prometheus' and Alertmanager's files, minutes made seconds."""

import shutil
from pathlib import Path

from compose.native.servers import ROOT, Choices
from tests.drills import in_seconds


def choices_in_seconds(folder: Path, gateway_url: str, webhook_url: str) -> Choices:
    """Write the files into a folder; return the choices of a stack that uses them."""
    prometheus = folder / "prometheus.yml"
    prometheus.write_text(in_seconds.prometheus((ROOT / "compose" / "prometheus" / "prometheus.yml").read_text()))
    alertmanager = folder / "alertmanager.yml"
    templates = ROOT / "compose" / "alertmanager" / "templates"
    if templates.exists():
        shutil.copytree(templates, folder / "templates")
    alertmanager.write_text(
        in_seconds.alertmanager((ROOT / "compose" / "alertmanager" / "alertmanager.yml").read_text())
    )
    return Choices(
        prometheus_file=prometheus,
        prometheus_flags=(f"--query.lookback-delta={in_seconds.LOOKBACK_SECONDS}s",),
        alertmanager_file=alertmanager,
        rules=in_seconds.write_rules(folder / "rules"),
        gateway_address=gateway_url.removeprefix("http://"),
        webhook_url=webhook_url,
    )
