"""Checks a running set of Compose files with one request of a known trace id.

A check returns lines of text, or raises `StackFailedError`.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Final

from tests.compose.standins.stack_run import StackFailedError, StackRun, wait_for

PIPELINE: Final = {"gateway", "otelcol", "prometheus", "loki", "tempo", "alertmanager"}
SCRAPED: Final = {"gatewayz-backend", "otelcol", "prometheus", "loki", "tempo", "alertmanager"}
ENOUGH_CALLS: Final = 200
_UNAUTHORIZED: Final = 401
_OK: Final = 200

Check = Callable[[StackRun], Iterator[str]]


def _expect(what: str, found: object, expected: object) -> str:
    if found != expected:
        raise StackFailedError(f"{what}: found {found!r}, expected {expected!r}")
    return f"{what}: {found!r}"


def _services(run: StackRun, expected: set[str]) -> str:
    if run.running_services() != expected:
        raise StackFailedError(f"running are {sorted(run.running_services())}, expected {sorted(expected)}")
    return f"running: {', '.join(sorted(expected))}"


def one_request(run: StackRun) -> Iterator[str]:
    """Send one request without a key, which needs no provider, and find it in all three stores."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    response = run.ask("gateway", "/v1/models", headers={"traceparent": f"00-{trace_id}-{span_id}-01"})
    yield _expect("GET /v1/models without a key", response.status, _UNAUTHORIZED)
    count = 'sum(fastapi_requests_total{path="/v1/models", status_code="401"})'
    seconds = wait_for("the request in Prometheus", lambda: run.sample(count))
    yield f"{_expect('counted in Prometheus', run.sample(count), 1.0)}, after {seconds:.1f} s"
    query = f'{{job="gatewayz"}} | trace_id="{trace_id}"'
    seconds = wait_for("the request's log line in Loki", lambda: run.log_lines(query))
    lines = run.log_lines(query)
    yield f"{_expect('log lines in Loki', len(lines), 1)}, after {seconds:.1f} s"
    yield _expect("the line is JSON with the status", json.loads(lines[0])["status"], _UNAUTHORIZED)
    seconds = wait_for("the request's trace in Tempo", lambda: run.span_names(trace_id))
    yield f"{_expect('spans in Tempo', run.span_names(trace_id), ['GET /v1/models'])}, after {seconds:.1f} s"


def base(run: StackRun) -> Iterator[str]:
    """The file as it is: every server up, scraped and connected; one request in all three stores; nothing counted twice."""
    yield _services(run, PIPELINE)
    yield from one_request(run)
    jobs = len(SCRAPED)
    up = 'count(up{job=~"' + "|".join(sorted(SCRAPED)) + '"} == 1)'
    wait_for("every target up", lambda: run.sample(up) == jobs)
    yield f"targets up: {', '.join(sorted(SCRAPED))}"
    yield _expect(
        "jobs that store fastapi_requests_total", run.sample("count(count by (job) (fastapi_requests_total))"), 1.0
    )
    managers = json.loads(run.ask("prometheus", "/api/v1/alertmanagers").body)["data"]["activeAlertmanagers"]
    yield _expect(
        "Prometheus sends alerts to", [one["url"] for one in managers], ["http://alertmanager:9093/api/v2/alerts"]
    )
    rules = json.loads(run.ask("prometheus", "/api/v1/rules").body)["data"]["groups"]
    yield f"groups of rules loaded: {len(rules)}"
    yield from _doctor(run)
    yield from _collector_keeps_its_volume(run)
    yield from _gateway_keeps_its_keys(run)


def _doctor(run: StackRun) -> Iterator[str]:
    """The doctor, in the gateway's container, follows a request of its own and finds nothing broken."""
    said = run.compose("exec", "--no-TTY", "gateway", "python", "-m", "app", "doctor", "--json", check=False)
    found = json.loads(said)
    broken = [check for check in found["checks"] if check["state"] == "broken"]
    if broken:
        raise StackFailedError(f"the doctor finds: {json.dumps(broken, indent=1)}")
    yield _expect(f"checks of the doctor: {len(found['checks'])}; all well", found["healthy"], True)


def _gateway_keeps_its_keys(run: StackRun) -> Iterator[str]:
    """A key made in the container opens the gateway, and one made again as well; told to stop, it ends in order."""
    command = ("python", "-m", "app", "keys", "create", "--name", "me", "--plan", "free", "--json")
    secret = json.loads(run.compose("exec", "--no-TTY", "gateway", *command))["secret"]
    headers = {"authorization": f"Bearer {secret}"}
    yield _expect(
        "GET /v1/models with a key made in the container", run.ask("gateway", "/v1/models", headers=headers).status, _OK
    )
    run.compose("stop", "gateway")
    yield _expect(
        "exit code of the gateway after SIGTERM",
        json.loads(run.compose("ps", "--all", "--format", "json", "gateway"))["ExitCode"],
        0,
    )
    run.compose("up", "--detach", "--no-build", "--pull", "never", "--force-recreate", "--no-deps", "--wait", "gateway")
    yield _expect(
        "the same key after the container was made again", run.ask("gateway", "/v1/models", headers=headers).status, _OK
    )


def _collector_keeps_its_volume(run: StackRun) -> Iterator[str]:
    """The Collector is not root: its queues must be on the volume, and a container made again must find them."""
    run.compose("up", "--detach", "--no-build", "--pull", "never", "--force-recreate", "--no-deps", "otelcol")
    wait_for("the Collector after it was made again", lambda: _answers(run, "otelcol health"))
    yield "the Collector comes up again on its volume"


def _answers(run: StackRun, name: str) -> bool:
    try:
        return run.ask(name, "/").status == _OK
    except OSError:
        return False


def demo(run: StackRun) -> Iterator[str]:
    """Traffic from the demo's containers arrives, and the traffic program finds what it expects."""
    yield _services(run, PIPELINE | {"upstream", "traffic"})
    calls = 'sum(model_inference_requests_total{status="success"})'
    wait_for(f"{ENOUGH_CALLS} calls in Prometheus", lambda: (run.sample(calls) or 0.0) >= ENOUGH_CALLS)
    yield f"successful calls in Prometheus: {run.sample(calls):.0f}"
    cost = run.sample("sum(gatewayz_cost_by_provider)") or 0.0
    if cost <= 0.0:
        raise StackFailedError("the traffic cost nothing")
    yield f"their cost: {cost:.6f} USD"
    run.compose("stop", "traffic")
    exit_code = json.loads(run.compose("ps", "--all", "--format", "json", "traffic"))["ExitCode"]
    if exit_code:
        raise StackFailedError(
            f"the traffic program ended with {exit_code}:\n{run.compose('logs', '--tail', '12', 'traffic')}"
        )
    yield "the traffic program found what it expected"


def tls(run: StackRun) -> Iterator[str]:
    """With TLS and tokens one request still gets through, and who shows no token does not."""
    yield _services(run, PIPELINE)
    yield from one_request(run)
    program = (
        "import ssl, urllib.error, urllib.request\n"
        "context = ssl.create_default_context(cafile='/etc/gatewayz/ca.pem')\n"
        "request = urllib.request.Request('https://otelcol:4318/v1/traces', data=b'{}', headers={'content-type': 'application/json'})\n"
        "try:\n    print(urllib.request.urlopen(request, context=context).status)\n"
        "except urllib.error.HTTPError as error:\n    print(error.code)\n"
    )
    status = run.compose("exec", "--no-TTY", "gateway", "python", "-c", program).strip()
    yield _expect("OTLP over TLS without the token", status, str(_UNAUTHORIZED))
    yield from _doctor(run)


def scrape_only(run: StackRun) -> Iterator[str]:
    """Without a Collector Prometheus has the same sample, from its own scrape."""
    yield _services(run, {"gateway", "prometheus", "alertmanager"})
    yield _expect("GET /v1/models without a key", run.ask("gateway", "/v1/models").status, _UNAUTHORIZED)
    count = 'sum(fastapi_requests_total{job="gatewayz-backend", path="/v1/models", status_code="401"})'
    seconds = wait_for("the request in Prometheus", lambda: run.sample(count))
    yield f"{_expect('scraped by Prometheus', run.sample(count), 1.0)}, after {seconds:.1f} s"
