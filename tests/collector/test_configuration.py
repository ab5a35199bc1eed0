"""What every file of `collector-config/` must keep to, read from the files themselves."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "collector-config"
FILES: Final = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.yaml"))}
CONFIGS: Final[dict[str, dict[str, Any]]] = {name: yaml.safe_load(text) for name, text in FILES.items()}
VARIABLE: Final = re.compile(r"\$\{env:(\w+)(:-[^}]*)?\}")
KINDS: Final = ("extensions", "receivers", "processors", "exporters", "connectors")
SIGNAL_FILES: Final = ("metrics.yaml", "remote-write.yaml", "traces.yaml", "logs.yaml")


def merged(*names: str) -> dict[str, Any]:
    """The files as the Collector merges them: maps grow together, everything else is replaced."""

    def merge(into: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        for key, value in other.items():
            into[key] = merge(dict(into.get(key) or {}), value) if isinstance(value, dict) else value
        return into

    config: dict[str, Any] = {}
    for name in names:
        merge(config, CONFIGS[name])
    return config


WHOLE: Final = merged("base.yaml", "metrics.yaml", "traces.yaml", "logs.yaml")
EVERYTHING: Final = merged(*FILES)


def test_every_file_says_at_its_top_what_it_adds() -> None:
    assert {name for name, text in FILES.items() if not text.startswith("# ")} == set()


def test_every_component_is_built_into_the_collector() -> None:
    manifest = yaml.safe_load((ROOT / "compose" / "native" / "collector" / "manifest.yaml").read_text())
    for kind in KINDS:
        modules = [entry["gomod"].split()[0].rsplit("/", 1)[-1] for entry in manifest[kind]]
        built = {module.removesuffix(kind.removesuffix("s")) for module in modules}
        types = {component.split("/")[0] for component in EVERYTHING.get(kind, {})}
        assert {"otlp" if name == "otlp_grpc" else name.replace("_", "") for name in types} <= built, kind


def test_pipelines_refuse_before_they_work_and_keep_nothing_in_memory() -> None:
    for name, pipeline in WHOLE["service"]["pipelines"].items():
        assert pipeline["processors"][0] == "memory_limiter", name
    types = {component.split("/")[0] for component in EVERYTHING["processors"]}
    assert "batch" not in types


def test_secrets_are_redacted_in_every_pipeline_of_traces_and_logs() -> None:
    for pipelines in (WHOLE["service"]["pipelines"], CONFIGS["debugging.yaml"]["service"]["pipelines"]):
        for name, pipeline in pipelines.items():
            assert "transform/redact" in pipeline["processors"], name
            if not name.startswith("metrics"):
                assert "redaction/keys" in pipeline["processors"], name


@pytest.mark.parametrize("name", ["metrics.yaml", "traces.yaml", "logs.yaml"])
def test_what_is_acknowledged_waits_on_disk_and_is_tried_indefinitely(name: str) -> None:
    signal = name.removesuffix(".yaml")
    (exporter,) = CONFIGS[name]["exporters"].values()
    queue = exporter["sending_queue"]
    assert queue["storage"] == f"file_storage/{signal}"
    assert queue["sizer"] == "bytes"
    assert queue["queue_size"].startswith("${env:COLLECTOR_QUEUE_BYTES:-")
    assert exporter["retry_on_failure"]["max_elapsed_time"] == 0
    assert 0 < queue["batch"]["min_size"] <= queue["batch"]["max_size"]
    assert f"file_storage/{signal}" in CONFIGS["base.yaml"]["service"]["extensions"]


def test_the_console_holds_up_no_store() -> None:
    exporter = CONFIGS["console.yaml"]["exporters"]["otlp_http/console"]
    queue, seconds, items_a_second = exporter["sending_queue"], 15, 1_500 * 3
    assert exporter["retry_on_failure"]["max_elapsed_time"] == f"${{env:CONSOLE_PATIENCE:-{seconds}s}}"
    assert "storage" not in queue
    assert queue["batch"]["flush_timeout"] == "500ms"
    assert queue["num_consumers"] > seconds * max(items_a_second / queue["batch"]["min_size"], 1 / 0.5)
    assert queue["queue_size"] > seconds * items_a_second * 700
    # Measured: 5 KB of memory for each span and log record that waits.
    memory_mib = int(CONFIGS["base.yaml"]["processors"]["memory_limiter"]["limit_mib"].rpartition("-")[2].rstrip("}"))
    assert seconds * items_a_second * 5_000 < 0.7 * memory_mib * 2**20
    for name, pipeline in CONFIGS["console.yaml"]["service"]["pipelines"].items():
        assert pipeline["processors"][:2] == ["memory_limiter", "transform/redact"], name
        assert ("redaction/keys" in pipeline["processors"]) == (not name.startswith("metrics")), name


def test_the_queues_of_the_signals_are_in_different_files() -> None:
    storages = [value for name, value in WHOLE["extensions"].items() if name.startswith("file_storage/")]
    assert len({storage["directory"] for storage in storages}) == 3
    assert all(storage["recreate"] and storage["create_directory"] for storage in storages)


def test_job_is_set_on_logs_alone() -> None:
    pipelines = EVERYTHING["service"]["pipelines"]
    assert [name for name, pipeline in pipelines.items() if "resource/job" in pipeline.get("processors", ())] == [
        "logs"
    ]


def test_an_overlay_that_replaces_a_list_keeps_what_was_in_it() -> None:
    base = CONFIGS["base.yaml"]["service"]["extensions"]
    assert CONFIGS["tls-tokens.yaml"]["service"]["extensions"][: len(base)] == base
    sampling = CONFIGS["tail-sampling.yaml"]["service"]["pipelines"]
    for name in ("metrics.yaml", "remote-write.yaml"):
        receivers = CONFIGS[name]["service"]["pipelines"]["metrics"]["receivers"]
        assert sampling["metrics"]["receivers"][: len(receivers)] == receivers
    assert (
        sampling["traces/sampled"]["exporters"] == CONFIGS["traces.yaml"]["service"]["pipelines"]["traces"]["exporters"]
    )


def test_everything_listens_where_it_is_told_to() -> None:
    listening = [
        CONFIGS["base.yaml"]["extensions"]["health_check"]["endpoint"],
        *(each["endpoint"] for each in CONFIGS["base.yaml"]["receivers"]["otlp"]["protocols"].values()),
        *(
            reader["pull"]["exporter"]["prometheus"]["host"]
            for reader in CONFIGS["base.yaml"]["service"]["telemetry"]["metrics"]["readers"]
        ),
    ]
    assert len(listening) == 4
    assert all(each.startswith("${env:STACK_LISTEN:-127.0.0.1}") for each in listening)


def test_every_variable_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "collector.md").read_text()
    found = {match[1]: (match[2] or ":-none")[2:] for text in FILES.values() for match in VARIABLE.finditer(text)}
    assert {name for name in found if f"`{name}`" not in page} == set()
    plain = {name: default for name, default in found.items() if default[0].isdigit()}
    assert {name: default for name, default in plain.items() if default not in page} == {}


def test_every_file_is_in_the_page() -> None:
    page = (ROOT / "docs" / "collector.md").read_text()
    assert {name for name in FILES if f"| `{name}` |" not in page} == set()


def test_what_speaks_http_has_no_key_that_nobody_reads() -> None:
    """This version of the Collector passes over misspelled keys of HTTP clients and servers without a word."""
    exporters = [value for name, value in EVERYTHING["exporters"].items() if name.startswith("otlp_http/")]
    known = {"endpoint", "timeout", "retry_on_failure", "sending_queue", "tls", "headers", "auth", "compression"}
    assert [exporter.keys() - known for exporter in exporters] == [set()] * 3
    server = EVERYTHING["receivers"]["otlp"]["protocols"]["http"]
    assert server.keys() <= {"endpoint", "tls", "auth"}
    assert EVERYTHING["extensions"]["health_check"].keys() == {"endpoint"}
