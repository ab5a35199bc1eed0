"""The servers that `bench.gateway` compares, each started as its users start it."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bench import external_server, pass_through
from bench.baselines import INSTALL, Baselines
from bench.environment import DIRECT_MODEL, Bench
from demo.environment import GATEWAY_READY_LINE

BARE, OFF, ON, CONSOLE, PORTKEY, LITELLM = "bare", "off", "on", "console", "Portkey", "LiteLLM"
EXPLAINED = {
    BARE: "Litestar and aiohttp as a pass-through, nothing else",
    OFF: "the gateway with telemetry off",
    ON: "the gateway with metrics, traces and logs, all exported",
    CONSOLE: "the same, exported to a console, which works on the load's core",
    PORTKEY: "Portkey's gateway, which has no telemetry",
    LITELLM: "LiteLLM's proxy with its Prometheus and OpenTelemetry callbacks",
}
MASTER_KEY = "sk-bench"
LOOPBACK = Path(__file__).with_name("loopback.cjs")
START_SECONDS = 120.0
"""LiteLLM imports for a long time on one core."""

_LITELLM_FILE = """
model_list:
  - model_name: {model}
    litellm_params: {{model: openai/{model}, api_base: "{upstream}", api_key: sk-upstream}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false, num_retries: 0, callbacks: [prometheus, otel]}}
"""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One server. `arguments` follow `python -m`; `headers` are those of each request.

    The run goes on without one that is not `required` when it fails.
    """

    name: str
    arguments: tuple[str, ...]
    environ: dict[str, str]
    headers: dict[str, str]
    ready_line: str
    required: bool


def gateway_variants(bench: Bench, otlp_url: str, console_url: str) -> list[Variant]:
    """Return the pass-through and the gateway, without telemetry, with it, and with a console behind it."""
    bare = Variant(
        name=BARE,
        arguments=("bench.pass_through", _upstream(bench)),
        environ=_environ({}),
        headers=_headers("none"),
        ready_line=pass_through.READY_LINE,
        required=True,
    )
    return [
        bare,
        *(
            Variant(
                name=name,
                arguments=("app", "--config", str(bench.write_config(telemetry=bool(url))), "serve"),
                environ=_environ({"OTEL_EXPORTER_OTLP_ENDPOINT": url} if url else {}),
                headers=_headers(bench.secret),
                ready_line=GATEWAY_READY_LINE,
                required=True,
            )
            for name, url in ((OFF, ""), (ON, otlp_url), (CONSOLE, console_url))
        ),
    ]


def baseline_variants(bench: Bench, otlp_url: str, found: Baselines) -> tuple[list[Variant], dict[str, str]]:
    """Return the other gateways that are installed, and for the others the reason by name."""
    variants, skipped = [], {}
    if found.portkey is None or found.node is None:
        skipped[PORTKEY] = f"it is not installed; {INSTALL}" if found.node else "Node.js is not installed"
    else:
        command = (found.node, "--require", str(LOOPBACK), str(found.portkey), "--port={port}", "--headless")
        provider = {"x-portkey-provider": "openai", "x-portkey-custom-host": _upstream(bench)}
        variants.append(_external(PORTKEY, command, {"NODE_ENV": "production"}, _headers("sk-upstream") | provider))
    if found.litellm is None:
        skipped[LITELLM] = f"it is not installed; {INSTALL}"
    else:
        config = bench.folder / "litellm.yaml"
        config.write_text(_LITELLM_FILE.format(model=DIRECT_MODEL, upstream=_upstream(bench), key=MASTER_KEY))
        proxy = (str(found.litellm), "--config", str(config), "--host", "127.0.0.1", "--port", "{port}")
        environ = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "OTEL_EXPORTER": "otlp_http",
            "OTEL_ENDPOINT": otlp_url,
        }
        variants.append(_external(LITELLM, proxy, environ, _headers(MASTER_KEY)))
    return variants, skipped


def _external(name: str, command: tuple[str, ...], environ: Mapping[str, str], headers: dict[str, str]) -> Variant:
    return Variant(
        name=name,
        arguments=("bench.external_server", *command),
        environ=_environ(environ),
        headers=headers,
        ready_line=external_server.READY_LINE,
        required=False,
    )


def _upstream(bench: Bench) -> str:
    return f"{bench.upstream_url}/healthy/v1"


def _headers(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}", "content-type": "application/json"}


def _environ(more: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment with these variables, and with no others of OpenTelemetry."""
    return {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")} | dict(more)
