"""The walk of docs/console.md from an exemplar to its trace and its log lines: its commands find what they name."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.harness.console import logs, span, traces
from tests.harness.gateway_lines import attempt_line, request_line

PAGE = (Path(__file__).parents[3] / "docs" / "console.md").read_text()
BLOCK = re.search(r"^## From a metric to its trace.*?^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
TRACE = "0123456789abcdef0123456789abcdef"
SAMPLES = f"""\
model_inference_requests_total{{provider="a",model="m",status="error"}} 2 # {{trace_id="{"9" * 32}",span_id="{"1" * 16}"}} 1 1.5
model_inference_requests_total{{provider="b",model="m",status="error"}} 1 # {{trace_id="{TRACE}",span_id="{"2" * 16}"}} 1 2.5
model_inference_requests_total{{provider="b",model="m",status="success"}} 1 # {{trace_id="{"8" * 32}",span_id="{"3" * 16}"}} 1 2.5
model_inference_requests_total{{provider="c",model="m",status="error"}} 0
# EOF
"""


def run(command: list[str], text: str) -> str:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def test_the_exemplar_of_a_failed_attempt_is_found():
    pipeline = re.search(r"sed -n .*?tail -1", BLOCK)[0]
    assert run(["bash", "-c", pipeline], SAMPLES) == f"{TRACE}\n"


async def test_the_trace_and_its_lines_are_shown(site):
    trace_id, number = bytes.fromhex(TRACE), int(TRACE, 16)
    await site.console.send(traces(span(trace_id=trace_id, name="POST /v1/chat/completions")))
    await site.console.send(logs(request_line(-5, number), attempt_line(number, "a", "upstream_5xx", "words")))
    walk = re.findall(r'"http://127.0.0.1:8100(/api/\S+?)" \|\n +python3 -c \'(.+?)\'$', BLOCK, re.MULTILINE)
    assert len(walk) == 2
    printed = [
        run([sys.executable, "-c", script], json.dumps(await site.json(path.replace("$TRACE", TRACE))))
        for path, script in walk
    ]
    assert "POST /v1/chat/completions" in printed[0]
    assert "INFO POST /v1/chat/completions 200" in printed[1]
    assert "WARN attempt at a failed: upstream_5xx" in printed[1]
