"""Every combination of the Collector's files is a whole configuration, and a wrong one is refused."""

import asyncio
import itertools
import os
from pathlib import Path

import pytest

from compose.native.servers import collector_arguments

SIGNALS = ("metrics.yaml", "traces.yaml", "logs.yaml")
OVERLAYS = ("console.yaml", "tail-sampling.yaml", "debugging.yaml", "own-logs.yaml", "tls-tokens.yaml")


def combinations() -> list[tuple[str, ...]]:
    """Each set of signals by itself, and all signals (by either way of metrics) with each set of overlays."""
    alone = [("base.yaml", *chosen) for count in (1, 2) for chosen in itertools.combinations(SIGNALS, count)]
    whole = [
        ("base.yaml", metrics, "traces.yaml", "logs.yaml", *overlays)
        for metrics in ("metrics.yaml", "remote-write.yaml")
        for count in range(len(OVERLAYS) + 1)
        for overlays in itertools.combinations(OVERLAYS, count)
    ]
    return alone + whole


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `tls-tokens.yaml` cannot do without; the certificate is only read at the start."""
    folder = tmp_path_factory.mktemp("tls")
    return {
        **os.environ,
        "COLLECTOR_DATA": str(folder),
        "COLLECTOR_TOKEN": "made-up",
        "COLLECTOR_TLS_CERT_FILE": str(folder / "certificate.pem"),
        "COLLECTOR_TLS_KEY_FILE": str(folder / "key.pem"),
    }


async def validate(binary: Path, files: tuple[str | Path, ...], environ: dict[str, str]) -> tuple[int, str]:
    """Return exit code and output of `otelcol validate`."""
    process = await asyncio.create_subprocess_exec(
        binary,
        "validate",
        *collector_arguments(files),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_every_combination_of_files_is_valid(binaries: dict[str, Path], environ: dict[str, str]) -> None:
    lanes = asyncio.Semaphore(2)

    async def checked(files: tuple[str, ...]) -> tuple[int, str]:
        async with lanes:
            return await validate(binaries["otelcol"], files, environ)

    found = combinations()
    responses = await asyncio.gather(*(checked(files) for files in found))
    assert {files: said for files, (code, said) in zip(found, responses, strict=True) if code} == {}
    deprecated = {
        files: said for files, (_, said) in zip(found, responses, strict=True) if "deprecated" in said.lower()
    }
    assert deprecated == {}


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("service: { pipelines: { logs: { exporters: [nowhere] } } }", "nowhere"),
        ("processors: { transform/redact: { log_statements: [ 'set(log.body,' ] } }", "log.body"),
        ("exporters: { otlp_http/loki: { sending_queue: { queue_sizes: 1 } } }", "queue_sizes"),
    ],
)
async def test_a_wrong_configuration_is_refused(
    binaries: dict[str, Path], environ: dict[str, str], tmp_path: Path, wrong: str, complaint: str
) -> None:
    (tmp_path / "wrong.yaml").write_text(wrong)
    files = ("base.yaml", "metrics.yaml", "traces.yaml", "logs.yaml", tmp_path / "wrong.yaml")
    code, said = await validate(binaries["otelcol"], files, environ)
    assert code != 0
    assert complaint in said


async def test_tokens_are_asked_for(binaries: dict[str, Path], environ: dict[str, str]) -> None:
    without = {name: value for name, value in environ.items() if name != "COLLECTOR_TOKEN"}
    code, said = await validate(binaries["otelcol"], ("base.yaml", "logs.yaml", "tls-tokens.yaml"), without)
    assert code != 0
    assert "bearertokenauth" in said
