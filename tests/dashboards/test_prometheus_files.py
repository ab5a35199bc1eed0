"""The three ways to fill Prometheus differ in how samples arrive, and in nothing else."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DROP_ALL = [{"source_labels": ["__name__"], "regex": ".+", "action": "drop"}]


def prometheus(name):
    return yaml.safe_load((ROOT / "compose" / "prometheus" / name).read_text())


def collector(name):
    return yaml.safe_load((ROOT / "collector-config" / name).read_text())


def job(document, name="gatewayz-backend"):
    (found,) = [each for each in document["scrape_configs"] if each["job_name"] == name]
    return found


def test_remote_write_differs_from_the_main_file_by_the_otlp_receiver_alone():
    main, remote_write = prometheus("prometheus.yml"), prometheus("prometheus.remote-write.yml")
    assert main.pop("otlp")["translation_strategy"] == "UnderscoreEscapingWithoutSuffixes"
    assert remote_write == main


def test_scrape_only_alerts_and_keeps_as_the_main_file_does():
    main, scrape_only = prometheus("prometheus.yml"), prometheus("prometheus.scrape-only.yml")
    assert "otlp" not in scrape_only
    for key in ("global", "rule_files", "alerting"):
        assert scrape_only[key] == main[key]
    del main["storage"]["tsdb"]["out_of_order_time_window"]  # a scrape is never out of order
    assert scrape_only["storage"] == main["storage"]


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.remote-write.yml"])
def test_where_metrics_are_pushed_the_scrape_keeps_nothing(name):
    assert job(prometheus(name))["metric_relabel_configs"] == DROP_ALL


def test_where_nothing_is_pushed_the_scrape_keeps_everything():
    scrape = job(prometheus("prometheus.scrape-only.yml"))
    assert "metric_relabel_configs" not in scrape
    assert scrape["metrics_path"] == "/metrics"
    assert scrape["file_sd_configs"] == job(prometheus("prometheus.yml"))["file_sd_configs"]


def test_the_collector_sends_the_same_by_remote_write():
    otlp, remote_write = collector("metrics.yaml"), collector("remote-write.yaml")
    (exporter,) = remote_write["exporters"].values()
    assert exporter["translation_strategy"] == prometheus("prometheus.yml")["otlp"]["translation_strategy"]
    assert exporter["retry_on_failure"] == next(iter(otlp["exporters"].values()))["retry_on_failure"]
    assert exporter["remote_write_queue"]["num_consumers"] == 1
    pipeline, other = (each["service"]["pipelines"]["metrics"] for each in (otlp, remote_write))
    assert pipeline["receivers"] == other["receivers"]
    assert set(pipeline["processors"]) <= set(other["processors"])
