from pathlib import Path

import pytest

from bench.baselines import Baselines, find_baselines
from bench.environment import Bench
from bench.gateway_variants import baseline_variants, gateway_variants

OTLP = "http://127.0.0.1:4318"
CONSOLE = "http://127.0.0.1:4328"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, "http://127.0.0.1:9000")
    made.secret = "gwz_secret"
    return made


def test_baselines_that_are_not_installed_are_skipped_by_name_with_what_installs_them(
    bench: Bench, tmp_path: Path
) -> None:
    found = find_baselines(tmp_path / "nothing", "/usr/bin/node")
    variants, skipped = baseline_variants(bench, OTLP, found)
    assert variants == []
    assert skipped == dict.fromkeys(("Portkey", "LiteLLM"), "it is not installed; make bench-baselines installs it")


def test_portkey_without_node_is_skipped_for_that_reason(bench: Bench, tmp_path: Path) -> None:
    found = Baselines(node=None, portkey=tmp_path / "start-server.js", litellm=None)
    assert baseline_variants(bench, OTLP, found)[1]["Portkey"] == "Node.js is not installed"


def test_installed_baselines_are_found_and_reach_upstream_and_otlp_endpoint(bench: Bench, tmp_path: Path) -> None:
    portkey = tmp_path / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    litellm = tmp_path / "litellm/bin/litellm"
    for path in (portkey, litellm):
        path.parent.mkdir(parents=True)
        path.touch()
    variants, skipped = baseline_variants(bench, OTLP, find_baselines(tmp_path, "/usr/bin/node"))
    by_name = {variant.name: variant for variant in variants}
    assert skipped == {}
    assert by_name["Portkey"].headers["x-portkey-custom-host"] == "http://127.0.0.1:9000/healthy/v1"
    assert str(portkey) in by_name["Portkey"].arguments
    assert by_name["LiteLLM"].environ["OTEL_ENDPOINT"] == OTLP
    config = (tmp_path / "litellm.yaml").read_text()
    assert 'api_base: "http://127.0.0.1:9000/healthy/v1"' in config
    assert "callbacks: [prometheus, otel]" in config
    assert not any(variant.required for variant in variants)


def test_only_the_gateway_with_everything_on_exports(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://production:4318")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    variants = {variant.name: variant for variant in gateway_variants(bench, OTLP, CONSOLE)}
    exporting = {
        name: {key: value for key, value in each.environ.items() if key.startswith("OTEL_")}
        for name, each in variants.items()
    }
    assert exporting == {
        "bare": {},
        "off": {},
        "on": {"OTEL_EXPORTER_OTLP_ENDPOINT": OTLP},
        "console": {"OTEL_EXPORTER_OTLP_ENDPOINT": CONSOLE},
    }
    configs = {name: Path(variants[name].arguments[2]).read_text() for name in ("off", "on")}
    assert "[telemetry]\nenabled = false" in configs["off"]
    assert "[telemetry]\nenabled = true" in configs["on"]
    assert all(variant.required for variant in variants.values())
