"""Who may read: hosts, origins, tokens, cookies; and what every response forbids the browser."""

import pytest

from console.http.session import FAILURE_SECONDS, MAX_FAILURES, SESSION_SECONDS
from tests.harness.console import SECOND_NS
from tests.harness.console_site import TOKEN, Site


@pytest.mark.parametrize("host", ["127.0.0.1:8100", "localhost", "LOCALHOST:8100", "[::1]:8100", "127.0.0.9"])
async def test_loopback_names_reach_a_console_without_a_token(site, host):
    assert (await site.get("/api/meta", host=host)).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.7:8100", "", "[::1", "[evil]:80"],
)
async def test_a_name_that_resolves_to_loopback_does_not(site, host):
    response = await site.get("/api/meta", host=host)
    assert response.status_code == 403
    assert "Host" in response.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/session", "/api/meta"])
async def test_the_host_is_checked_on_every_path(site, path):
    assert (await site.get(path, host="evil.example")).status_code == 403


@pytest.mark.parametrize("path", ["/api/meta", "/api/requests.csv", "/api/tail", "/api/traces/" + "0" * 32, "/api/x"])
async def test_a_token_is_needed_for_every_route_of_the_api(closed_site, path):
    response = await closed_site.get(path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="console"'
    assert response.headers["content-type"] == "application/problem+json"


async def test_the_token_in_a_header_is_enough_and_a_wrong_one_is_not(closed_site):
    assert (await closed_site.get("/api/meta", authorization=f"Bearer {TOKEN}")).status_code == 200
    assert (await closed_site.get("/api/meta", authorization="Bearer x")).status_code == 401
    assert (await closed_site.get("/api/meta", authorization=f"Basic {TOKEN}")).status_code == 401


async def test_a_token_in_the_url_is_no_token(closed_site):
    assert (await closed_site.get("/api/meta", {"token": TOKEN})).status_code == 401


async def test_the_token_is_exchanged_for_a_cookie_that_no_script_can_read(closed_site):
    async with closed_site.client() as client:
        before = await client.get("/api/session")
        assert before.json() == {"required": True, "authenticated": False}
        response = await client.post("/api/session", json={"token": TOKEN})
        assert response.status_code == 204
        cookie = response.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert TOKEN not in cookie
        assert (await client.get("/api/session")).json() == {"required": True, "authenticated": True}
        assert (await client.get("/api/meta")).status_code == 200
        closed = await client.delete("/api/session")
        assert "Max-Age=0" in closed.headers["set-cookie"]


async def test_a_cookie_ends(closed_site):
    async with closed_site.client() as client:
        response = await client.post("/api/session", json={"token": TOKEN})
        cookie = response.headers["set-cookie"].partition(";")[0]
    closed_site.now_ns += (SESSION_SECONDS - 1) * SECOND_NS
    assert (await closed_site.get("/api/meta", cookie=cookie)).status_code == 200
    closed_site.now_ns += SECOND_NS
    assert (await closed_site.get("/api/meta", cookie=cookie)).status_code == 401


@pytest.mark.parametrize("value", ["", "1.x", "99999999999.", "-1.0", "é", "99999999999." + "0" * 64])
async def test_a_made_up_cookie_is_none(closed_site, value):
    cookie = f"gatewayz_console={value}".encode("latin-1")
    assert (await closed_site.get("/api/meta", cookie=cookie)).status_code == 401


async def test_a_later_end_does_not_fit_its_signature(closed_site):
    async with closed_site.client() as client:
        response = await client.post("/api/session", json={"token": TOKEN})
    end, _, signature = response.headers["set-cookie"].partition(";")[0].partition("=")[2].partition(".")
    longer = f"gatewayz_console={int(end) + 1}.{signature}"
    assert (await closed_site.get("/api/meta", cookie=longer)).status_code == 401


async def test_tokens_cannot_be_guessed_quickly(closed_site):
    async with closed_site.client() as client:
        for _ in range(MAX_FAILURES):
            assert (await client.post("/api/session", json={"token": "wrong"})).status_code == 401
        refused = await client.post("/api/session", json={"token": TOKEN})
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == str(FAILURE_SECONDS)
        closed_site.now_ns += FAILURE_SECONDS * SECOND_NS
        assert (await client.post("/api/session", json={"token": TOKEN})).status_code == 204


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
    ],
)
async def test_another_site_cannot_open_or_close_a_session(closed_site, headers):
    async with closed_site.client() as client:
        for method in ("POST", "DELETE"):
            response = await client.request(method, "/api/session", json={"token": TOKEN}, headers=headers)
            assert response.status_code == 403
            assert "set-cookie" not in response.headers


async def test_a_link_on_another_site_opens_the_page_and_nothing_else_of_it_is_read(site):
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert (await site.get("/", **followed)).status_code == 200
    for changed in ({"sec-fetch-mode": "no-cors"}, {"sec-fetch-dest": "iframe"}, {"sec-fetch-dest": "script"}):
        assert (await site.get("/", **(followed | changed))).status_code == 403


async def test_another_site_cannot_read(site):
    assert (await site.get("/api/meta", **{"sec-fetch-site": "cross-site"})).status_code == 403
    response = await site.get("/api/meta")
    assert "access-control-allow-origin" not in response.headers


async def test_the_page_itself_may(closed_site):
    headers = {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8100"}
    async with closed_site.client(**headers) as client:
        assert (await client.post("/api/session", json={"token": TOKEN})).status_code == 204


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b'{"token": "x"}', "text/plain", 415),
        (b'{"token": "x"}', "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 400),
        (b'{"token": 1}', "application/json", 400),
        (b'{"token": "' + b"x" * 5_000 + b'"}', "application/json", 413),
        (b'{"token": "\\u00e9\\ud83d\\ude00"}', "application/json", 401),
    ],
)
async def test_only_a_small_json_object_opens_a_session(closed_site, content, media_type, status):
    async with closed_site.client() as client:
        response = await client.post("/api/session", content=content, headers={"content-type": media_type})
        assert response.status_code == status


async def test_with_a_token_addresses_and_named_hosts_are_allowed(console):
    site = Site(console, token=TOKEN, host_names=frozenset({"desk.example"}))
    for host, status in (("192.0.2.7:8100", 200), ("Desk.example", 200), ("other.example", 403)):
        assert (await site.get("/api/meta", host=host, authorization=f"Bearer {TOKEN}")).status_code == status
    site.app.close()


@pytest.mark.parametrize("path", ["/", "/api/meta", "/api/none", "/static/none.js"])
async def test_every_response_forbids_what_the_page_does_not_need(site, path):
    headers = (await site.get(path)).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_nothing_else_can_be_changed(site, method):
    async with site.client() as client:
        assert (await client.request(method, "/api/meta")).status_code == 405


async def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_only(closed_site):
    headers = {"sec-fetch-site": "same-origin", "origin": "https://127.0.0.1:8100"}
    async with closed_site.client(**headers) as client:
        response = await client.post("/api/session", json={"token": TOKEN})
        assert response.status_code == 204
        assert "Secure" in response.headers["set-cookie"].split("; ")
