"""Programs that offer an upgrade by themselves: the JDK's client and curl. The bytes that they send are in test_upgrade_offers.py."""

import asyncio
import json
import shutil

import pytest

from tests.app.gateway.raw_client import CHAT

pytestmark = pytest.mark.live
JAVA = shutil.which("java")
CURL = shutil.which("curl")
ASK = """
import java.net.URI;
import java.net.http.*;
public class Ask {
    public static void main(String[] a) throws Exception {
        for (HttpClient.Version version : HttpClient.Version.values()) {
            HttpClient client = HttpClient.newBuilder().version(version).build();
            for (String body : new String[]{a[1], a[2]}) {
                HttpRequest request = HttpRequest.newBuilder(URI.create(a[0])).version(version).header("Authorization", "Bearer good-key")
                    .header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body)).build();
                HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
                System.out.println(answer.statusCode() + " " + answer.body().trim().endsWith(body == a[1] ? "}" : "data: [DONE]"));
            }
        }
    }
}
"""
STREAM = json.dumps({**json.loads(CHAT), "stream": True})


async def output(*command):
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    return out.decode() or err.decode()


@pytest.mark.skipif(JAVA is None, reason="no java on this machine")
async def test_the_clients_of_the_jdk(make_upstream, make_gateway, tmp_path):
    gateway = await make_gateway(await make_upstream())
    source = tmp_path / "Ask.java"
    source.write_text(ASK)
    out = await output(JAVA, str(source), f"{gateway.url}/v1/chat/completions", CHAT.decode(), STREAM)
    assert out.split("\n") == ["200 true"] * 4 + [""]
    assert len((await gateway.finished()).calls) == 4


@pytest.mark.skipif(CURL is None, reason="no curl on this machine")
@pytest.mark.parametrize("body", [CHAT.decode(), STREAM])
@pytest.mark.parametrize("option", ["--http2", "--http1.1", "--http1.0"])
async def test_curl(make_upstream, make_gateway, option, body):
    gateway = await make_gateway(await make_upstream())
    headers = ("-H", "authorization: Bearer good-key", "-H", "content-type: application/json")
    url = f"{gateway.url}/v1/chat/completions"
    out = await output(CURL, option, "-sS", "--no-buffer", "-w", "%{http_code}", *headers, "-d", body, url)
    assert out.endswith("data: [DONE]\n\n200" if body == STREAM else "}200")
    assert len((await gateway.finished()).calls) == 1
