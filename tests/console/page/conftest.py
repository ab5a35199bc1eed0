"""One browser and one console with a gateway's telemetry for all tests of a file."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.console.page.observed_gateway import Console, observed_gateway
from tests.console.page.watched_page import WatchedPage, watched_page
from tests.servers.chromium import running_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def console(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with observed_gateway(tmp_path_factory.mktemp("console")) as console:
        yield console


@pytest.fixture
def watched(browser: Browser, console: Console) -> Iterator[WatchedPage]:
    """A page in a fresh profile; whatever a test does with it, it must not cause an error or a violation."""
    with watched_page(browser, console.page_url) as watched:
        yield watched
        assert watched.troubles() == []
