"""The page's files: exact names only, names with a digest for good, everything else checked again."""

import re

import pytest

from console.http.static_files import StaticFiles, packaged_files

FILES = {
    "index.html": b'<link href="static/page.css"><script src="static/page.js"></script>',
    "page.js": b"1;",
    "page.css": b"a{}",
}


@pytest.mark.parametrize(
    "path",
    [
        "/static/", "/static", "/static/index.html", "/static/../application.py", "/static/..%2fapplication.py",
        "/static//page.js", "/static/./page.js", "/static/page.js/", "/static/PAGE.js", "/etc/passwd", "//etc/passwd",
        "/static/\\..\\page.js", "/static/page.js\x00", "/index.html", "/favicon.ico",
    ],
)  # fmt: skip
def test_a_path_that_is_no_name_of_a_file_is_not_there(path):
    assert StaticFiles(FILES).response(path, {}) is None


def test_the_page_refers_to_names_with_a_digest_that_a_browser_may_keep():
    files = StaticFiles(FILES)
    page = files.response("/", {})
    assert dict(page.headers)[b"cache-control"] == b"no-cache"
    names = [part.partition(b'"')[0].decode() for part in page.body.split(b'"')[1::2]]
    assert len(names) == 2
    for name in names:
        found = files.response(f"/{name}", {})
        assert b"immutable" in dict(found.headers)[b"cache-control"]
    assert names[0] != "static/page.css"
    changed = StaticFiles({**FILES, "page.js": b"2;"}).response("/", {})
    assert changed.body != page.body


def test_a_file_that_a_browser_has_is_not_sent_again():
    files = StaticFiles(FILES)
    tag = dict(files.response("/static/page.js", {}).headers)[b"etag"]
    assert files.response("/static/page.js", {b"if-none-match": b'"x", W/' + tag}).status == 304
    assert files.response("/static/page.js", {b"if-none-match": b'"x"'}).body == b"1;"


async def test_the_built_page_is_served_with_its_types(site):
    page = await site.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "index.html" in packaged_files()
    for part in page.text.split('"')[1::2]:
        if part.startswith("static/"):
            response = await site.get(f"/{part}")
            assert response.status_code == 200
            assert "immutable" in response.headers["cache-control"]
            assert response.headers["content-type"].partition(";")[0] in {
                "text/css",
                "text/javascript",
                "image/svg+xml",
            }


async def test_the_page_itself_needs_no_token_but_has_no_data(closed_site):
    assert (await closed_site.get("/")).status_code == 200


async def test_without_javascript_the_page_names_paths_that_exist(site):
    text = (await site.get("/")).text.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "needs JavaScript" in text
    paths = re.findall(r'href="(.*?)">/(.*?)<', text)
    assert len(paths) == 2
    for path, named in paths:
        assert path == named
        assert (await site.get(f"/{path}")).status_code == 200
