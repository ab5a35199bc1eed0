"""The console's page: what is committed is what its sources make, is whole, and needs nothing from elsewhere."""

import json
import re

import pytest

from packages.page import PAGE, STATIC, NodeMissingError, build, differences, install


@pytest.fixture(scope="module")
def modules():
    try:
        return install()
    except NodeMissingError as error:
        pytest.skip(str(error))


def test_the_committed_page_is_byte_for_byte_what_its_sources_make(modules, tmp_path):
    build(tmp_path, modules)
    assert differences(tmp_path, STATIC) == []


def test_a_changed_file_is_a_difference_and_so_is_one_that_is_missing(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "same").write_text("same")
        (folder / "changed").write_text(folder.name)
    (one / "alone").write_text("alone")
    assert differences(one, other) == ["alone", "changed"]


def test_the_page_names_only_files_of_its_own():
    page = (STATIC / "index.html").read_text()
    names = re.findall(r'(?:src|href)="([^"]+)"', page)
    files = [name for name in names if name not in {"api/now", "api/requests"}]  # for whom has no JavaScript
    assert files
    assert all((STATIC / name.removeprefix("static/")).is_file() for name in files)
    assert "<style" not in page
    assert re.search(r"<script[^>]*>[^<]", page) is None
    assert re.search(r"\son\w+=|\sstyle=", page) is None


def test_the_bundle_evaluates_no_text_and_makes_no_markup_of_it():
    bundle = (STATIC / "page.js").read_text()
    assert re.search(r"\beval\(|new Function|document\.write|insertAdjacentHTML", bundle) is None
    # The one in Preact is behind an attribute that the sources never use.
    sources = [path.read_text() for path in (PAGE / "src").rglob("*.js")]
    assert not [text for text in sources if re.search(r"innerHTML|outerHTML|dangerously|srcdoc", text)]


def test_the_licences_of_what_is_bundled_are_kept():
    licences = (STATIC / "LICENSES.txt").read_text()
    bundled = json.loads((PAGE / "package.json").read_text())["dependencies"]
    assert all(f"\n{name}\n" in licences for name in bundled)
    assert licences.count("Permission is hereby granted") == len(bundled)


def test_the_lockfile_has_hashes_and_no_address_of_a_registry():
    lock = json.loads((PAGE / "package-lock.json").read_text())
    packages = [package for path, package in lock["packages"].items() if path]
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages)
